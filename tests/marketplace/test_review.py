"""What admins decide, over HTTP and at the command line, and that all of it is written down."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adiuva.cli import main
from adiuva.settings import Settings
from tests.marketplace.conftest import GARDEN, Person, Place, fields, publish
from tests.marketplace.packages import archive, checksum

REVIEW = "/admin/plugins/garden-planner/review"
SUSPEND = "/admin/plugins/garden-planner/suspend"
REINSTATE = "/admin/plugins/garden-planner/reinstate"
APPROVED = {"decision": "approved", "notes": ""}

Run = Callable[..., Awaitable[Result]]


WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("LOGNAME", "operator")
    return lambda *arguments: asyncio.to_thread(CliRunner().invoke, main, ["admin", *arguments])


async def log_of(admin: Person) -> list[tuple[str, str, str, dict[str, Any]]]:
    entries = (await admin.done("GET", "/admin/audit"))["items"]
    return [(entry["actor"], entry["action"], entry["target"], entry["details"]) for entry in entries]


async def test_reviews_are_for_admins(author: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for person in (author, user):
        calls: list[tuple[str, str, Any]] = [
            ("GET", "/admin/plugins/pending", None),
            ("POST", REVIEW, APPROVED),
            ("POST", SUSPEND, {"notes": "x"}),
            ("POST", REINSTATE, None),
        ]
        for call in calls:
            status, problem = await person.call(*call)
            assert (status, problem["code"]) == (403, "forbidden")
    assert (await author.plugin("garden-planner"))["status"] == "pending_review"


async def test_an_approved_plugin_is_in_the_list(author: Person, admin: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    status, plugin = await admin.post(REVIEW, APPROVED)
    assert (status, plugin["status"]) == (200, "approved")
    assert (await user.done("GET", "/plugins?q=garden"))["total"] == 1
    assert (await admin.done("GET", "/admin/plugins/pending"))["total"] == 0


async def test_a_rejection_says_why(author: Person, admin: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for notes in ({}, {"notes": ""}, {"notes": " \n"}, {"notes": None}, {"notes": "x" * 10_001}):
        status, problem = await admin.post(REVIEW, {"decision": "rejected", **notes})
        assert (status, fields(problem)) == (422, ["notes"])
    status, plugin = await admin.post(REVIEW, {"decision": "rejected", "notes": "It does nothing."})
    assert (status, plugin["status"]) == (200, "rejected")
    assert (await author.plugin("garden-planner"))["status"] == "rejected"
    rows = await place.sql("SELECT decision::text, notes, version FROM plugin_reviews")
    assert [tuple(row) for row in rows] == [("rejected", "It does nothing.", "1.0.0")]


async def test_what_is_decided_stays_decided(author: Person, admin: Person) -> None:
    await publish(author, admin)
    for decision in ("approved", "rejected"):
        status, problem = await admin.post(REVIEW, {"decision": decision, "notes": "Again."})
        assert (status, problem["code"]) == (409, "not_pending")
    assert (await admin.post("/admin/plugins/none/review", APPROVED))[0] == 404
    bodies: list[Any] = [{}, {"decision": "maybe"}, {"decision": None}, []]
    for body in bodies:
        assert (await admin.post(REVIEW, body))[0] == 422


async def test_of_parallel_decisions_one_counts(place: Place, author: Person, admin: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    decisions = [APPROVED, {"decision": "rejected", "notes": "No."}] * 4
    answers = await asyncio.gather(*(admin.post(REVIEW, decision) for decision in decisions))
    assert sorted(status for status, _ in answers) == [200] + [409] * 7
    assert await place.value("SELECT count(*) FROM plugin_reviews") == 1
    assert len(await log_of(admin)) == 1


async def test_an_admin_decides_about_what_was_looked_at(author: Person, admin: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.1.0"})
    for seen in ({"version": "1.0.0"}, {"package_checksum": "0" * 64}):
        status, problem = await admin.post(REVIEW, {**APPROVED, **seen})
        assert (status, problem["code"]) == (409, "review_outdated")
    assert (await admin.post(REVIEW, {**APPROVED, "version": "1.1.0", "package_checksum": None}))[0] == 200


async def test_two_that_users_would_confuse_are_not_approved_both(place: Place, author: Person, admin: Person) -> None:
    other = await place.person()
    await author.done("POST", "/plugins", GARDEN)
    await other.done("POST", "/plugins", {**GARDEN, "id": "garden-planer"})
    answers = await asyncio.gather(
        admin.post(REVIEW, APPROVED), admin.post("/admin/plugins/garden-planer/review", APPROVED)
    )
    assert sorted(status for status, _ in answers) == [200, 409]
    assert next(problem["code"] for status, problem in answers if status == 409) == "name_taken"


async def test_a_suspended_plugin_is_gone_until_it_is_reinstated(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    await user.done("POST", "/plugins/garden-planner/install")
    status, problem = await admin.post(SUSPEND, {"notes": " "})
    assert (status, fields(problem)) == (422, ["notes"])
    assert (await admin.post(REINSTATE))[0] == 409
    suspended = await admin.done("POST", SUSPEND, {"notes": "It sends tasks elsewhere."})
    assert suspended["status"] == "suspended"
    assert (await admin.post(SUSPEND, {"notes": "Again."}))[0] == 409
    assert (await user.get("/plugins/garden-planner"))[0] == 404
    assert (await user.put("/plugins/garden-planner/rating", {"stars": 1}))[0] == 404
    versions = (await author.done("GET", "/plugins/garden-planner/versions"))["items"]
    assert versions[0]["review"]["notes"] == "It sends tasks elsewhere."
    # A new version of it waits, but does not bring it back by itself.
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.0.1"})
    assert (await author.plugin("garden-planner"))["status"] == "suspended"
    assert (await admin.done("POST", REINSTATE))["status"] == "approved"
    assert (await user.plugin("garden-planner"))["installed"] is True


async def test_approving_a_new_version_ends_a_suspension(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    await admin.done("POST", SUSPEND, {"notes": "It sends tasks elsewhere."})
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.0.1"})
    await admin.done("POST", REVIEW, {"decision": "rejected", "notes": "It still does."})
    assert (await user.get("/plugins/garden-planner"))[0] == 404
    await publish(author, admin, version="1.0.2")
    assert (await user.plugin("garden-planner"))["version"] == "1.0.2"


async def test_every_act_of_an_admin_is_written_down(author: Person, admin: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await admin.done("POST", REVIEW, {"decision": "rejected", "notes": "No icon."})
    await publish(author, admin, version="1.0.1")
    await admin.done("POST", SUSPEND, {"notes": "Spam."})
    await admin.done("POST", REINSTATE)
    await admin.post(REINSTATE)  # refused, so not done
    target = "garden-planner"
    assert await log_of(admin) == [
        (admin.email, "plugin.reinstate", target, {"version": "1.0.1", "notes": ""}),
        (admin.email, "plugin.suspend", target, {"version": "1.0.1", "notes": "Spam."}),
        (admin.email, "plugin.approve", target, {"version": "1.0.1", "notes": ""}),
        (admin.email, "plugin.reject", target, {"version": "1.0.0", "notes": "No icon."}),
    ]


async def test_all_of_it_works_at_the_command_line(author: Person, admin: Person, user: Person, run: Run) -> None:
    assert (await run("plugins", "pending")).output == "Nothing waits for a review.\n"
    await author.done("POST", "/plugins", {**GARDEN, "price_cents": 250})
    shown = (await run("plugins", "pending")).output
    for text in ("garden-planner 1.0.0", "Garden Planner", "2.50 eur", "read:tasks, write:tasks", author.email):
        assert text in shown
    refused = await run("plugins", "reject", "garden-planner")
    assert refused.exit_code == 2
    assert "--notes" in refused.output
    assert "rejected" in (await run("plugins", "reject", "garden-planner", "--notes", "No icon.")).output
    missing = await run("plugins", "approve", "garden-planner")
    assert (missing.exit_code, missing.output) == (1, "Error: Nothing of this plugin waits for a review.\n")
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.0.1"})
    outdated = await run("plugins", "approve", "garden-planner", "--version", "1.0.0")
    assert outdated.exit_code == 1
    done = await run("plugins", "approve", "garden-planner", "--version", "1.0.1")
    assert (done.exit_code, done.output) == (0, "garden-planner 1.0.1 is approved now.\n")
    assert (await user.get("/plugins/garden-planner"))[0] == 200
    assert (await run("plugins", "suspend", "garden-planner", "--notes", "Spam.")).exit_code == 0
    assert (await user.get("/plugins/garden-planner"))[0] == 404
    assert (await run("plugins", "reinstate", "garden-planner")).exit_code == 0
    assert (await user.get("/plugins/garden-planner"))[0] == 200
    unknown = await run("plugins", "suspend", "none", "--notes", "x")
    assert (unknown.exit_code, unknown.output) == (1, "Error: There is no plugin none.\n")
    assert [entry[:3] for entry in await log_of(admin)] == [
        ("command line: operator", action, "garden-planner")
        for action in ("plugin.reinstate", "plugin.suspend", "plugin.approve", "plugin.reject")
    ]


async def test_an_operator_downloads_a_package_as_pip_installs_it(author: Person, run: Run, tmp_path: Path) -> None:
    missing = await run("plugins", "download", "garden-planner")
    assert (missing.exit_code, missing.output) == (1, "Error: There is no package of a plugin garden-planner.\n")
    for version, files, name in [
        ("1.0.0", {"adiuva_garden.py": b"x = 1\n"}, "garden-planner.zip"),
        (
            "1.0.1",
            {"adiuva_garden.py": b"x = 1\n", "adiuva_garden-1.0.1.dist-info/WHEEL": WHEEL},
            "adiuva_garden-1.0.1-py2.py3-none-any.whl",
        ),
    ]:
        data = archive(files)
        await author.done("POST", "/plugins", {**GARDEN, "version": version})
        headers = {"Content-Type": "application/octet-stream", "X-Checksum": checksum(data)}
        assert (await author.call("PUT", "/plugins/garden-planner/package", data=data, headers=headers))[0] == 200
        assert checksum(data) in (await run("plugins", "pending")).output
        saved = await run("plugins", "download", "garden-planner", "--to", str(tmp_path / "packages"))
        assert saved.exit_code == 0, saved.output
        assert (tmp_path / "packages" / name).read_bytes() == data
