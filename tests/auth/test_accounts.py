import asyncio
import statistics
import time
from datetime import UTC, datetime

import attrs
import jwt
import pytest

from adiuva.auth.models import normal_email
from adiuva.database import Database
from adiuva.settings import Settings
from tests.auth.conftest import API, PASSWORD, Client, Login, Serve, code, post


async def test_whoever_registers_is_logged_in(client: Client, settings: Settings) -> None:
    status, tokens = await post(client, "register", email="Ada@Example.COM", password=PASSWORD)
    assert status == 201
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 1800)
    assert jwt.get_unverified_header(tokens["access_token"])["alg"] == "HS256"
    claims = jwt.decode(tokens["access_token"], settings.jwt_secret, algorithms=["HS256"])
    assert set(claims) == {"sub", "email", "iat", "exp", "jti", "type"}
    assert (claims["type"], claims["exp"] - claims["iat"]) == ("access", 1800)

    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = await (await client.get(f"{API}/auth/me", headers=headers)).json()
    assert set(me) == {"id", "email", "tier", "is_admin", "created_at"}
    assert (me["id"], me["email"], me["tier"], me["is_admin"]) == (claims["sub"], "Ada@example.com", "free", False)
    assert me["created_at"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(me["created_at"])
    assert abs(age.total_seconds()) < 60


async def test_an_address_is_one_account_in_whatever_case(client: Client) -> None:
    await Login.register(client, "ada@example.com")
    for spelling in ("ada@example.com", "ADA@example.com", "ada@EXAMPLE.com"):
        assert await code(client, "register", email=spelling, password=PASSWORD) == (409, "email_taken")
        assert (await post(client, "login", email=spelling, password=PASSWORD))[0] == 200


async def test_of_parallel_registrations_of_one_address_one_wins(client: Client) -> None:
    answers = await asyncio.gather(
        *(post(client, "register", email="ada@example.com", password=PASSWORD) for _ in range(20))
    )
    assert sorted(status for status, _ in answers) == [201] + [409] * 19


@pytest.mark.parametrize(
    "email",
    [
        "a@b.co",
        "first.last+tag@sub.example.co.uk",
        "o'neil_99@example.com",
        "ada@home.local",
        "ada@xn--mnchen-3ya.de",
        "ada@münchen.de",
        "ädä@example.com",
        "x" * 64 + "@example.com",
    ],
)
async def test_addresses_of_all_sorts_register_and_log_in(client: Client, email: str) -> None:
    await Login.register(client, email)
    assert (await (await (await Login.of(client, email)).call("GET", "/auth/me")).json())["email"] == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "ada",
        "@example.com",
        "ada@",
        "ada@example",
        "ada@@example.com",
        "ada@ex@ample.com",
        "ada example@example.com",
        " ada@example.com",
        "ada@example.com ",
        "ada@example.com\n",
        "ada\r\nBcc: all@example.com",
        "ada\u200b@example.com",
        "ada\u202e@example.com",
        "ada\u0007@example.com",
        "ada\u0000@example.com",
        "ada@.example.com",
        "ada@example..com",
        "ada@example.com.",
        "ada@-example.com",
        ".ada@example.com",
        "ada.@example.com",
        "Ada <ada@example.com>",
        "x" * 65 + "@example.com",
        "ada@" + "x" * 64 + ".com",
        "ada@" + "x." * 125 + "com",
        "x" * 100_000,
        None,
        5,
        True,
        ["ada@example.com"],
        {"address": "ada@example.com"},
    ],
)
async def test_what_is_no_address_is_refused(client: Client, email: object) -> None:
    status, problem = await post(client, "register", email=email, password=PASSWORD)
    assert (status, problem["code"]) == (422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["email"]


@pytest.mark.parametrize("call", ["register", "login"])
async def test_an_endless_address_is_refused_before_anything_else_is_done_with_it(client: Client, call: str) -> None:
    endless = "a" + "\u0315\u0327" * 50_000  # combining marks, which normalizing sorts
    begin = time.perf_counter()
    assert await code(client, call, email=endless, password=PASSWORD) == (422, "validation_failed")
    assert normal_email(endless) is None
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("password", ["x" * 8, "x" * 72, "é" * 36, "🐎" * 18, " " * 8, "tab\tand\nnewline"])
async def test_passwords_of_8_characters_to_72_bytes_work(client: Client, password: str) -> None:
    assert (await post(client, "register", email="ada@example.com", password=password))[0] == 201
    assert (await post(client, "login", email="ada@example.com", password=password))[0] == 200
    assert (await post(client, "login", email="ada@example.com", password=password[:-1] + "?"))[0] == 401


@pytest.mark.parametrize(
    "password",
    ["", "x" * 7, "🐎" * 7, "x" * 73, "é" * 40, "🐎" * 19, "x" * 9999, "12345678\x00", None, 12345678, []],
)
async def test_other_passwords_are_refused(client: Client, password: object) -> None:
    status, problem = await post(client, "register", email="ada@example.com", password=password)
    assert (status, problem["code"]) == (422, "validation_failed")
    assert [error["field"] for error in problem["errors"]] == ["password"]


async def test_a_password_is_never_silently_cut(client: Client) -> None:
    await post(client, "register", email="ada@example.com", password="x" * 72)
    for longer in ("x" * 73, "x" * 72 + "é", "x" * 1000):
        assert (await post(client, "login", email="ada@example.com", password=longer))[0] == 422


@pytest.mark.parametrize("email", ["bob@example.com", "ada", "", "ada@example.com\u200b", "\u0130" * 254])
async def test_an_unknown_address_and_a_wrong_password_get_the_same_answer(client: Client, email: str) -> None:
    await Login.register(client)
    answers = []
    for address in (email, "ada@example.com"):
        response = await client.post(
            f"{API}/auth/login",
            json={"email": address, "password": "wrong password"},
            headers={"X-Request-ID": "same"},
        )
        answers.append((response.status, response.headers["WWW-Authenticate"], await response.read()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401
    assert b'"invalid_credentials"' in answers[0][2]


@pytest.mark.proof
async def test_an_unknown_address_and_a_wrong_password_take_the_same_time(serve: Serve, settings: Settings) -> None:
    client = await serve(attrs.evolve(settings, bcrypt_rounds=8))
    await Login.register(client)
    times: dict[str, list[float]] = {"ada@example.com": [], "bob@example.com": []}
    for _ in range(200):
        for email, taken in times.items():
            started = time.perf_counter()
            assert (await post(client, "login", email=email, password="wrong password"))[0] == 401
            taken.append(time.perf_counter() - started)
    wrong, unknown = (statistics.median(taken) for taken in times.values())
    assert abs(wrong - unknown) / max(wrong, unknown) < 0.10


@pytest.mark.proof
async def test_hashing_does_not_hold_up_other_requests(serve: Serve, settings: Settings) -> None:
    client = await serve(attrs.evolve(settings, bcrypt_rounds=12))
    await Login.register(client)
    logins = [asyncio.create_task(post(client, "login", email="ada@example.com", password=PASSWORD)) for _ in range(50)]
    delays = []
    while not all(login.done() for login in logins):
        started = time.perf_counter()
        assert (await client.get(f"{API}/health")).status == 200
        delays.append(time.perf_counter() - started)
        await asyncio.sleep(0.005)
    assert {(await login)[0] for login in logins} == {200}
    assert len(delays) > 100
    assert statistics.quantiles(delays, n=100)[98] < 0.1


async def test_logins_registrations_and_refreshes_are_counted_by_address(serve: Serve, settings: Settings) -> None:
    client = await serve(attrs.evolve(settings, auth_rate_limits={"register": 2, "login": 3, "refresh": 4}))
    for call, limit in (("register", 2), ("login", 3), ("refresh", 4)):
        responses = [
            await client.post(f"{API}/auth/{call}", json={}, headers={"X-Forwarded-For": f"192.0.2.{number}"})
            for number in range(limit + 2)
        ]
        assert [response.status for response in responses] == [422] * limit + [429] * 2
        assert responses[-1].headers["RateLimit-Limit"] == str(limit)
        assert int(responses[-1].headers["Retry-After"]) >= 1


async def test_calls_of_a_user_are_counted_by_the_tier_in_force(
    serve: Serve, settings: Settings, database: Database
) -> None:
    client = await serve(attrs.evolve(settings, rate_limits={"free": 20, "pro": 60, "power": 120, "team": 200}))
    ada = await Login.register(client)
    assert (await ada.call("GET", "/auth/me")).headers["RateLimit-Limit"] == "20"
    for tier, status, limit in (("power", "active", "120"), ("pro", "past_due", "60"), ("pro", "canceled", "20")):
        async with database.acquire() as conn:
            await conn.execute(
                "INSERT INTO subscriptions (user_id, tier, status) SELECT id, $1::text::billing_tier, $2 FROM users "
                "ON CONFLICT (user_id) DO UPDATE SET tier = excluded.tier, status = excluded.status",
                tier,
                status,
            )
        assert (await ada.call("GET", "/auth/me")).headers["RateLimit-Limit"] == limit


@pytest.mark.parametrize("call", ["register", "login", "refresh", "logout", "password", "ticket"])
@pytest.mark.parametrize(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"a":' * 3000, 400),
        (b'{"email": "\\udead"}', 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"email": {}, "password": 5, "refresh_token": [], "current_password": 1, "new_password": null}', 422),
        (b'{"email": "\\u0000", "password": "", "refresh_token": "\\u0000", "current_password": "\\u0000"}', 422),
        (b" " * (2**20 + 1), 413),
    ],
)
async def test_bad_bodies_are_refused(client: Client, call: str, body: bytes, status: int) -> None:
    ada = await Login.register(client)
    headers = {"Authorization": f"Bearer {ada.access_token}", "Content-Type": "application/json"}
    response = await client.post(f"{API}/auth/{call}", data=body, headers=headers)
    assert response.status == (200 if call == "ticket" else status)
    other = await client.post(f"{API}/auth/{call}", data=body, headers={**headers, "Content-Type": "text/plain"})
    assert other.status == (200 if call == "ticket" else 415)


@pytest.mark.parametrize(
    "agent, kept",
    [
        (b"curl/8", "curl/8"),
        (b"x" * 5000, "x" * 512),
        ("Müller".encode(), "Müller"),
        (b"\xff\xfe", "??"),
        (b"a\tb", "ab"),
        (b"", None),
    ],
)
async def test_any_user_agent_will_do(client: Client, agent: bytes, kept: str | None) -> None:
    body = b'{"email": "ada@example.com", "password": "correct horse battery"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(
        b"POST /api/v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\nUser-Agent: %b\r\n\r\n%b" % (len(body), agent, body)
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 201")
    writer.close()
    ada = await Login.of(client)
    sessions = (await (await ada.call("GET", "/auth/sessions")).json())["items"]
    assert [session["user_agent"] for session in sessions if not session["current"]] == [kept]
