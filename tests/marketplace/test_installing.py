"""Installing, uninstalling, rating, paying; and that whoever has a plugin installed can use it, and nobody else."""

import asyncio
from typing import Any

import pytest

from adiuva.app import MODEL
from adiuva.chat.registry import AgentRegistry
from adiuva.sdk import Action, Agent, Context, PluginManifest, tool
from tests.marketplace.conftest import GARDEN, Person, Place, Start, fields, publish

INSTALL = "/plugins/garden-planner/install"
RATING = "/plugins/garden-planner/rating"


async def test_a_free_plugin_is_installed_once(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    status, installation = await user.post(INSTALL)
    assert status == 201
    assert installation["plugin_id"] == "garden-planner"
    assert installation["revenue"] is None
    assert "stub" not in installation
    assert await user.post(INSTALL) == (200, installation)
    plugin = await user.plugin("garden-planner")
    assert (plugin["installed"], plugin["install_count"]) == (True, 1)
    assert (await author.plugin("garden-planner"))["installed"] is False


async def test_uninstalling_needs_only_a_login(place: Place, author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    await user.done("POST", INSTALL)
    await place.sql("UPDATE subscriptions SET tier = 'free'")
    assert (await user.get("/plugins"))[0] == 403
    installed = await user.done("GET", "/plugins/installed")
    assert [(plugin["id"], plugin["installed"]) for plugin in installed["items"]] == [("garden-planner", True)]
    assert (await user.delete(INSTALL))[0] == 204
    assert (await user.delete(INSTALL))[0] == 404
    assert (await user.done("GET", "/plugins/installed"))["total"] == 0


async def test_what_is_not_approved_is_not_installed(place: Place, author: Person, admin: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    for person in (author, admin, user):
        assert (await person.post(INSTALL))[0] == 404
    await admin.done("POST", "/admin/plugins/garden-planner/review", {"decision": "approved"})
    for status in ("suspended", "withdrawn", "rejected"):
        await place.sql("UPDATE plugins SET status = $1::text::plugin_status", status)
        assert (await user.post(INSTALL))[0] == 404


async def test_a_paid_plugin_is_paid_for_once(place: Place, author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin, price_cents=999)
    answers = await asyncio.gather(*(user.post(INSTALL) for _ in range(10)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    bought = {
        "amount_cents": 999,
        "developer_share_cents": 699,
        "platform_share_cents": 300,
        "stripe_transfer_id": None,
    }
    for _, installation in answers:
        assert installation["revenue"] == bought
        assert installation["stub"] is True
    assert await place.value("SELECT count(*) FROM revenue_events") == 1
    await user.done("DELETE", INSTALL)
    assert (await user.post(INSTALL))[0] == 201  # what was paid for stays paid for
    assert await place.value("SELECT count(*) FROM revenue_events") == 1


async def test_an_author_does_not_pay_for_its_own(place: Place, author: Person, admin: Person) -> None:
    await publish(author, admin, price_cents=999)
    status, installation = await author.post(INSTALL)
    assert (status, installation["revenue"]) == (201, None)
    assert await place.value("SELECT count(*) FROM purchases") == 0


async def test_a_new_price_is_nobodys_who_has_paid(place: Place, author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin, price_cents=100)
    await user.done("POST", INSTALL)
    await user.done("DELETE", INSTALL)
    await publish(author, admin, version="2.0.0", price_cents=50_000)
    _, installation = await user.post(INSTALL)
    assert installation["revenue"]["amount_cents"] == 100


async def test_who_got_the_money_back_no_longer_has_it(
    place: Place, author: Person, admin: Person, user: Person
) -> None:
    from adiuva.marketplace.service import remove_refunded
    from adiuva.web.keys import DATABASE

    await publish(author, admin, price_cents=100)
    await user.done("POST", INSTALL)
    user_id = await place.value("SELECT user_id FROM plugin_installations")
    async with place.client.app[DATABASE].acquire() as conn, conn.transaction():
        await remove_refunded(conn, user_id, "garden-planner")
    assert (await user.plugin("garden-planner"))["installed"] is False


async def test_who_gets_the_money_back_while_installing_does_not_have_it(
    place: Place, author: Person, admin: Person, user: Person
) -> None:
    """The installation is written while the refund waits for the plugin, and is not seen by what began before it."""
    from adiuva.marketplace import queries
    from adiuva.marketplace.service import remove_refunded
    from adiuva.web.keys import DATABASE

    await publish(author, admin)
    user_id = await place.value("SELECT id FROM users WHERE email = $1", user.email)
    database = place.client.app[DATABASE]

    async def refund() -> None:
        async with database.acquire() as conn, conn.transaction():
            await remove_refunded(conn, user_id, "garden-planner")

    async with database.acquire() as conn, conn.transaction():
        await queries.lock_plugin(conn, "garden-planner")
        refunding = asyncio.create_task(refund())
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while not await place.value(waiting):
            await asyncio.sleep(0.01)
        await queries.insert_installation(conn, user_id=user_id, plugin_id="garden-planner", accepted=None)
    await refunding
    assert (await user.plugin("garden-planner"))["installed"] is False


async def test_earnings_are_the_authors(author: Person, admin: Person, user: Person, place: Place) -> None:
    await publish(author, admin, price_cents=999)
    await user.done("POST", INSTALL)
    earnings = await author.done("GET", "/plugins/earnings")
    assert {name: earnings[name] for name in earnings if name not in {"period", "plugins"}} == {
        "currency": "eur",
        "gross_cents": 999,
        "developer_share_cents": 699,
        "platform_share_cents": 300,
        "events": 1,
        "stub": True,
    }
    assert [plugin["plugin_id"] for plugin in earnings["plugins"]] == ["garden-planner"]
    assert await author.done("GET", f"/plugins/earnings?period={earnings['period']}") == earnings
    before = await author.done("GET", "/plugins/earnings?period=2020-01")
    assert (before["period"], before["gross_cents"], before["events"], before["plugins"]) == ("2020-01", 0, 0, [])
    assert (await user.done("GET", "/plugins/earnings"))["events"] == 0
    for period in ("2026-13", "2026", "", "2026-1", "0000-01", "x", "2026-01-01"):
        status, problem = await author.get(f"/plugins/earnings?period={period}")
        assert (status, fields(problem)) == (422, ["period"])


async def test_ratings_are_of_those_who_have_it(author: Person, admin: Person, user: Person, place: Place) -> None:
    await publish(author, admin)
    assert (await user.plugin("garden-planner"))["avg_rating"] is None
    status, problem = await user.put(RATING, {"stars": 5})
    assert (status, problem["code"]) == (409, "not_installed")
    await user.done("POST", INSTALL)
    assert await user.put(RATING, {"stars": 5}) == (200, {"avg_rating": 5.0, "rating_count": 1})
    assert await user.put(RATING, {"stars": 2}) == (200, {"avg_rating": 2.0, "rating_count": 1})
    others = await place.people(2)
    for person in others:
        await person.done("POST", INSTALL)
        await person.done("PUT", RATING, {"stars": 4})
    plugin = await user.plugin("garden-planner")
    assert (plugin["avg_rating"], plugin["rating_count"]) == (10 / 3, 3)
    await user.done("DELETE", INSTALL)
    assert (await user.put(RATING, {"stars": 5}))[0] == 409
    assert (await user.plugin("garden-planner"))["rating_count"] == 3  # an opinion outlives the installation
    wrong: list[Any] = [0, 6, "5", 4.5, True, None, 10**15, []]
    for stars in wrong:
        status, problem = await others[0].put(RATING, {"stars": stars})
        assert (status, fields(problem)) == (422, ["stars"])
    assert (await user.put("/plugins/none/rating", {"stars": 5}))[0] == 404


async def test_an_account_that_ends_is_no_longer_counted(
    place: Place, author: Person, admin: Person, user: Person
) -> None:
    await publish(author, admin, price_cents=999)
    others = await place.people(2)
    for person, stars in [(user, 1), *((other, 4) for other in others)]:
        await person.done("POST", INSTALL)
        await person.done("PUT", RATING, {"stars": stars})
    assert (await user.call("DELETE", "/auth/me", {"password": "correct horse battery"}))[0] == 204
    plugin = await author.plugin("garden-planner")
    assert (plugin["install_count"], plugin["rating_count"], plugin["avg_rating"]) == (2, 2, 4.0)
    # The books outlive it.
    assert (await author.done("GET", "/plugins/earnings"))["gross_cents"] == 3 * 999


async def test_an_account_ends_while_it_installs(place: Place, author: Person, admin: Person) -> None:
    await publish(author, admin)
    people = await place.people(10)
    calls = [person.post(INSTALL) for person in people]
    ends = [person.call("DELETE", "/auth/me", {"password": "correct horse battery"}) for person in people]
    answers = await asyncio.gather(*calls, *ends)
    assert {status for status, _ in answers} <= {201, 204, 401}
    assert (await author.plugin("garden-planner"))["install_count"] == 0
    assert await place.value("SELECT count(*) FROM plugin_installations") == 0


class GardenAgent(Agent):
    name = "garden_agent"
    description = "Plans garden work."
    instructions = "You plan garden work."

    @tool
    def list_beds(self, ctx: Context) -> list[Any]:
        """List the beds."""
        return ctx.entries("beds")


async def agents(person: Person) -> list[str]:
    return [agent["name"] for agent in (await person.done("GET", "/agents"))["items"]]


async def test_installed_means_usable_and_gone_means_gone(start: Start) -> None:
    manifest = PluginManifest(id="garden-planner", permissions=["read:tasks"])
    place = await start(AgentRegistry.of(GardenAgent(), manifest=manifest))
    author, user, other, admin = [*await place.people(3), await place.person(admin=True)]
    ask = {"message": "Hi", "agents": ["garden_agent"]}

    async def serves(person: Person) -> bool:
        """Whether the agent is in the list, and would be asked."""
        listed = "garden_agent" in await agents(person)
        place.client.app[MODEL].add(["Hallo."])
        status, _ = await person.post("/chat", ask)
        assert status in {200, 422}
        assert listed == (status == 200)
        return listed

    await publish(author, admin)
    for person in (author, user, other, admin):
        assert not await serves(person)
    await user.done("POST", INSTALL)
    assert await serves(user)
    assert not await serves(other)
    # A new version that waits, or is rejected, changes nothing.
    await author.done("POST", "/plugins", {**GARDEN, "version": "2.0.0"})
    assert await serves(user)
    await admin.done("POST", "/admin/plugins/garden-planner/review", {"decision": "rejected", "notes": "No."})
    assert await serves(user)
    await admin.done("POST", "/admin/plugins/garden-planner/suspend", {"notes": "Spam."})
    assert not await serves(user)
    await admin.done("POST", "/admin/plugins/garden-planner/reinstate")
    assert await serves(user)
    await author.done("DELETE", "/plugins/garden-planner")
    assert not await serves(user)
    await publish(author, admin, version="3.0.0")
    assert await serves(user)
    await user.done("DELETE", INSTALL)
    assert not await serves(user)


class NoteAgent(Agent):
    name = "diary_agent"
    description = "Keeps a diary."
    instructions = "You keep a diary."

    @tool(permission="read:tasks")
    def list_tasks(self, ctx: Context) -> list[Any]:
        """List the tasks."""
        return ctx.entries("tasks")

    @tool(permission="write:notes")
    def create_note(self, ctx: Context, title: str) -> Action:
        """Create a note."""
        return Action("create_note", {"title": title})


async def tools(person: Person) -> list[str]:
    """What the plugin's agent may do for this user; nothing where it is not there."""
    agents = (await person.done("GET", "/agents"))["items"]
    return next((agent["tools"] for agent in agents if agent["name"] == "diary_agent"), [])


@pytest.fixture
async def diary(start: Start) -> tuple[Person, Person, Person]:
    """Author, user and admin of a server whose package of the plugin asks for more than was approved."""
    manifest = PluginManifest(id="garden-planner", permissions=["read:tasks", "write:notes"])
    place = await start(AgentRegistry.of(NoteAgent(), manifest=manifest))
    author, user = await place.people(2)
    admin = await place.person(admin=True)
    await publish(author, admin, permissions=["read:tasks"])
    return author, user, admin


async def test_an_update_that_asks_for_more_is_parked_until_the_user_has_accepted_it(
    diary: tuple[Person, Person, Person],
) -> None:
    author, user, admin = diary
    status, installation = await user.post(INSTALL)
    assert (status, installation["accepted_permissions"], installation["pending_permissions"]) == (
        201,
        ["read:tasks"],
        [],
    )
    assert await tools(user) == ["list_tasks"]  # its package asks for more than was approved, and does not get it
    await publish(author, admin, version="1.1.0", permissions=["read:tasks", "read:notes", "write:notes"])
    assert await tools(user) == ["list_tasks"]
    (item,) = (await user.done("GET", "/plugins/installed"))["items"]
    assert (item["accepted_permissions"], item["pending_permissions"]) == (
        ["read:tasks"],
        ["read:notes", "write:notes"],
    )
    status, again = await user.post(INSTALL)  # says nothing of permissions, and changes none
    assert (status, again["pending_permissions"]) == (200, ["read:notes", "write:notes"])
    assert await tools(user) == ["list_tasks"]
    status, accepted = await user.post(INSTALL, {"accept_permissions": ["read:tasks", "write:notes"]})
    assert (status, accepted["accepted_permissions"], accepted["pending_permissions"]) == (
        200,
        ["read:tasks", "write:notes"],
        ["read:notes"],
    )
    assert await tools(user) == ["list_tasks", "create_note"]
    await user.done("POST", INSTALL, {"accept_permissions": []})
    assert await tools(user) == []
    assert (await user.plugin("garden-planner"))["install_count"] == 1


async def test_less_than_what_is_asked_for_may_be_accepted_from_the_start(
    diary: tuple[Person, Person, Person],
) -> None:
    author, user, admin = diary
    await publish(author, admin, version="1.1.0", permissions=["read:tasks", "write:notes"])
    status, installation = await user.post(INSTALL, {"accept_permissions": ["write:notes"]})
    assert (status, installation["pending_permissions"]) == (201, ["read:tasks"])
    assert await tools(user) == ["create_note"]


async def test_what_is_accepted_twice_counts_once(diary: tuple[Person, Person, Person]) -> None:
    _, user, _ = diary
    for status in (201, 200):
        answer = await user.post(INSTALL, {"accept_permissions": ["read:tasks", "read:tasks"]})
        assert (answer[0], answer[1]["accepted_permissions"]) == (status, ["read:tasks"])


async def test_nobody_accepts_what_is_not_asked_for(diary: tuple[Person, Person, Person]) -> None:
    _, user, _ = diary
    wrong: list[tuple[Any, str]] = [
        (["write:notes"], "accept_permissions[0]"),
        (["read:tasks", "write:notes"], "accept_permissions[1]"),
        (["*"], "accept_permissions[0]"),
        ("read:tasks", "accept_permissions"),
        ({}, "accept_permissions"),
        (["read:tasks"] * 11, "accept_permissions"),
    ]
    for installed in (False, True):
        for accepted, field in wrong:
            status, problem = await user.post(INSTALL, {"accept_permissions": accepted})
            assert (status, fields(problem)) == (422, [field])
        assert (await user.plugin("garden-planner"))["installed"] is installed
        await user.done("POST", INSTALL)
    assert await tools(user) == ["list_tasks"]
    assert (await user.post("/plugins/nothing/install", {"accept_permissions": []}))[0] == 404
