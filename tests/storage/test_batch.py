"""Many small records in one request."""

import asyncio
from base64 import b64encode
from typing import Any
from uuid import uuid4

import pytest

from tests.storage.conftest import Start, User, assert_agreement, register, sha256
from tests.storage.test_changes import changes
from tests.storage.test_quota import quota_of

KIB = 2**10


def new(body: bytes, table: str = "notes", **fields: str) -> dict[str, str]:
    return {"table": table, "checksum": sha256(body), "blob": b64encode(body).decode(), **fields}


async def store(user: User, records: list[dict[str, str]]) -> Any:
    async with await user.call("POST", "/storage/records/batch", json={"records": records}) as answer:
        return answer.status, await answer.json()


async def test_a_batch_is_stored_in_its_order(user: User) -> None:
    bodies = [bytes([n]) * n for n in range(100)]
    status, answer = await store(user, [new(body) for body in bodies])
    assert (status, [result["status"] for result in answer["results"]]) == (200, [201] * 100)
    ids = [result["record"]["id"] for result in answer["results"]]
    assert [item["id"] for item in (await changes(user))["items"]] == ids
    for record_id, body in zip(ids, bodies, strict=True):
        assert await user.read(record_id) == (200, body)
    assert await user.used() == sum(map(len, bodies))
    await assert_agreement(user.client)


async def test_every_record_has_its_own_result(user: User) -> None:
    known, taken, fresh = str(uuid4()), str(uuid4()), str(uuid4())
    await user.stored(b"known", "notes", known)
    await user.stored(b"taken", "notes", taken)
    status, answer = await store(
        user,
        [
            new(b"known", id=known),
            new(b"other", id=taken),
            {**new(b"sent"), "checksum": sha256(b"meant")},
            new(b"fresh", id=fresh),
            new(b"tasks", "tasks"),
        ],
    )
    results = answer["results"]
    assert (status, [result["status"] for result in results]) == (200, [200, 409, 400, 201, 201])
    assert results[1]["error"]["code"] == "id_taken"
    assert results[2]["error"]["code"] == "checksum_mismatch"
    assert results[3]["record"]["id"] == fresh
    assert await user.read(taken) == (200, b"taken")
    assert await user.used() == len(b"knowntakenfreshtasks")
    await assert_agreement(user.client)


async def test_a_batch_again_is_a_retry_even_while_the_first_one_runs(user: User) -> None:
    batch = [new(b"%d" % n, id=str(uuid4())) for n in range(20)]
    answers = await asyncio.gather(*(store(user, batch) for _ in range(5)))
    assert [status for status, _ in answers] == [200] * 5
    for position in range(20):
        statuses = sorted(answer["results"][position]["status"] for _, answer in answers)
        assert statuses == [200] * 4 + [201]
    assert (await user.get("/storage/records"))[1]["total"] == 20
    await assert_agreement(user.client)


async def test_what_does_not_fit_is_not_stored_in_part(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with quota_of(50, monkeypatch):
        status, problem = await store(user, [new(bytes(10))] * 1 + [new(bytes(10 + n)) for n in range(1, 5)])
        assert (status, problem["code"]) == (402, "quota_exceeded")
        assert await user.used() == 0
        assert (await store(user, [new(bytes(n)) for n in (10, 15, 25)]))[0] == 200
        assert await user.used() == 50
    await assert_agreement(user.client)


async def test_what_is_wrong_with_the_request_is_said_and_nothing_stored(user: User) -> None:
    same = str(uuid4())
    for records, field in (
        ([], "records"),
        ([new(b"")] * 101, "records"),
        ([new(b"1", id=same), new(b"2", id=same)], "records"),
        ([new(b"", "../x")], "records[0].table"),
        ([new(b"", "n" * KIB * KIB)], "records[0].table"),
        ([new(b"1"), {**new(b""), "checksum": "x"}], "records[1].checksum"),
        ([{**new(b""), "blob": "?"}], "records[0].blob"),
        ([new(bytes(256 * KIB + 1))], "records[0].blob"),
        ([new(b"", id="42")], "records[0].id"),
        ([new(b""), new(b"1", if_match="*")], "records[1].id"),
        ([new(b"", id=same, if_match='"*"')], "records[0].if_match"),
    ):
        status, problem = await store(user, records)
        assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
    assert (await user.get("/storage/records"))[1]["total"] == 0
    await assert_agreement(user.client)


async def test_a_hundred_of_the_largest_fit_into_one_request(user: User) -> None:
    body = bytes(256 * KIB)
    status, answer = await store(user, [new(body)] * 100)
    assert (status, {result["status"] for result in answer["results"]}) == (200, {201})
    await assert_agreement(user.client)


async def test_items_with_if_match_replace_what_is_still_so(user: User) -> None:
    old = {name: await user.stored(name.encode()) for name in ("still so", "whatever", "moved on", "again", "tasks")}
    ids = {name: record["id"] for name, record in old.items()}
    status, answer = await store(
        user,
        [
            new(b"1", id=ids["still so"], if_match=sha256(b"still so")),
            new(b"new", id=str(uuid4())),
            new(b"22", id=ids["whatever"], if_match="*"),
            new(b"3", id=ids["moved on"], if_match=sha256(b"what it was")),
            new(b"again", id=ids["again"], if_match=sha256(b"what it was")),
            new(b"4", "tasks", id=ids["tasks"], if_match="*"),
            new(b"5", id=str(uuid4()), if_match="*"),
        ],
    )
    results = answer["results"]
    assert (status, [result["status"] for result in results]) == (200, [200, 201, 200, 412, 200, 409, 404])
    assert [result["error"]["code"] for result in results if result["error"]] == [
        "precondition_failed",
        "id_taken",
        "not_found",
    ]
    assert await user.read(ids["still so"]) == (200, b"1")
    assert await user.read(ids["whatever"]) == (200, b"22")
    assert await user.read(ids["moved on"]) == (200, b"moved on")
    assert results[0]["record"]["created_at"] == old["still so"]["created_at"] < results[0]["record"]["updated_at"]
    changed = [item["id"] for item in (await changes(user))["items"]][-3:]
    assert changed == [results[1]["record"]["id"], ids["still so"], ids["whatever"]]
    assert await user.used() == len("122newmoved onagaintasks")
    await assert_agreement(user.client)


async def test_a_batch_that_shrinks_works_over_the_quota_and_one_that_grows_does_not(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await user.stored(bytes(100)))["id"] for _ in range(3)]
    with quota_of(200, monkeypatch):
        grown = [new(bytes(101), id=ids[0], if_match="*"), new(bytes(10), id=ids[1], if_match="*")]
        assert (await store(user, grown))[0] == 402
        assert await user.used() == 300
        status, answer = await store(user, [new(bytes(10 + n), id=ids[n], if_match="*") for n in range(3)])
        assert (status, [result["status"] for result in answer["results"]]) == (200, [200] * 3)
        assert await user.used() == 33
        assert (await store(user, [new(bytes(177), id=ids[0], if_match="*")]))[0] == 200
        assert await user.used() == 200
    await assert_agreement(user.client)


async def test_of_batches_and_other_writers_with_one_checksum_one_wins_and_nobody_waits_for_ever(user: User) -> None:
    ids = [(await user.stored(b"before"))["id"] for _ in range(10)]

    async def batch(number: int) -> list[int]:
        items = [new(b"batch %d" % number, id=record_id, if_match=sha256(b"before")) for record_id in ids]
        status, answer = await store(user, items[:: 1 if number % 2 else -1])
        assert status == 200
        return [result["status"] for result in answer["results"]]

    async def put(record_id: str) -> int:
        tag = f'"{sha256(b"before")}"'
        status, _ = await user.send("PUT", f"/storage/records/{record_id}", b"put", If_Match=tag)
        return int(status)

    batches = await asyncio.gather(*(batch(number) for number in range(6)), *map(put, ids))
    statuses = [status for one in batches for status in (one if isinstance(one, list) else [one])]
    assert set(statuses) == {200, 412}
    assert statuses.count(200) == len(ids)
    await assert_agreement(user.client)


async def test_ids_of_a_batch_belong_to_their_user(user: User) -> None:
    grace = await register(user.client, "grace@example.com")
    record = await user.stored(b"ada")
    _, answer = await store(grace, [new(b"grace", id=record["id"])])
    assert answer["results"][0]["status"] == 201
    assert await user.read(record["id"]) == (200, b"ada")


async def test_what_has_no_quota_is_counted_all_the_same(start: Start) -> None:
    """A tier without a limit: nothing is reserved for what it stores."""
    user = await register(await start(default_tier="team"))
    _, answer = await store(user, [new(b"one"), new(b"three")])
    assert await user.used() == len(b"onethree")
    await assert_agreement(user.client)
    for result in answer["results"]:
        assert (await user.call("DELETE", f"/storage/records/{result['record']['id']}")).status == 204
    assert await user.used() == 0
    await assert_agreement(user.client)
