"""``adiuva admin plugins check``, and its report in the review queue."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from adiuva.errors import NotFoundError
from adiuva.kit.report import Report
from adiuva.kit.review import check_submitted
from adiuva.kit.scaffold import write_package
from tests.marketplace.conftest import GARDEN, Person, Place
from tests.marketplace.test_packages import upload


def package(folder: Path, **changed: str) -> bytes:
    """A package that the kit writes, zipped, with some words of its module changed."""
    source = write_package("plugin", "garden-planner", folder / "package")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in source.rglob("*") if path.is_file() and not path.name.startswith(".")):
            text = file.read_text()
            for old, new in changed.items():
                text = text.replace(old, new)
            archive.writestr(f"garden/{file.relative_to(source)}", text)
    return buffer.getvalue()


async def submit(author: Person, data: bytes, **changes: Any) -> None:
    await author.done("POST", "/plugins", GARDEN | {"version": "0.1.0"} | changes)
    assert (await upload(author, data))[0] == 200


async def check(place: Place) -> Report:
    return await asyncio.to_thread(check_submitted, "garden-planner", place.settings, seconds=60)


async def queue(place: Place) -> list[dict[str, Any]]:
    admin = await place.person(admin=True)
    listed: list[dict[str, Any]] = (await admin.done("GET", "/admin/plugins/pending"))["items"]
    return listed


async def test_the_reviewer_sees_the_report_of_the_package_that_waits(
    place: Place, author: Person, tmp_path: Path
) -> None:
    await submit(author, package(tmp_path))
    [before] = await queue(place)
    assert (before["check_report"], before["checked_at"]) == (None, None)
    report = await check(place)
    assert report.findings == ()
    [after] = await queue(place)
    assert after["check_report"] == report.as_json()
    assert after["check_report"]["passed"] is True
    assert await place.value("SELECT details ->> 'passed' FROM audit_log WHERE action = 'plugin.check'") == "true"
    assert after["check_report"]["agents"] == {"garden_planner_agent": ["list_tasks", "create_task"]}
    assert after["checked_at"].endswith("Z")
    assert {key: value for key, value in before.items() if not key.startswith("check")} == {
        key: value for key, value in after.items() if not key.startswith("check")
    }


async def test_another_package_has_no_report_until_it_is_checked(place: Place, author: Person, tmp_path: Path) -> None:
    await submit(author, package(tmp_path))
    await check(place)
    (tmp_path / "second").mkdir()
    assert (await upload(author, package(tmp_path / "second", **{"Put your own": "Put my own"})))[0] == 200
    assert [item["check_report"] for item in await queue(place)] == [None]
    await check(place)
    assert await place.value("SELECT count(*) FROM plugin_check_reports") == 1


async def test_what_the_package_says_otherwise_than_its_author_is_told(
    place: Place, author: Person, tmp_path: Path
) -> None:
    await submit(author, package(tmp_path), version="2.0.0", permissions=["read:tasks"])
    report = await check(place)
    assert not report.passed
    assert [finding.message for finding in report.findings if finding.level == "error"] == [
        "it is version 0.1.0, and was uploaded for 2.0.0",
        "it asks for write:tasks, which was not submitted for review",
    ]
    [item] = await queue(place)
    assert item["check_report"]["passed"] is False


async def test_a_plugin_without_a_package_cannot_be_checked(place: Place, author: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    with pytest.raises(NotFoundError):
        await check(place)


async def test_reports_go_with_their_plugin(place: Place, author: Person, tmp_path: Path) -> None:
    await submit(author, package(tmp_path))
    await check(place)
    await place.sql("DELETE FROM plugins WHERE id = 'garden-planner'")
    assert await place.value("SELECT count(*) FROM plugin_check_reports") == 0
