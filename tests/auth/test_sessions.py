import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest

from adiuva.auth.service import AUTH
from adiuva.database import Database
from adiuva.errors import InvalidTokenError
from adiuva.settings import Settings
from tests.auth.conftest import API, PASSWORD, Client, Login, code, post


async def shift_spending(database: Database, seconds: float) -> None:
    """Let time pass for all spent tokens."""
    async with database.acquire() as conn:
        await conn.execute(
            "UPDATE refresh_tokens SET spent_at = spent_at - $1::interval WHERE spent_at IS NOT NULL",
            timedelta(seconds=seconds),
        )


async def test_a_refresh_token_is_exchanged_for_new_tokens(client: Client) -> None:
    first = await Login.register(client)
    second = await first.refresh()
    assert second.refresh_token != first.refresh_token
    assert second.access_token != first.access_token
    assert await second.is_alive()
    assert await first.is_alive()  # an access token lasts as long as its login, until it expires


async def test_the_last_spent_token_gives_the_very_same_answer_again_within_the_grace(client: Client) -> None:
    ada = await Login.register(client)
    body = {"refresh_token": ada.refresh_token}
    answers = [await (await client.post(f"{API}/auth/refresh", json=body)).read() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


async def test_a_spent_token_after_the_grace_revokes_its_whole_login(client: Client, database: Database) -> None:
    first = await Login.register(client)
    other = await Login.of(client)
    second = await first.refresh()
    await shift_spending(database, 10)
    assert await code(client, "refresh", refresh_token=first.refresh_token) == (401, "token_reused")
    assert not await first.is_alive()
    assert not await second.is_alive()
    assert (await post(client, "refresh", refresh_token=second.refresh_token))[0] == 401
    assert await code(client, "refresh", refresh_token=first.refresh_token) == (401, "token_reused")
    assert await other.is_alive()


async def test_a_spent_token_just_inside_the_grace_is_still_answered(client: Client, database: Database) -> None:
    first = await Login.register(client)
    second = await first.refresh()
    await shift_spending(database, 8)
    assert (await first.refresh()).refresh_token == second.refresh_token


async def test_the_second_to_last_token_is_theft_even_within_the_grace(client: Client) -> None:
    first = await Login.register(client)
    second = await first.refresh()
    third = await second.refresh()
    assert await code(client, "refresh", refresh_token=first.refresh_token) == (401, "token_reused")
    assert not await third.is_alive()
    assert (await post(client, "refresh", refresh_token=third.refresh_token))[0] == 401


@pytest.mark.proof
async def test_twenty_parallel_refreshes_of_one_token_are_one_rotation(client: Client, database: Database) -> None:
    ada = await Login.register(client)
    for number in range(1, 51):

        async def refresh(token: str = ada.refresh_token) -> bytes:
            response = await client.post(f"{API}/auth/refresh", json={"refresh_token": token})
            assert response.status == 200
            return await response.read()

        answers = await asyncio.gather(*(refresh() for _ in range(20)))
        assert len(set(answers)) == 1
        ada = await ada.refresh()
        assert await ada.is_alive()
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT count(*) FROM refresh_tokens") == number + 1


@pytest.mark.parametrize("token", ["x", "x" * 43, "x" * 512, "\u00e9", "' OR 1=1 --"])
async def test_an_unknown_refresh_token_is_refused(client: Client, token: str) -> None:
    assert await code(client, "refresh", refresh_token=token) == (401, "invalid_token")


async def test_an_access_token_is_no_refresh_token(client: Client) -> None:
    ada = await Login.register(client)
    assert await code(client, "refresh", refresh_token=ada.access_token) == (401, "invalid_token")
    assert (await post(client, "refresh", refresh_token="x" * 513))[0] == 422


async def test_an_expired_refresh_token_is_refused_and_swept_away_later(client: Client, database: Database) -> None:
    ada = await Login.register(client)
    async with database.acquire() as conn:
        await conn.execute("UPDATE refresh_tokens SET expires_at = now()")
    assert await code(client, "refresh", refresh_token=ada.refresh_token) == (401, "invalid_token")
    bob = await (await Login.of(client)).refresh()
    async with database.acquire() as conn:
        await conn.execute("UPDATE refresh_tokens SET expires_at = now() WHERE spent_at IS NOT NULL")
    await bob.refresh()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM refresh_tokens WHERE spent_at IS NOT NULL") == 1


async def test_only_hashes_of_tokens_are_stored(client: Client, database: Database) -> None:
    ada = await (await Login.register(client)).refresh()
    ticket = (await (await ada.call("POST", "/auth/ticket")).json())["ticket"]
    async with database.acquire() as conn:
        rows = [
            row["text"]
            for table in ("users", "logins", "refresh_tokens", "websocket_tickets")
            for row in await conn.fetch(f"SELECT t::text AS text FROM {table} AS t")
        ]
    for secret in (ada.access_token, ada.refresh_token, ticket, PASSWORD):
        assert not any(secret in row or secret.encode().hex() in row for row in rows)


async def test_logout_ends_its_login_and_no_other(client: Client) -> None:
    ada = await Login.register(client)
    other = await Login.of(client)
    assert await post(client, "logout", refresh_token=ada.refresh_token) == (204, None)
    assert not await ada.is_alive()
    assert await code(client, "refresh", refresh_token=ada.refresh_token) == (401, "invalid_token")
    assert await other.is_alive()
    assert await post(client, "logout", refresh_token=ada.refresh_token) == (204, None)
    assert await post(client, "logout", refresh_token="unknown") == (204, None)


async def test_logout_with_a_token_that_was_just_rotated_ends_the_login(client: Client) -> None:
    first = await Login.register(client)
    second = await first.refresh()
    assert await post(client, "logout", refresh_token=first.refresh_token) == (204, None)
    assert not await second.is_alive()


async def test_a_change_of_password_revokes_all_other_logins(client: Client) -> None:
    ada = await Login.register(client)
    others = [await Login.of(client) for _ in range(3)]
    bob = await Login.register(client, "bob@example.com")
    body = {"current_password": PASSWORD, "new_password": "another password"}
    assert (await ada.call("POST", "/auth/password", body)).status == 204
    assert await ada.is_alive()
    assert await (await ada.refresh()).is_alive()
    assert await bob.is_alive()
    for other in others:
        assert not await other.is_alive()
        assert (await post(client, "refresh", refresh_token=other.refresh_token))[0] == 401
    assert (await post(client, "login", email=ada.email, password=PASSWORD))[0] == 401
    assert await (await Login.of(client, password="another password")).is_alive()


async def test_a_wrong_current_password_changes_nothing(client: Client) -> None:
    ada = await Login.register(client)
    other = await Login.of(client)
    body = {"current_password": "wrong password", "new_password": "another password"}
    response = await ada.call("POST", "/auth/password", body)
    assert (response.status, (await response.json(content_type=None))["code"]) == (401, "invalid_credentials")
    assert await other.is_alive()
    for new in ("short", "x" * 73):
        body = {"current_password": PASSWORD, "new_password": new}
        assert (await ada.call("POST", "/auth/password", body)).status == 422
    assert await (await Login.of(client)).is_alive()


async def test_a_login_that_races_a_change_of_password_is_revoked_or_refused(client: Client) -> None:
    ada = await Login.register(client)
    old = PASSWORD
    for number in range(10):
        new = f"password number {number}"
        body = {"current_password": old, "new_password": new}
        changed, *logins = await asyncio.gather(
            ada.call("POST", "/auth/password", body),
            *(post(client, "login", email=ada.email, password=old) for _ in range(5)),
        )
        assert changed.status == 204
        for status, tokens in logins:
            if status == 200:
                login = Login(client, ada.email, tokens["access_token"], tokens["refresh_token"])
                assert not await login.is_alive()
        old = new


async def test_the_sessions_of_a_user_are_listed_and_revoked_one_by_one(client: Client) -> None:
    ada = await Login.register(client)
    other = await Login.of(client)
    await Login.register(client, "bob@example.com")
    items = (await (await ada.call("GET", "/auth/sessions")).json())["items"]
    assert [set(item) for item in items] == [{"id", "created_at", "last_used_at", "user_agent", "current"}] * 2
    assert sorted(item["current"] for item in items) == [False, True]
    (elsewhere,) = [item["id"] for item in items if not item["current"]]
    assert (await ada.call("DELETE", f"/auth/sessions/{elsewhere}")).status == 204
    assert (await ada.call("DELETE", f"/auth/sessions/{elsewhere}")).status == 404
    assert not await other.is_alive()
    assert await ada.is_alive()
    items = (await (await ada.call("GET", "/auth/sessions")).json())["items"]
    assert [item["current"] for item in items] == [True]
    assert (await ada.call("DELETE", f"/auth/sessions/{items[0]['id']}")).status == 204
    assert not await ada.is_alive()


async def test_a_session_is_no_longer_listed_when_it_cannot_be_refreshed(client: Client, database: Database) -> None:
    ada = await Login.register(client)
    again = await Login.of(client)
    async with database.acquire() as conn:
        await conn.execute(
            "UPDATE refresh_tokens SET expires_at = now() "
            "WHERE created_at = (SELECT min(created_at) FROM refresh_tokens)"
        )
    assert len((await (await again.call("GET", "/auth/sessions")).json())["items"]) == 1
    assert await ada.is_alive()


async def test_logins_that_have_expired_are_swept_away_at_the_next_login(client: Client, database: Database) -> None:
    ada, bob = await Login.register(client), await Login.register(client, "bob@example.com")
    await Login.of(client)
    async with database.acquire() as conn:
        await conn.execute("UPDATE refresh_tokens SET expires_at = now()")
        await Login.of(client)
        assert await conn.fetchval("SELECT count(*) FROM logins") == 2
    assert not await ada.is_alive()
    assert await bob.is_alive()


async def test_another_users_session_is_404(client: Client) -> None:
    ada, bob = await Login.register(client), await Login.register(client, "bob@example.com")
    (session,) = (await (await bob.call("GET", "/auth/sessions")).json())["items"]
    for login_id in (session["id"], str(uuid4()), "x", "%00", "1' OR '1'='1"):
        assert (await ada.call("DELETE", f"/auth/sessions/{login_id}")).status == 404
    assert await bob.is_alive()


async def test_a_token_is_refused_as_soon_as_its_user_is_gone(client: Client, database: Database) -> None:
    ada = await Login.register(client)
    async with database.acquire() as conn:
        await conn.execute("DELETE FROM users")
    assert not await ada.is_alive()
    assert await code(client, "refresh", refresh_token=ada.refresh_token) == (401, "invalid_token")


FORGERIES: list[Callable[[dict[str, Any], str], str]] = [
    lambda claims, _: jwt.encode(claims, "another secret that is long enough", "HS256"),
    lambda claims, _: jwt.encode(claims, "", "none"),
    lambda claims, secret: jwt.encode(claims, secret, "HS512"),
    lambda claims, secret: jwt.encode({**claims, "exp": 1}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "exp": claims["iat"]}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "exp": 10**18}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "exp": "soon"}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "exp": [str(claims["exp"])]}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "nbf": claims["exp"]}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "type": "refresh"}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "sub": "x"}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "sub": str(uuid4())}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "jti": "x"}, secret, "HS256"),
    lambda claims, secret: jwt.encode({**claims, "jti": f"{uuid4()}.x"}, secret, "HS256"),
    *(
        lambda claims, secret, name=name: jwt.encode({k: v for k, v in claims.items() if k != name}, secret, "HS256")
        for name in ("sub", "email", "iat", "exp", "jti", "type")
    ),
]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_forged_access_tokens_are_refused(
    client: Client, settings: Settings, forge: Callable[[dict[str, Any], str], str]
) -> None:
    ada = await Login.register(client)
    claims = jwt.decode(ada.access_token, options={"verify_signature": False})
    forged = forge(claims, settings.jwt_secret)
    response = await client.get(f"{API}/auth/me", headers={"Authorization": f"Bearer {forged}"})
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_other_strings_are_no_access_tokens(client: Client) -> None:
    ada = await Login.register(client)
    header, claims, signature = ada.access_token.split(".")
    for token in (
        ada.refresh_token,
        "",
        ".",
        "..",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}..{signature}",
        f"{ada.access_token}.{signature}",
        ada.access_token[:-2],
        "e30.e30.e30",
        "x" * 8000,
    ):
        response = await client.get(f"{API}/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert response.status == 401, token


async def test_a_token_that_was_good_is_refused_when_it_has_expired(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await Login.register(client)
    assert await ada.is_alive()
    monkeypatch.setattr("adiuva.auth.tokens.now", lambda: datetime.now(UTC) + timedelta(minutes=29, seconds=55))
    assert await ada.is_alive()
    monkeypatch.setattr("adiuva.auth.tokens.now", lambda: datetime.now(UTC) + timedelta(minutes=30))
    assert not await ada.is_alive()


async def issue_ticket(login: Login) -> str:
    response = await login.call("POST", "/auth/ticket")
    body = await response.json()
    assert (response.status, set(body), body["expires_in"]) == (200, {"ticket", "expires_in"}, 30)
    return str(body["ticket"])


async def redeem(client: Client, ticket: str) -> bool:
    assert client.app is not None
    try:
        await client.app[AUTH].redeem_ticket(ticket)
    except InvalidTokenError:
        return False
    return True


async def test_a_ticket_stands_for_its_user_once(client: Client) -> None:
    assert client.app is not None
    ada = await Login.register(client)
    ticket = await issue_ticket(ada)
    principal = await client.app[AUTH].redeem_ticket(ticket)
    claims = jwt.decode(ada.access_token, options={"verify_signature": False})
    assert (principal.email, str(principal.user_id)) == (ada.email, claims["sub"])
    assert principal.expires_at.timestamp() == claims["exp"]
    assert not await redeem(client, ticket)


@pytest.mark.proof
async def test_of_twenty_parallel_uses_of_a_ticket_one_is_accepted(client: Client) -> None:
    ada = await Login.register(client)
    for _ in range(20):
        ticket = await issue_ticket(ada)
        assert sum(await asyncio.gather(*(redeem(client, ticket) for _ in range(20)))) == 1


async def test_a_ticket_is_worth_nothing_after_its_time_and_is_swept_away(client: Client, database: Database) -> None:
    ada = await Login.register(client)
    stale, unused = await issue_ticket(ada), await issue_ticket(ada)
    async with database.acquire() as conn:
        await conn.execute("UPDATE websocket_tickets SET expires_at = expires_at - interval '31 seconds'")
    assert not await redeem(client, stale)
    fresh = await issue_ticket(ada)
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM websocket_tickets") == 1
    assert not await redeem(client, unused)
    assert await redeem(client, fresh)


@pytest.mark.parametrize("ticket", ["", "x", "x" * 10_000, "\u00e9", "\x00"])
async def test_what_is_no_ticket_opens_nothing(client: Client, ticket: str) -> None:
    assert not await redeem(client, ticket)


async def test_a_ticket_ends_with_its_login(client: Client) -> None:
    ada = await Login.register(client)
    ticket = await issue_ticket(ada)
    await post(client, "logout", refresh_token=ada.refresh_token)
    assert not await redeem(client, ticket)


async def test_an_open_socket_learns_of_revoked_logins_and_changed_tiers(client: Client, database: Database) -> None:
    assert client.app is not None
    auth = client.app[AUTH]
    ada, other = await Login.register(client), await Login.of(client)
    first = await auth.authenticate(ada.access_token)
    second = await auth.authenticate(other.access_token)
    ids = [first.login_id, second.login_id]
    assert await auth.revoked_logins(ids) == set()
    async with database.acquire() as conn:
        await conn.execute("INSERT INTO subscriptions (user_id, tier) VALUES ($1, 'pro')", first.user_id)
    assert (await auth.refresh_principal(first.login_id, first.expires_at)).tier == "pro"
    await post(client, "logout", refresh_token=ada.refresh_token)
    assert await auth.revoked_logins([*ids, unknown := uuid4()]) == {first.login_id, unknown}
    with pytest.raises(InvalidTokenError):
        await auth.refresh_principal(first.login_id, first.expires_at)
