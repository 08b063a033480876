"""Submitting plugins: the manifest, the security checklist, versions that rise, and withdrawing."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adiuva.marketplace.submissions.versions import is_above, precedence
from tests.marketplace.conftest import GARDEN, Person, Place, fields, publish


async def refused(person: Person, **changes: Any) -> list[str]:
    """The fields for which a manifest is refused."""
    manifest = {name: value for name, value in {**GARDEN, **changes}.items() if value is not ...}
    status, problem = await person.post("/plugins", manifest)
    assert status == 422, problem
    return fields(problem)


async def test_a_submission_waits_for_review(author: Person, admin: Person) -> None:
    status, plugin = await author.post("/plugins", GARDEN)
    assert status == 201
    assert plugin["status"] == "pending_review"
    assert plugin["author_id"] == (await author.done("GET", "/auth/me"))["id"]
    assert {name: plugin[name] for name in GARDEN} == GARDEN
    pending = await admin.done("GET", "/admin/plugins/pending")
    unchecked = {"package_checksum": None, "check_report": None, "checked_at": None}
    assert (pending["total"], pending["items"]) == (1, [plugin | unchecked])


async def test_a_manifest_that_is_wrong_names_the_field(author: Person) -> None:
    for field in GARDEN:
        assert await refused(author, **{field: ...}) == [field]
        assert await refused(author, **{field: None}) == [field]
        assert await refused(author, **{field: {}}) == [field]
    wrong: list[tuple[str, Any]] = [
        ("id", "Garden"), ("id", "garden_planner"), ("id", "garden\n"), ("id", ""), ("id", "a" * 65), ("id", "gärten"),
        ("id", "earnings"), ("id", "mine"), ("id", "installed"),
        ("name", ""), ("name", "a" * 81), ("name", " Garden"), ("name", "…"), ("name", "A\nB"), ("name", "A\u202eB"),
        ("name", "A\u200bB"), ("name", "Ga\u0308rten"), ("name", "data:text/html,x"),
        ("description", ""), ("description", "a " * 10_001),
        ("version", "1.0"), ("version", "v1.0.0"), ("version", "1.0.0\n"), ("version", "01.0.0"), ("version", "1.0.0-"),
        ("version", "1.0.0-" + "a" * 60), ("version", "1.0.0-01"), ("version", "١.٠.٠"),
        ("category", "Big Things"), ("category", ""), ("category", "a" * 41),
        ("price_cents", -1), ("price_cents", 100_001), ("price_cents", "5"), ("price_cents", 1.5),
        ("price_cents", True),
    ]  # fmt: skip
    for field, value in wrong:
        assert await refused(author, **{field: value}) == [field], (field, value)
    assert await refused(author, permissions=["read:tasks", "admin:all"]) == ["permissions[1]"]
    assert await refused(author, permissions=["read:tasks", "read:tasks"]) == ["permissions[1]"]
    assert await refused(author, permissions=["read:calendar"] * 11) == ["permissions"]


async def test_binary_data_has_no_place_in_a_manifest(author: Person) -> None:
    lines = "\n".join(["QUJDRA+/" * 8] * 20)
    for text in (
        "a\x07b", "a\x1bb", "a\x7fb", "a\x85b", "a\rb", "a\x00b", "a\u202eb",
        "see data:image/png;base64,iVBORw0KGgo=", "DATA:text/html,<script>", "(data:,x)", "data:;base64,QQ==",
        "x" * 1025, "QUJD" * 300, f"Key: {'QUJDRA+/' * 129}==", lines,
    ):  # fmt: skip
        assert await refused(author, description=text) == ["description"], text[:40]
    fine = "Reads data: tasks, notes.\n\n\t- an e-mail's data;\n" + "x" * 1000 + "\n" + "ordinary words " * 200
    assert (await author.post("/plugins", {**GARDEN, "description": fine}))[0] == 201


async def test_all_findings_come_at_once(author: Person) -> None:
    found = await refused(author, id="mine", name="A\u202eB", description="a\x07 data:text/html,x")
    assert found == ["id", "name", "description", "description"]


async def test_a_name_that_users_would_confuse_is_refused(author: Person, admin: Person, place: Place) -> None:
    await publish(author, admin, id="weather-report", name="Weather Report")
    other = await place.person()
    for name in (
        "weather report", "Weather-Report", "WeatherReports", "Wеаthеr Rероrt", "Wéather Repört",
        "Ｗｅａｔｈｅｒ Ｒｅｐｏｒｔ", "Weather Rep0rt", "Weatherreport", "github sync", "Time Trаcker",
    ):  # fmt: skip
        assert "name" in await refused(other, name=name), name
    for plugin_id in ("weather-reports", "weatherreport", "weather--report", "github-sinc", "g1thub-sync"):
        assert await refused(other, id=plugin_id) == ["id"], plugin_id
    # Its own author may have a family of them, and others something else.
    assert (await author.post("/plugins", {**GARDEN, "id": "weather-reports", "name": "Weather Reports"}))[0] == 201
    assert (await other.post("/plugins", {**GARDEN, "id": "whether-or-not", "name": "Whether or not"}))[0] == 201


async def test_only_approved_plugins_take_a_name(author: Person, place: Place) -> None:
    await author.done("POST", "/plugins", GARDEN)
    other = await place.person()
    assert (await other.post("/plugins", {**GARDEN, "id": "garden-planner-2"}))[0] == 201


async def test_an_id_belongs_to_its_author(author: Person, admin: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for plugin_id in ("garden-planner", "github-sync"):
        name = "Something Else Entirely"
        status, problem = await user.post("/plugins", {**GARDEN, "id": plugin_id, "name": name, "version": "9.0.0"})
        assert (status, problem["code"]) == (409, "plugin_id_taken")


async def test_versions_rise(author: Person, admin: Person) -> None:
    await publish(author, admin, version="1.2.0")
    for version in ("1.2.0", "1.1.9", "0.9.0", "1.2.0-rc.1", "1.2.0+build.7"):
        status, problem = await author.post("/plugins", {**GARDEN, "version": version})
        assert (status, problem["code"]) == (409, "version_not_above"), version
    for version in ("1.3.0-alpha", "1.3.0-alpha.1", "1.3.0", "1.10.0", "2.0.0"):
        assert (await author.post("/plugins", {**GARDEN, "version": version}))[0] == 201, version
    pending = (await admin.done("GET", "/admin/plugins/pending"))["items"]
    assert [plugin["version"] for plugin in pending] == ["2.0.0"]  # the earlier ones are superseded


async def test_a_new_version_waits_while_the_approved_one_goes_on(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    new = {
        **GARDEN,
        "version": "2.0.0",
        "name": "Garden Planner Plus",
        "permissions": ["write:notes"],
        "price_cents": 5,
    }
    submitted = await author.done("POST", "/plugins", new)
    assert (submitted["status"], submitted["version"]) == ("pending_review", "2.0.0")
    for person in (user, author):
        plugin = await person.plugin("garden-planner")
        assert (plugin["status"], plugin["version"], plugin["permissions"]) == (
            "approved",
            "1.0.0",
            GARDEN["permissions"],
        )
    approved = await admin.done("POST", "/admin/plugins/garden-planner/review", {"decision": "approved", "notes": ""})
    assert {name: approved[name] for name in new} == new
    assert await user.plugin("garden-planner") == approved


async def test_a_rejected_version_leaves_the_approved_one_alone(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    await author.done("POST", "/plugins", {**GARDEN, "version": "2.0.0", "price_cents": 100})
    rejection = {"decision": "rejected", "notes": "Too expensive."}
    rejected = await admin.done("POST", "/admin/plugins/garden-planner/review", rejection)
    assert (rejected["status"], rejected["version"]) == ("rejected", "2.0.0")
    plugin = await user.plugin("garden-planner")
    assert (plugin["status"], plugin["version"], plugin["price_cents"]) == ("approved", "1.0.0", 0)


async def test_of_parallel_submissions_one_counts(place: Place, author: Person) -> None:
    people = [author, author, author, *await place.people(5)]
    answers = await asyncio.gather(*(person.post("/plugins", GARDEN) for person in people))
    assert sorted(status for status, _ in answers) == [201] + [409] * 7
    assert await place.value("SELECT count(*) FROM plugin_versions WHERE plugin_id = 'garden-planner'") == 1
    versions = [f"1.{minor}.0" for minor in range(1, 9)]
    winner = people[next(index for index, (status, _) in enumerate(answers) if status == 201)]
    answers = await asyncio.gather(*(winner.post("/plugins", {**GARDEN, "version": v}) for v in versions))
    taken = [version for version, (status, _) in zip(versions, answers, strict=True) if status == 201]
    assert "1.8.0" in taken
    assert await place.value("SELECT count(*) FROM plugin_versions WHERE status = 'pending_review'") == 1
    assert await place.value("SELECT version FROM plugin_versions WHERE status = 'pending_review'") == "1.8.0"


async def test_of_parallel_submissions_no_more_wait_than_may(place: Place, author: Person) -> None:
    for number in range(45):
        await author.done("POST", "/plugins", {**GARDEN, "id": f"garden-{number}"})
    more = (author.post("/plugins", {**GARDEN, "id": f"other-{number}"}) for number in range(20))
    assert sorted(status for status, _ in await asyncio.gather(*more)) == [201] * 5 + [409] * 15
    assert await place.value("SELECT count(*) FROM plugin_versions WHERE status = 'pending_review'") == 50


async def test_an_author_has_only_so_many_plugins_waiting(author: Person, user: Person) -> None:
    for number in range(50):
        await author.done("POST", "/plugins", {**GARDEN, "id": f"garden-{number}"})
    status, problem = await author.post("/plugins", {**GARDEN, "id": "garden-50"})
    assert (status, problem["code"]) == (409, "too_many_pending")
    assert (await author.post("/plugins", {**GARDEN, "id": "garden-7", "version": "2.0.0"}))[0] == 201
    assert (await user.post("/plugins", {**GARDEN, "id": "garden-50"}))[0] == 201
    await author.done("DELETE", "/plugins/garden-7")
    assert (await author.post("/plugins", {**GARDEN, "id": "garden-51"}))[0] == 201


async def test_an_author_withdraws_and_may_come_back(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.1.0"})
    assert (await user.delete("/plugins/garden-planner"))[0] == 404
    assert (await admin.delete("/plugins/garden-planner"))[0] == 404
    assert (await author.delete("/plugins/garden-planner"))[0] == 204
    assert (await author.delete("/plugins/garden-planner"))[0] == 409
    assert (await user.get("/plugins/garden-planner"))[0] == 404
    assert (await author.plugin("garden-planner"))["status"] == "withdrawn"
    assert (await admin.done("GET", "/admin/plugins/pending"))["items"] == []
    await publish(author, admin, version="1.2.0")
    assert (await user.plugin("garden-planner"))["version"] == "1.2.0"


async def test_a_plugin_that_an_operator_put_there_can_be_reviewed_like_any_other(place: Place, admin: Person) -> None:
    await place.sql(
        """
        INSERT INTO plugins (id, name, description, version, category, price_cents, permissions)
        VALUES ('house', 'House', 'Keeps the house.', '1.0.0', 'home', 0, '{read:tasks}')
        """
    )
    assert [plugin["id"] for plugin in (await admin.done("GET", "/admin/plugins/pending"))["items"]] == ["house"]
    approved = await admin.done("POST", "/admin/plugins/house/review", {"decision": "approved"})
    assert (approved["status"], approved["author_id"]) == ("approved", None)


async def test_authors_see_their_own_plugins_with_what_was_decided(author: Person, admin: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await admin.done("POST", "/admin/plugins/garden-planner/review", {"decision": "rejected", "notes": "No icon."})
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.0.1"})
    mine = await author.done("GET", "/plugins/mine")
    assert [(plugin["id"], plugin["status"]) for plugin in mine["items"]] == [("garden-planner", "pending_review")]
    assert (await user.done("GET", "/plugins/mine"))["items"] == []
    for person in (author, admin):
        versions = await person.done("GET", "/plugins/garden-planner/versions")
        assert [(version["version"], version["status"]) for version in versions["items"]] == [
            ("1.0.1", "pending_review"),
            ("1.0.0", "rejected"),
        ]
        assert versions["items"][0]["review"] is None
        review = versions["items"][1]["review"]
        assert (review["decision"], review["notes"]) == ("rejected", "No icon.")
    assert (await user.get("/plugins/garden-planner/versions"))[0] == 404


async def test_the_account_of_an_author_takes_its_plugins_along(
    place: Place, author: Person, admin: Person, user: Person
) -> None:
    await publish(author, admin)
    await author.done("POST", "/plugins", {**GARDEN, "version": "1.1.0"})
    await user.done("POST", "/plugins/garden-planner/install")
    await place.sql("DELETE FROM users WHERE email = $1", author.email)
    assert (await user.get("/plugins/garden-planner"))[0] == 404
    plugin = await admin.plugin("garden-planner")
    assert (plugin["status"], plugin["author_id"], plugin["install_count"]) == ("withdrawn", None, 1)
    assert (await admin.done("GET", "/admin/plugins/pending"))["items"] == []
    status, _ = await user.post("/plugins", {**GARDEN, "version": "9.0.0"})
    assert status == 409  # nobody inherits the id, nor what users trusted
    assert (await user.delete("/plugins/garden-planner/install"))[0] == 204


def test_precedence_is_that_of_the_standard() -> None:
    rising = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
              "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]  # fmt: skip
    assert sorted(sorted(rising), key=precedence) == rising
    assert not is_above("1.0.0+b", "1.0.0+a")


@given(st.tuples(*[st.integers(0, 10**20)] * 3), st.tuples(*[st.integers(0, 10**20)] * 3))
def test_versions_are_compared_as_numbers(left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    assert is_above("{}.{}.{}".format(*left), "{}.{}.{}".format(*right)) == (left > right)
