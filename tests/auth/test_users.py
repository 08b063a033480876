"""Accounts as admins see them and change them over HTTP."""

import asyncio
from typing import Any

import attrs
import pytest
from aiohttp.test_utils import TestClient, TestServer

from adiuva.app import create_app
from adiuva.auth import queries
from adiuva.chat.registry import AgentRegistry
from adiuva.database import Database
from adiuva.settings import Settings
from adiuva.testing.models import ScriptedModel
from tests.chat.conftest import API, User, register


@pytest.fixture
async def client(settings: Settings) -> Any:
    app = create_app(attrs.evolve(settings, default_tier="pro"), model=ScriptedModel(), registry=AgentRegistry())
    async with TestClient(TestServer(app)) as client:
        yield client


async def call(user: User, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    async with user.client.request(method, API + path, json=body, headers=user.headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def id_of(user: User) -> str:
    return str((await user.get("/auth/me"))[1]["id"])


@pytest.fixture
async def ada(client: Any, database: Database) -> User:
    """An admin."""
    ada = await register(client)
    async with database.acquire() as conn:
        await queries.set_admin(conn, ada.email, is_admin=True)
    return ada


@pytest.fixture
async def bob(client: Any) -> User:
    return await register(client, "bob@example.com")


async def test_a_tier_given_by_an_admin_holds_at_once_and_is_in_the_log(ada: User, bob: User) -> None:
    path = f"/admin/users/{await id_of(bob)}/tier"
    status, account = await call(ada, "PUT", path, {"tier": "team"})
    assert (status, account) == (200, {**(await bob.get("/auth/me"))[1], "tier": "team"})
    [entry] = (await ada.get("/admin/audit"))[1]["items"]
    assert (entry["actor_id"], entry["actor"]) == (await id_of(ada), ada.email)
    assert (entry["action"], entry["target"], entry["details"]) == ("user.set_tier", bob.email, {"tier": "team"})


async def test_admins_make_admins_and_take_it_back(ada: User, bob: User) -> None:
    path = f"/admin/users/{await id_of(bob)}/admin"
    assert (await call(ada, "PUT", path))[1]["is_admin"] is True
    assert (await bob.get("/admin/audit"))[0] == 200
    assert (await call(ada, "DELETE", path))[1]["is_admin"] is False
    assert (await bob.get("/admin/audit"))[0] == 403
    actions = [entry["action"] for entry in (await ada.get("/admin/audit"))[1]["items"]]
    assert actions == ["user.revoke_admin", "user.grant_admin"]


async def test_the_last_admin_stays_one(ada: User, bob: User) -> None:
    path = f"/admin/users/{await id_of(ada)}/admin"
    status, problem = await call(ada, "DELETE", path)
    assert (status, problem["code"]) == (409, "last_admin")
    assert (await ada.get("/admin/audit"))[1]["total"] == 0
    await call(ada, "PUT", f"/admin/users/{await id_of(bob)}/admin")
    assert (await call(ada, "DELETE", path))[0] == 200


async def test_admins_who_revoke_each_other_at_once_leave_one(ada: User, bob: User) -> None:
    paths = [f"/admin/users/{await id_of(user)}/admin" for user in (bob, ada)]
    for _ in range(10):
        admin = ada if (await ada.get("/auth/me"))[1]["is_admin"] else bob
        for path in paths:
            assert (await call(admin, "PUT", path))[0] == 200
        await asyncio.gather(*(call(user, "DELETE", path) for user, path in zip((ada, bob), paths, strict=True)))
        assert [(await user.get("/auth/me"))[1]["is_admin"] for user in (ada, bob)].count(True) == 1


async def test_accounts_are_found_by_address_and_id(ada: User, bob: User) -> None:
    bobs = await id_of(bob)
    for query in ("BOB@", "b@example", bobs, bobs.upper()):
        status, listing = await ada.get(f"/admin/users?q={query}")
        assert (status, [item["email"] for item in listing["items"]]) == (200, [bob.email]), query
        assert listing["items"][0]["tier"] == "pro"  # the default one
    assert (await ada.get("/admin/users?q=nobody"))[1] == {"items": [], "page": 1, "limit": 50, "total": 0}
    second = (await ada.get("/admin/users?limit=1&page=2"))[1]
    assert (second["total"], [item["email"] for item in second["items"]]) == (2, [bob.email])
    assert (await ada.get("/admin/users?q=%25"))[1]["total"] == 0  # no pattern


async def test_only_admins_see_and_change_accounts(ada: User, bob: User) -> None:
    bobs = await id_of(bob)
    for method, path in (
        ("GET", "/admin/users"),
        ("PUT", f"/admin/users/{bobs}/tier"),
        ("PUT", f"/admin/users/{bobs}/admin"),
        ("DELETE", f"/admin/users/{await id_of(ada)}/admin"),
    ):
        assert (await call(bob, method, path, {"tier": "team"}))[0] == 403, path
    assert (await bob.get("/auth/me"))[1]["tier"] == "pro"


@pytest.mark.parametrize("user_id", ["0f8fad5b-d9cb-469f-a165-70867728950e", "nobody", "%00"])
async def test_nobody_is_404_and_leaves_no_trace(ada: User, user_id: str) -> None:
    for method, path in (("PUT", "tier"), ("PUT", "admin"), ("DELETE", "admin")):
        status, problem = await call(ada, method, f"/admin/users/{user_id}/{path}", {"tier": "team"})
        assert (status, problem["code"]) == (404, "not_found"), path
    assert (await ada.get("/admin/audit"))[1]["total"] == 0


@pytest.mark.parametrize("body", [{}, {"tier": "gold"}, {"tier": None}, []])
async def test_a_tier_that_is_none_is_422(ada: User, bob: User, body: object) -> None:
    assert (await call(ada, "PUT", f"/admin/users/{await id_of(bob)}/tier", body))[0] == 422


async def test_an_account_that_ends_meanwhile_is_404_or_changed(ada: User, client: Any) -> None:
    for number in range(5):
        cyd = await register(client, f"cyd{number}@example.com")
        path = f"/admin/users/{await id_of(cyd)}/tier"
        ended, *changed = await asyncio.gather(
            call(cyd, "DELETE", "/auth/me", {"password": "correct horse battery"}),
            *(call(ada, "PUT", path, {"tier": "team"}) for _ in range(8)),
        )
        assert ended[0] == 204
        assert {status for status, _ in changed} <= {200, 404}
