"""The list of plugins, and one of them."""

from typing import Any

from tests.marketplace.conftest import GARDEN, Person, Place, fields, publish

SEEDS = ["github-sync", "slack-notifier", "time-tracker"]

PLUGIN = {
    "id": str,
    "name": str,
    "description": str,
    "version": str,
    "author_id": str,
    "category": str,
    "price_cents": int,
    "currency": str,
    "permissions": list,
    "status": str,
    "install_count": int,
    "avg_rating": type(None),
    "rating_count": int,
    "installed": bool,
    "created_at": str,
}


async def ids(person: Person, query: str = "") -> list[str]:
    return [plugin["id"] for plugin in (await person.done("GET", f"/plugins{query}"))["items"]]


async def test_the_list_has_every_approved_plugin_and_no_other(place: Place, author: Person, user: Person) -> None:
    await author.done("POST", "/plugins", GARDEN)
    await place.sql("UPDATE plugins SET status = 'suspended' WHERE id = 'time-tracker'")
    listing = await user.done("GET", "/plugins")
    assert (listing["page"], listing["limit"], listing["total"]) == (1, 20, 2)
    assert [plugin["id"] for plugin in listing["items"]] == SEEDS[:2]


async def test_a_plugin_has_exactly_these_fields(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin)
    plugin = await user.plugin("garden-planner")
    assert {name: type(value) for name, value in plugin.items()} == PLUGIN
    assert {name: plugin[name] for name in GARDEN} == GARDEN
    assert (plugin["status"], plugin["currency"], plugin["installed"]) == ("approved", "eur", False)
    assert plugin["created_at"].endswith("Z")
    assert plugin == (await user.done("GET", "/plugins?q=garden"))["items"][0]


async def test_search_and_category_choose(user: Person) -> None:
    searches: list[tuple[str, list[str]]] = [
        ("?category=integration", ["github-sync"]),
        ("?category=nothing", []),
        ("?q=GITHUB", ["github-sync"]),
        ("?q=tasks%20channel", ["slack-notifier"]),  # all words, in any order and field
        ("?q=time%20github", []),
        ("?q=%20%20", SEEDS),
        ("?q=%25", []),  # no wildcard
        ("?q=git_ub", []),
        ("?q=%27%3B%20DROP%20TABLE%20plugins", []),
        ("?q=%5C", []),
        ("?q=%C3%BC%F0%9F%8C%BB", []),
        ("?category=productivity&q=measures", ["time-tracker"]),
    ]
    for query, found in searches:
        assert await ids(user, query) == found, query


async def test_search_knows_the_letters_of_all_languages(author: Person, admin: Person, user: Person) -> None:
    await publish(author, admin, name="Öffentliche Gärten", description="Für ΑΘΗΝΑ.")
    for words in ("öffentliche", "GÄRTEN", "αθηνα", "öff gär"):
        assert await ids(user, f"?q={words}") == ["garden-planner"]


async def test_a_query_that_is_wrong_is_told_so(user: Person) -> None:
    searches = [
        ("?sort=best", "sort"),
        ("?category=", "category"),
        ("?category=A%20B", "category"),
        ("?q=" + "a" * 201, "q"),
        ("?q=a%00b", "q"),
        ("?page=0", "page"),
        ("?limit=201", "limit"),
        ("?page=99999999999", "page"),
    ]
    for query, field in searches:
        status, problem = await user.get(f"/plugins{query}")
        assert (status, fields(problem)) == (422, [field])


async def test_sorting_is_by_rating_installs_or_age(place: Place, user: Person) -> None:
    await place.sql("UPDATE plugins SET created_at = now() - interval '1 day' WHERE id = 'slack-notifier'")
    await place.sql("UPDATE plugins SET created_at = now() - interval '2 days' WHERE id = 'github-sync'")
    for person, plugins in [(user, SEEDS[:2]), (await place.person(), SEEDS[1:2])]:
        for plugin in plugins:
            await person.done("POST", f"/plugins/{plugin}/install")
    await user.done("PUT", "/plugins/slack-notifier/rating", {"stars": 3})
    await user.done("PUT", "/plugins/github-sync/rating", {"stars": 4})
    assert await ids(user, "?sort=rating") == await ids(user) == ["github-sync", "slack-notifier", "time-tracker"]
    assert await ids(user, "?sort=installs") == ["slack-notifier", "github-sync", "time-tracker"]
    assert await ids(user, "?sort=newest") == ["time-tracker", "slack-notifier", "github-sync"]


async def test_pages_cut_the_list_and_none_shows_a_plugin_twice(user: Person) -> None:
    pages = [await ids(user, f"?limit=2&page={number}") for number in (1, 2, 3)]
    assert pages == [SEEDS[:2], SEEDS[2:], []]
    assert (await user.done("GET", "/plugins?limit=2&page=3"))["total"] == 3


async def test_the_marketplace_is_for_power_and_team(place: Place) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/plugins", None),
        ("GET", "/plugins/github-sync", None),
        ("GET", "/plugins/none", None),
        ("POST", "/plugins/github-sync/install", None),
        ("PUT", "/plugins/github-sync/rating", {"stars": 5}),
        ("POST", "/plugins", GARDEN),
        ("POST", "/plugins", {}),
    ]
    for tier in ("free", "pro"):
        person = await place.person(tier)
        for call in calls:
            status, problem = await person.call(*call)
            assert (status, problem["code"]) == (403, "tier_required"), call


async def test_the_tier_is_that_of_the_moment(place: Place, user: Person) -> None:
    assert (await user.get("/plugins"))[0] == 200
    await place.sql("UPDATE subscriptions SET tier = 'pro'")
    assert (await user.get("/plugins"))[0] == 403
    await place.sql("UPDATE subscriptions SET tier = 'team'")
    assert (await user.get("/plugins"))[0] == 200


async def test_a_plugin_that_is_not_approved_is_seen_by_its_author_and_admins_only(
    author: Person, user: Person, admin: Person
) -> None:
    await author.done("POST", "/plugins", GARDEN)
    assert (await author.plugin("garden-planner"))["status"] == "pending_review"
    assert (await admin.plugin("garden-planner"))["status"] == "pending_review"
    assert (await user.get("/plugins/garden-planner"))[0] == 404


async def test_what_is_no_plugin_is_not_found(user: Person) -> None:
    calls = [("GET", ""), ("DELETE", ""), ("POST", "/install"), ("DELETE", "/install"), ("GET", "/versions")]
    for plugin_id in ("none", "A", "a_b", "%00", "..%2f..", "a" * 65, "%F0%9F%8C%BB", "'%20OR%201=1"):
        for method, path in calls:
            assert (await user.call(method, f"/plugins/{plugin_id}{path}"))[0] == 404, (plugin_id, method, path)


async def test_nobody_gets_in_without_a_login(place: Place) -> None:
    for method, path in [("GET", "/plugins"), ("POST", "/plugins"), ("GET", "/admin/plugins/pending")]:
        async with place.client.request(method, f"/api/v1{path}") as answer:
            assert answer.status == 401
