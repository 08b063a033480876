import base64
import hashlib
import math

import pytest

from tests.vectors.conftest import Start, User, item, register

DIMENSIONS = 32


def axis(number: int, length: float = 1.0) -> list[float]:
    return [length if index == number else 0.0 for index in range(DIMENSIONS)]


async def test_what_was_kept_is_found_by_its_vector_with_its_blob_verbatim(user: User) -> None:
    blob = bytes(range(256))
    assert await user.upsert(item("a", blob, axis(0)), item("b", b"", axis(1))) == (200, {"upserted": 2})
    status, answer = await user.search(vector=[0.9, 0.1, *[0.0] * 30], top_k=2)
    assert status == 200
    first, second = answer["results"]
    assert first == {
        "id": "a",
        "score": pytest.approx(0.993884, abs=1e-6),
        "blob": base64.b64encode(blob).decode(),
        "checksum": hashlib.sha256(blob).hexdigest(),
    }
    assert (second["id"], second["blob"]) == ("b", "")


async def test_equal_blobs_score_exactly_one(user: User) -> None:
    await user.upsert(*(item(str(number), f"sealed {number}".encode()) for number in range(50)))
    for number in range(50):
        _, answer = await user.search(blob=base64.b64encode(f"sealed {number}".encode()).decode(), top_k=2)
        best, other = answer["results"]
        assert (best["id"], best["score"]) == (str(number), 1.0)
        assert other["score"] < 1.0


async def test_a_search_gives_ten_results_unless_told_otherwise_the_best_first(user: User) -> None:
    await user.upsert(*(item(str(number), vector=[1.0, number / 10, *[0.0] * 30]) for number in range(100)))
    assert await user.found(vector=axis(0)) == [str(number) for number in range(10)]
    assert len(await user.found(vector=axis(0), top_k=100)) == 100
    assert await user.found(vector=axis(0), top_k=1) == ["0"]


async def test_an_entry_kept_again_replaces_the_one_before(user: User) -> None:
    await user.upsert(item("a", b"old", axis(0)))
    assert await user.upsert(item("a", b"middle", axis(2)), item("a", b"new", axis(1))) == (200, {"upserted": 1})
    _, answer = await user.search(vector=axis(1), top_k=10)
    assert [(result["id"], base64.b64decode(result["blob"])) for result in answer["results"]] == [("a", b"new")]


async def test_deleting_tells_how_many_there_were(user: User) -> None:
    await user.upsert(item("a"), item("b"), item("c"))
    assert await user.delete("a", "b", "a", "unknown") == (200, {"deleted": 2})
    assert await user.delete("a", "b") == (200, {"deleted": 0})
    assert await user.found(vector=axis(0)) == ["c"]


async def test_one_wrong_checksum_and_nothing_of_the_batch_is_kept(user: User) -> None:
    bad = item("bad", b"one bit flipped", checksum=hashlib.sha256(b"one bit flippef").hexdigest())
    status, problem = await user.upsert(item("a"), bad, item("c"))
    assert (status, problem["code"]) == (400, "checksum_mismatch")
    assert "vectors[1]" in problem["detail"]
    assert await user.found(vector=axis(0)) == []


@pytest.mark.parametrize("id_", ["ü 🌻/..\u2028'\"", "x" * 128])
async def test_an_id_may_be_any_text_of_128_characters(user: User, id_: str) -> None:
    await user.upsert(item(id_))
    assert await user.found(vector=axis(0)) == [id_]
    assert await user.delete(id_) == (200, {"deleted": 1})


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"id": ""}, "vectors[0].id"),
        ({"id": "x" * 129}, "vectors[0].id"),
        ({"id": "a\x00"}, "vectors[0].id"),
        ({"id": 5}, "vectors[0].id"),
        ({"blob": "no base64"}, "vectors[0].blob"),
        ({"checksum": "A" * 64}, "vectors[0].checksum"),
        ({"checksum": ""}, "vectors[0].checksum"),
        ({"vector": axis(0)[:-1]}, "vectors[0].vector"),
        ({"vector": [*axis(0), 0.0]}, "vectors[0].vector"),
        ({"vector": []}, "vectors[0].vector"),
        ({"vector": [0.0] * DIMENSIONS}, "vectors[0].vector"),
        ({"vector": ["1"] * DIMENSIONS}, "vectors[0].vector[0]"),
        ({"vector": [True, *axis(0)[1:]]}, "vectors[0].vector[0]"),
        ({"vector": [*axis(0)[:-1], math.nan]}, "vectors[0].vector[31]"),
        ({"vector": [*axis(0)[:-1], math.inf]}, "vectors[0].vector[31]"),
        ({"vector": [*axis(0)[:-1], -math.inf]}, "vectors[0].vector[31]"),
        ({"vector": [*axis(0)[:-1], 10**400]}, "vectors[0].vector[31]"),
    ],
)
async def test_what_cannot_be_kept_is_422_names_its_field_and_keeps_nothing(
    user: User, changes: dict[str, object], field: str
) -> None:
    """VE4."""
    status, problem = await user.upsert({**item("a"), **changes}, item("b"))
    assert status == 422, problem
    assert field in [error["field"] for error in problem["errors"]]
    assert await user.found(vector=axis(0)) == []


@pytest.mark.parametrize("count", [0, 101, 10_001])
async def test_none_or_more_than_a_hundred_vectors_are_422(user: User, count: int) -> None:
    """VE4."""
    status, problem = await user.upsert(*(item(str(number), vector=[0.1234567890123] * 32) for number in range(count)))
    assert (status, problem["errors"][0]["field"]) == (422, "vectors")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"vector": axis(0), "blob": "AA=="},
        {"vector": axis(0)[1:]},
        {"vector": [math.nan, *axis(0)[1:]]},
        {"vector": [0] * DIMENSIONS},
        {"blob": "?"},
        {"vector": axis(0), "top_k": 0},
        {"vector": axis(0), "top_k": 101},
        {"vector": axis(0), "top_k": "5"},
    ],
)
async def test_a_search_that_makes_no_sense_is_422(user: User, body: dict[str, object]) -> None:
    status, problem = await user.search(**body)
    assert (status, problem["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": "a"}, {"ids": [1]}, {"ids": ["a"] * 10_001}])
async def test_a_deletion_that_makes_no_sense_is_422(user: User, body: dict[str, object]) -> None:
    status, problem = await user.call("DELETE", "/storage/vectors", body)
    assert (status, problem["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("raw", [b"", b"{", b'{"ids": ["\\ud800"]}', b'{"ids": ["a"], "x": NaN}', b"[" * 100_000])
async def test_a_body_that_is_no_json_is_400(user: User, raw: bytes) -> None:
    status, problem = await user.call("DELETE", "/storage/vectors", raw=raw)
    assert (status, problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("length", [1e-320, 1e-60, 1e60, 1e308])
async def test_the_length_of_a_vector_does_not_matter(user: User, length: float) -> None:
    await user.upsert(item("a", vector=axis(0, length)), item("b", vector=axis(1)))
    _, answer = await user.search(vector=axis(0), top_k=1)
    assert [(result["id"], result["score"]) for result in answer["results"]] == [("a", 1.0)]


async def test_free_users_have_no_vectors(start: Start) -> None:
    user = await register(await start(default_tier="free"))
    for answer in (await user.upsert(item("a")), await user.search(vector=axis(0)), await user.delete("a")):
        assert (answer[0], answer[1]["code"]) == (402, "payment_required")


async def test_vectors_have_as_many_dimensions_as_the_operator_says(start: Start) -> None:
    user = await register(await start(vector_dimensions=384))
    assert await user.upsert(item("given", vector=[0.5] * 384), item("derived", b"x")) == (200, {"upserted": 2})
    assert await user.found(vector=[1.0] * 384, top_k=1) == ["given"]
    assert (await user.found(blob=base64.b64encode(b"x").decode()))[0] == "derived"
    assert (await user.upsert(item("short", vector=axis(0))))[0] == 422


async def test_vectors_outlive_the_server(start: Start) -> None:
    client = await start()
    user = await register(client)
    await user.upsert(item("a", b"kept"))
    await client.close()
    again = User(await start(), user.id, user.token)
    _, answer = await again.search(vector=axis(0))
    assert [base64.b64decode(result["blob"]) for result in answer["results"]] == [b"kept"]
