"""Packages over HTTP: who may bring one, who may have it, and what stays where something goes wrong."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from adiuva.storage.housekeeping.housekeeper import HOUSEKEEPER
from tests.marketplace.conftest import API, GARDEN, Answer, Person, Place, fields, publish
from tests.marketplace.packages import HOSTILE, archive, checksum

PATH = "/plugins/garden-planner/package"
REVIEW = "/admin/plugins/garden-planner/review"
APPROVED = {"decision": "approved", "notes": ""}
PACKAGE = archive()


async def upload(
    person: Person, data: bytes = PACKAGE, path: str = PATH, headers: dict[str, str] | None = None
) -> Answer:
    told = {"Content-Type": "application/octet-stream", "X-Checksum": checksum(data)}
    sent = {name: value for name, value in {**told, **(headers or {})}.items() if value}
    return await person.call("PUT", path, data=data, headers=sent)


async def download(person: Person, path: str = PATH) -> tuple[int, bytes, str]:
    headers = {"Authorization": f"Bearer {person.tokens['access_token']}"}
    async with person.client.get(API + path, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers.get("X-Checksum", "")


def stored(place: Place) -> list[bytes]:
    """The blobs of the server, without those that are half written."""
    found = []
    for folder, _, names in os.walk(place.settings.data_dir / "blobs"):  # passes over what goes away meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                found += [Path(folder, name).read_bytes()] if not folder.endswith(".incoming") else []
    return found


async def holds(place: Place, blobs: list[bytes]) -> None:
    """Waits until these blobs are left: what is deleted is deleted in the background."""
    async with asyncio.timeout(20):
        while stored(place) != blobs:
            await asyncio.sleep(0.01)


async def tidy(place: Place) -> None:
    """A whole round of housekeeping, which finds what nobody has written down as well."""
    await place.client.app[HOUSEKEEPER].run()


async def clear(place: Place) -> None:
    """Deletes what is written down to go."""
    await place.client.app[HOUSEKEEPER].clear_due()


async def test_a_package_comes_back_as_it_went(author: Person, admin: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    status, plugin = await upload(author)
    assert (status, plugin["id"], plugin["status"]) == (200, "garden-planner", "pending_review")
    for person in (author, admin):
        assert await download(person) == (200, PACKAGE, checksum(PACKAGE))
    assert (await download(user))[0] == 404
    await admin.done("POST", REVIEW, {**APPROVED, "package_checksum": checksum(PACKAGE)})
    assert (await user.get(PATH))[1]["code"] == "not_installed"
    assert (await download(user))[0] == 403
    await user.done("POST", "/plugins/garden-planner/install")
    assert await download(user) == (200, PACKAGE, checksum(PACKAGE))
    await user.done("DELETE", "/plugins/garden-planner/install")
    assert (await download(user))[0] == 403


async def test_only_the_author_brings_a_package(author: Person, admin: Person, user: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for person in (admin, user):
        assert (await upload(person))[0] == 404
    for path in ("/plugins/none/package", "/plugins/github-sync/package", "/plugins/%00/package"):
        assert (await upload(author, path=path))[0] == 404
    await place.sql("UPDATE subscriptions SET tier = 'free'")
    assert (await upload(author))[1]["code"] == "tier_required"
    assert stored(place) == []


async def test_what_is_said_of_a_package_has_to_be_right(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    cases: list[tuple[dict[str, str], int, str]] = [
        ({"X-Checksum": checksum(b"other")}, 400, "checksum_mismatch"),
        ({"X-Checksum": ""}, 422, "validation_failed"),
        ({"X-Checksum": "abc"}, 422, "validation_failed"),
        ({"X-Checksum": checksum(PACKAGE).upper()}, 422, "validation_failed"),
        ({"Content-Type": "application/json"}, 415, "unsupported_media_type"),
        ({"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
    ]
    for headers, status, code in cases:
        answer = await upload(author, headers=headers)
        assert (answer[0], answer[1]["code"]) == (status, code), headers
    await tidy(place)
    await holds(place, [])
    assert (await download(author))[0] == 404


async def test_a_package_that_is_too_large_is_cut_off(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    large = b"\0" * (10 * 2**20 + 1)

    async def pieces() -> Any:
        for at in range(0, len(large), 2**18):
            yield large[at : at + 2**18]

    assert (await upload(author, large))[0] == 413
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": checksum(large)}
    assert (await author.call("PUT", PATH, data=pieces(), headers=headers))[0] == 413
    await tidy(place)
    await holds(place, [])


async def test_an_upload_that_breaks_off_leaves_nothing_behind(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)

    async def half() -> Any:
        yield PACKAGE[:100]
        raise ConnectionResetError

    headers = {"Content-Type": "application/octet-stream", "X-Checksum": checksum(PACKAGE)}
    with pytest.raises((ClientError, ConnectionError)):
        await author.call("PUT", PATH, data=half(), headers={**headers, "Content-Length": str(len(PACKAGE))})
    while await place.value("SELECT count(*) FROM storage_intents WHERE state = 'upload'"):
        await asyncio.sleep(0.01)
    await tidy(place)
    await holds(place, [])
    assert (await upload(author))[0] == 200


async def test_a_hostile_package_leaves_nothing_behind(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for name in ("traversal", "a symbolic link", "a lying size", "no archive", "no bytes"):
        status, problem = await upload(author, HOSTILE[name]())
        assert (status, fields(problem)) == (422, ["package"]), name
    await tidy(place)
    await holds(place, [])
    assert await place.value("SELECT count(*) FROM storage_intents") == 0
    assert await place.value("SELECT package_key FROM plugin_versions WHERE plugin_id = 'garden-planner'") is None


async def test_a_package_can_be_replaced_until_it_is_approved(author: Person, admin: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    other = archive({"adiuva_garden/__init__.py": b"other = True\n"})
    for data in (PACKAGE, PACKAGE, other):
        assert (await upload(author, data))[0] == 200
    status, problem = await admin.post(REVIEW, {**APPROVED, "package_checksum": checksum(PACKAGE)})
    assert (status, problem["code"]) == (409, "review_outdated")
    await admin.done("POST", REVIEW, {**APPROVED, "package_checksum": checksum(other)})
    status, problem = await upload(author)
    assert (status, problem["code"]) == (409, "package_fixed")
    assert (await upload(author, other))[0] == 200  # a retry
    assert await download(author) == (200, other, checksum(other))
    await tidy(place)
    await holds(place, [other])


async def test_housekeeping_and_verifying_know_packages(author: Person, place: Place) -> None:
    from adiuva.storage.housekeeping.verify import verify
    from adiuva.storage.keys import BLOBS
    from adiuva.web.keys import DATABASE

    await author.done("POST", "/plugins", GARDEN)
    await upload(author)
    await tidy(place)
    await holds(place, [PACKAGE])
    app = place.client.app
    verified = await verify(app[DATABASE], app[BLOBS], deep=True)
    assert (verified.rows, verified.size, verified.findings) == (1, len(PACKAGE), [])


async def test_users_get_the_approved_package_while_a_new_one_waits(
    author: Person, admin: Person, user: Person, place: Place
) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await upload(author)
    await admin.done("POST", REVIEW, APPROVED)
    await user.done("POST", "/plugins/garden-planner/install")
    new = archive({"adiuva_garden/__init__.py": b"new = True\n"})
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.1.0"})
    assert (await upload(author, new))[0] == 200
    assert (await download(user))[1] == PACKAGE
    assert (await download(author))[1] == (await download(admin))[1] == new
    await admin.done("POST", REVIEW, APPROVED)
    assert (await download(user))[1] == new
    await clear(place)
    await holds(place, [new])  # the old one serves nobody any more


async def test_a_package_for_an_approved_version_waits_for_a_review_of_its_own(
    author: Person, admin: Person, user: Person
) -> None:
    await publish(author, admin)
    await user.done("POST", "/plugins/garden-planner/install")
    assert (await download(author))[0] == 404
    assert (await upload(author))[0] == 200
    assert (await download(user))[0] == 404
    pending = (await admin.done("GET", "/admin/plugins/pending"))["items"]
    assert [(plugin["id"], plugin["status"]) for plugin in pending] == [("garden-planner", "pending_review")]
    assert (await user.plugin("garden-planner"))["status"] == "approved"
    # While the plugin is suspended, approving its package would not be what brings it back.
    await admin.done("POST", "/admin/plugins/garden-planner/suspend", {"notes": "Spam."})
    assert (await admin.post(REVIEW, APPROVED))[1]["code"] == "not_pending"
    await admin.done("POST", "/admin/plugins/garden-planner/reinstate")
    rejected = await admin.done("POST", REVIEW, {"decision": "rejected", "notes": "Not that one."})
    assert rejected["status"] == "approved"
    assert (await download(author))[0] == 404
    assert (await upload(author))[0] == 200
    await admin.done("POST", REVIEW, APPROVED)
    assert (await download(user))[:2] == (200, PACKAGE)


async def test_what_no_longer_serves_gives_no_package(
    author: Person, admin: Person, user: Person, place: Place
) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await upload(author)
    await admin.done("POST", REVIEW, APPROVED)
    await user.done("POST", "/plugins/garden-planner/install")
    await admin.done("POST", "/admin/plugins/garden-planner/suspend", {"notes": "Spam."})
    assert (await download(user))[0] == 404
    assert (await download(admin))[0] == 200  # to look at
    await admin.done("POST", "/admin/plugins/garden-planner/reinstate")
    assert (await download(user))[0] == 200
    await author.done("DELETE", "/plugins/garden-planner")
    assert (await download(user))[0] == 404
    assert (await upload(author))[1]["code"] == "package_fixed"
    await clear(place)
    await holds(place, [])


async def test_of_parallel_uploads_one_stays_and_is_whole(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    packages = [archive({"adiuva_garden/__init__.py": b"number = %d\n" % number}) for number in range(8)]
    answers = await asyncio.gather(*(upload(author, data) for data in packages))
    assert {status for status, _ in answers} == {200}
    status, data, told = await download(author)
    assert (status, told, data in packages) == (200, checksum(data), True)
    await tidy(place)
    await holds(place, [data])


async def test_the_account_of_an_author_takes_its_packages_along(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await upload(author)
    status, _ = await author.call("DELETE", "/auth/me", {"password": "correct horse battery"})
    assert status == 204
    await holds(place, [])
    assert await place.value("SELECT count(*) FROM plugin_versions WHERE package_key IS NOT NULL") == 0


@pytest.mark.parametrize("header, status", [("If-None-Match", 304), ("Range", 206)])
async def test_downloads_know_what_http_knows(author: Person, header: str, status: int) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await upload(author)
    value = f'"{checksum(PACKAGE)}"' if header == "If-None-Match" else "bytes=0-9"
    headers = {"Authorization": f"Bearer {author.tokens['access_token']}", header: value}
    async with author.client.get(API + PATH, headers=headers) as answer:
        assert answer.status == status
        assert await answer.read() == (b"" if status == 304 else PACKAGE[:10])
