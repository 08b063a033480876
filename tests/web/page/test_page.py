"""The page, in a real browser. After each test `open_at` looks that nothing was refused or went elsewhere."""

import asyncio
import json
from typing import Any

import pytest

from adiuva.auth.socket_watch import SOCKETS
from adiuva.health import CHECKS
from adiuva.llm.protocol import ModelCall, ModelTurn, OnText
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import GatedModel
from tests.marketplace.conftest import GARDEN, PASSWORD, Person, Place, publish
from tests.marketplace.packages import archive, checksum
from tests.web.page.chromium import Page
from tests.web.page.conftest import Open, Start, go, sign_in

# The tabs share a browser, and each of them wants the focus for itself.
pytestmark = [pytest.mark.xdist_group("browser")]

KEPT = "sessionStorage.getItem('adiuva.refresh')"
XSS = '<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script><b>bold</b>'
ANSWERED = "document.querySelector('.theirs') && !document.querySelector('.theirs[aria-busy]')"


class PieceByPiece:
    """Streams its pieces, each when the test says so."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.gates = [asyncio.Event() for _ in pieces]

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        for piece, gate in zip(self.pieces, self.gates, strict=True):
            await gate.wait()
            assert on_text is not None
            await on_text(piece)
        return ModelTurn(text="".join(self.pieces))


async def choose(page: Page, label: str, value: str) -> None:
    """Choose in the list with this label."""
    find = (
        f"[...document.querySelectorAll('select')].find((each) => each.labels[0].textContent === {json.dumps(label)})"
    )
    await page.until(find)
    await page.evaluate(f"{find}.value = {json.dumps(value)}")
    await page.evaluate(f"{find}.dispatchEvent(new Event('change'))")


async def say(page: Page, text: str) -> None:
    """Write to the task agent."""
    await choose(page, "Agent", "task_agent")
    await page.fill("Message", text)
    await page.press("Enter")


async def test_everyone_sees_what_runs_and_how_it_does(page: Page, place: Place) -> None:
    await page.sees("Everything is ready.")
    for text in ("0.1.0", "development", "PostgreSQL, your own", "files on this machine", "off: no money moves"):
        await page.sees(text)
    assert str(place.settings.data_dir) not in await page.text("main")
    assert await page.evaluate("document.querySelector('a[href=\"/docs\"]') !== null")
    assert await page.evaluate("[...document.querySelectorAll('nav a')].map((each) => each.textContent)") == ["Server"]


async def test_in_production_there_is_no_link_to_docs(start: Start, open_at: Open) -> None:
    page = await open_at(await start(env="prod"))
    await page.sees("production")
    assert not await page.evaluate("document.querySelector('a[href=\"/docs\"]') !== null")


async def test_a_part_that_is_away_is_named(place: Place, open_at: Open) -> None:
    async def away() -> str:
        return "does not answer"

    checks = place.client.app[CHECKS]
    assert isinstance(checks, dict)
    checks["vectors"] = away
    page = await open_at(place)
    await page.sees("Something is not ready.")
    await page.sees("does not answer", ".check .bad")


async def test_a_registration_says_at_each_field_what_is_wrong(page: Page, place: Place) -> None:
    taken = await place.person()
    await page.click("Create an account")
    await page.fill("E-mail", "nobody")
    await page.fill("Password", PASSWORD)
    await page.press("Enter")
    await page.sees("It must be an e-mail address.", ".fault")
    assert await page.focused() == "E-mail"
    assert await page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    await page.fill("E-mail", "new@example.com")
    await page.fill("Password", "short")
    await page.press("Enter")
    await page.sees("It must have at least 8 characters.", ".fault")
    assert await page.focused() == "Password"
    await page.fill("E-mail", taken.email.upper())
    await page.fill("Password", PASSWORD)
    await page.press("Enter")
    await page.until("document.querySelector('[role=alert]')")
    assert await place.value("SELECT count(*) FROM users") == 1


async def test_whoever_registers_is_signed_in(page: Page) -> None:
    await page.click("Create an account")
    await page.fill("E-mail", "new@example.com")
    await page.fill("Password", PASSWORD)
    await page.press("Enter")
    await page.sees("new@example.com", "#account")
    await page.until("document.querySelector('.composer')")


async def test_a_wrong_password_is_told_and_nothing_is_kept(page: Page, place: Place) -> None:
    person = await place.person()
    await page.fill("E-mail", person.email)
    await page.fill("Password", "something else")
    await page.press("Enter")
    await page.sees("password is wrong", "[role=alert]")
    assert await page.evaluate(KEPT) is None


async def test_a_login_outlives_a_reload_with_its_access_token_nowhere_but_in_memory(page: Page, place: Place) -> None:
    person = await place.person()
    await sign_in(page, person)
    before = await page.evaluate(KEPT)
    await page.reload()
    await page.sees(person.email, "#account")
    assert await page.evaluate(KEPT) != before
    kept = await page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert "eyJ" not in kept  # how every JWT begins
    assert kept.count(await page.evaluate(KEPT)) == 1


async def test_signing_out_ends_the_login_at_the_server_too(page: Page, place: Place) -> None:
    await sign_in(page, await place.person())
    kept = await page.evaluate(KEPT)
    await page.click("Sign out")
    await page.sees("Sign in", "#account")
    assert await page.evaluate(KEPT) is None
    await page.until("document.querySelectorAll('nav a').length === 1")
    # The page forgets before the server has answered: a refresh in between may still succeed.
    await page.until("performance.getEntriesByType('resource').some((each) => each.name.endsWith('/auth/logout'))")
    async with place.client.post("/api/v1/auth/refresh", json={"refresh_token": kept}) as answer:
        assert answer.status == 401


@pytest.mark.proof
async def test_tokens_are_replaced_as_needed_and_a_login_that_was_ended_says_so(start: Start, open_at: Open) -> None:
    place = await start(jwt_access_token_expire_minutes=1)  # the page replaces one a minute before its end
    page = await open_at(place, await place.person(), "#/chat")
    before = await page.evaluate(KEPT)
    await go(page, "Storage", "Storage")
    assert await page.evaluate(KEPT) != before
    await place.sql("DELETE FROM refresh_tokens")
    await page.click("Agents", "nav a")
    await page.sees("Your session has ended", "[role=alert]")
    assert await page.evaluate(KEPT) is None


@pytest.mark.proof
async def test_a_duplicated_tab_hears_of_the_new_token_and_is_no_thief(start: Start, open_at: Open) -> None:
    place = await start(jwt_access_token_expire_minutes=1, refresh_grace_seconds=0)
    page = await open_at(place, await place.person(), "#/chat")
    await page.send("Runtime.evaluate", expression="globalThis.other = open('/page/icon.svg')", userGesture=True)
    await page.until("other.document.readyState === 'complete' && other.location.pathname === '/page/icon.svg'")
    assert await page.evaluate("other.sessionStorage.getItem('adiuva.refresh')") == await page.evaluate(KEPT)
    await page.evaluate("other.location = '/'")
    await page.until("other.document.querySelector('.who')")
    await page.until(f"other.sessionStorage.getItem('adiuva.refresh') === {KEPT}")
    await go(page, "Storage", "Storage")
    await page.until(f"other.sessionStorage.getItem('adiuva.refresh') === {KEPT}")
    await page.evaluate("other.location = '#/agents'")
    await page.until("other.document.querySelector('.agent')")


async def test_an_answer_comes_in_pieces_and_is_whole_in_the_end(start: Start, open_at: Open) -> None:
    rest = " ".join(f"word{number}" for number in range(40))  # the sanitizer holds some words back
    pieces = (f"The first sentence. {rest}", f" and then {rest}.", "\n\n- a list\n", "- with `code`")
    model = PieceByPiece(*pieces)
    place = await start(model)
    page = await open_at(place, await place.person(), "#/chat")
    await say(page, "Tell me")
    await page.until("document.querySelector('.theirs[aria-busy]')")
    model.gates[0].set()
    await page.sees("The first sentence.", ".theirs .text")
    assert "and then" not in await page.text(".theirs .text")
    await page.sees("The first sentence.", "[aria-live=polite] p")
    model.gates[1].set()
    await page.sees("and then word0", ".theirs .text")
    assert "list" not in await page.text(".theirs .text")
    for gate in model.gates:
        gate.set()
    await page.until(ANSWERED)
    assert await page.text(".theirs .text p") == pieces[0] + pieces[1]
    assert await page.text(".theirs .text") == f"{pieces[0]}{pieces[1]}a listwith code"
    assert await page.evaluate("document.querySelectorAll('.theirs li').length") == 2
    assert await page.text(".theirs li code") == "code"
    heard = await page.evaluate(
        "[...document.querySelectorAll('.chat [aria-live] p')].map((each) => each.textContent).join('')"
    )
    assert heard == "".join(pieces)


async def test_actions_are_cards_and_a_deletion_waits_for_a_yes(
    place: Place, model: ScriptedModel, open_at: Open
) -> None:
    page = await open_at(place, await place.person(), "#/chat")
    model.add([turn(calling("create_task", title="Call the bank", priority="high")), "It is done."])
    await say(page, "Add a task")
    await page.sees("Call the bank", ".action[data-action=create_task][data-state=applied]")
    await page.sees("It is done.", ".theirs .text")
    await page.sees("1 task", ".data summary")
    task = await page.evaluate("JSON.parse(JSON.stringify(document.querySelector('.data li').textContent))")
    assert task.startswith("Call the bank")
    await page.until(ANSWERED)

    def delete(call: ModelCall) -> ModelTurn:
        return turn(calling("list_tasks"))

    def by_its_id(call: ModelCall) -> ModelTurn:
        [listed] = json.loads(str(call.messages[-1].content))
        return turn(calling("delete_task", task_id=listed["id"]))

    model.add([delete, by_its_id, "Confirm it."])
    await say(page, "Delete it")
    await page.sees("needs your confirmation", ".action.asks")
    await page.sees("Call the bank", ".action.asks dd")  # not only its id
    await page.sees("1 task", ".data summary")
    await page.click("Confirm: Delete task")
    await page.sees("Applied", ".action.asks .state")
    await page.sees("none yet", ".data summary")


@pytest.mark.proof
async def test_a_dismissed_action_changes_nothing(place: Place, model: ScriptedModel, open_at: Open) -> None:
    page = await open_at(place, await place.person(), "#/chat")
    model.add([turn(calling("delete_task", task_id="1")), "Confirm it."])
    await say(page, "Delete it")
    await page.click("Dismiss: Delete task")
    await page.sees("nothing was changed", ".action .state")
    assert not await page.evaluate("document.querySelector('.action button') !== null")


@pytest.mark.parametrize("way", ["the button", "the key"])
async def test_a_cancel_reaches_the_model_and_is_shown(start: Start, open_at: Open, way: str) -> None:
    model = GatedModel()
    place = await start(model)
    page = await open_at(place, await place.person(), "#/chat")
    await say(page, "Tell me")
    await asyncio.wait_for(model.spoke.wait(), 10)
    assert not model.ended.is_set()
    if way == "the button":
        await page.click("Cancel")
    else:
        await page.press("Escape")
    await page.sees("Cancelled.", ".theirs")
    await asyncio.wait_for(model.ended.wait(), 10)
    await page.until("!document.querySelector('.composer button[type=submit]').disabled")


async def test_what_fails_is_said_and_the_next_message_goes_on(
    place: Place, model: ScriptedModel, open_at: Open
) -> None:
    page = await open_at(place, await place.person("free"), "#/chat")
    model.add([RuntimeError("secret")])
    await say(page, "Tell me")
    await page.sees("Something went wrong", ".theirs [role=alert]")
    assert "secret" not in await page.text("main")
    model.add(["Here I am."])
    await say(page, "Again")
    await page.sees("Here I am.", ".theirs .text")


@pytest.mark.proof
async def test_a_socket_that_was_closed_is_opened_again(place: Place, model: ScriptedModel, open_at: Open) -> None:
    page = await open_at(place, await place.person(), "#/chat")
    model.add(["One.", "Two."])
    await say(page, "First")
    await page.sees("One.", ".theirs .text")
    for socket in list(place.client.app[SOCKETS]._sockets):
        await socket.close(4401, "token expired")
    await say(page, "Second")
    await page.sees("Two.", ".theirs .text")
    assert sum("/chat/stream?ticket=" in url for url in page.requests) == 2


async def test_the_conversation_goes_along_and_nobody_else_sees_it(
    place: Place, model: ScriptedModel, open_at: Open
) -> None:
    page = await open_at(place, await place.person(), "#/chat")
    model.add(["One.", "Two."])
    await say(page, "My first secret")
    await page.sees("One.", ".theirs .text")
    await go(page, "Storage", "Storage")
    await go(page, "Chat", "Chat")
    await page.sees("One.", ".theirs .text")
    await say(page, "Second")
    await page.sees("Two.", ".theirs .text")
    said = [message.content for message in model.calls[1].messages if message.role in {"user", "assistant"}]
    assert said[:2] == ["My first secret", "One."]
    await page.click("Sign out")
    await page.sees("Sign in", "#account")
    await sign_in(page, await place.person())
    assert "secret" not in await page.text("body")


@pytest.mark.proof
async def test_agents_show_what_runs_and_go_on_showing_it(start: Start, open_at: Open) -> None:
    model = GatedModel()
    place = await start(model)
    person = await place.person("team")
    page = await open_at(place, person, "#/chat")
    await say(page, "Tell me")
    await asyncio.wait_for(model.spoke.wait(), 10)
    await go(page, "Agents", "Agents")
    figures = "[...document.querySelectorAll('[data-agent=task_agent] dl div')]"
    running = f"{figures}.find((each) => each.textContent.startsWith('running'))"
    await page.until(f"{running}?.querySelector('dd').textContent === '1'")
    assert (
        await page.evaluate(
            "document.querySelector('[data-agent=task_agent] [role=meter]').getAttribute('aria-valuemax')"
        )
        == "1000"
    )
    await page.click("7 tools", "[data-agent=task_agent] summary")
    model.gate.set()
    await page.until(f"{running}?.querySelector('dd').textContent === '0'")
    assert await page.evaluate("document.querySelector('[data-agent=task_agent] details').open")
    await page.until("document.querySelector('[data-agent=task_agent]').textContent.includes('handled1')")


async def test_a_rate_is_what_was_handled_over_what_was_seen(page: Page) -> None:
    history = [
        {"at": 1000, "actors": [{"name": "a", "handled": 10}]},
        {"at": 31000, "actors": [{"name": "a", "handled": 40}]},
    ]
    rate = "import('/page/agents.js').then(({ rate }) => rate(%s, { name: 'a', handled: %d }))"
    assert await page.evaluate(rate % (json.dumps(history), 40)) == 60
    assert await page.evaluate(rate % (json.dumps(history[:1]), 10)) is None
    assert await page.evaluate(rate % (json.dumps(history), 5)) == 0  # the server began anew


async def test_storage_is_a_bar_against_the_quota(place: Place, open_at: Open) -> None:
    person = await place.person("pro")
    # Beside its counter there is a record of that size: else housekeeping would put the counter right.
    await place.sql(
        "INSERT INTO storage_usage (user_id, kind, used_bytes) SELECT id, 'records', 4 * 1024::bigint ^ 3 FROM users"
    )
    await place.sql(
        "INSERT INTO storage_records (user_id, id, table_name, blob_key, checksum, size_bytes, change)"
        " SELECT id, gen_random_uuid(), 'notes', 'large', repeat('0', 64), 4 * 1024::bigint ^ 3, 0 FROM users"
    )
    page = await open_at(place, person, "#/storage")
    await page.sees("4 GiB of 5 GiB", "[data-kind=records]")
    bar = "document.querySelector('[data-kind=records] [role=meter]')"
    assert await page.evaluate(f"{bar}.firstChild.getBoundingClientRect().width / {bar}.clientWidth") == pytest.approx(
        0.8, abs=0.01
    )
    assert await page.evaluate(f"{bar}.getAttribute('aria-valuetext')") == "4 GiB of 5 GiB"
    await page.sees("0 bytes of 5 GiB", "[data-kind=backups]")


async def test_plugins_are_found_installed_with_the_rights_that_are_shown_and_uninstalled(
    place: Place, open_at: Open
) -> None:
    author, admin, person = await place.person(), await place.person(admin=True), await place.person()
    await publish(author, admin)
    await publish(author, admin, id="tide-table", name="Tide Table", description="When the sea comes.")
    page = await open_at(place, person, "#/plugins")
    await page.fill("Search", "beds")
    await page.press("Enter")
    await page.sees("1 plugin", "[role=status]")
    await page.until("!document.querySelector('[data-plugin=tide-table]')")
    await page.click("Install Garden Planner")
    await page.sees("Garden Planner", "[aria-label='Installed plugins']")
    installed = (await person.done("GET", "/plugins/installed"))["items"]
    assert [(each["id"], each["accepted_permissions"]) for each in installed] == [
        ("garden-planner", GARDEN["permissions"])
    ]
    await page.until("document.activeElement.textContent === 'Uninstall'")
    await page.press("Enter")
    await page.sees("None yet.", "[aria-label='Installed plugins']")
    assert (await person.done("GET", "/plugins/installed"))["total"] == 0


@pytest.mark.proof
async def test_a_tier_without_the_marketplace_is_told_and_can_still_uninstall(place: Place, open_at: Open) -> None:
    author, admin, person = await place.person(), await place.person(admin=True), await place.person()
    await publish(author, admin)
    await person.done("POST", "/plugins/garden-planner/install")
    await place.sql(
        "UPDATE subscriptions SET tier = 'free' FROM users WHERE users.id = user_id AND email = $1", person.email
    )
    page = await open_at(place, person, "#/plugins")
    await page.sees("part of the tiers Power and Team")
    await page.click("Uninstall Garden Planner")
    await page.sees("None yet.", "[aria-label='Installed plugins']")


async def test_an_admin_approves_what_waits(place: Place, open_at: Open) -> None:
    author, admin = await place.person(), await place.person(admin=True)
    await author.done("POST", "/plugins", GARDEN)
    page = await open_at(place, admin, "#/review")
    await page.sees("There is no package to check.")
    await page.fill("Notes for the author", "Well done.")
    await page.click("Approve Garden Planner")
    await page.sees("Nothing waits for a review.")
    assert (await author.plugin("garden-planner"))["status"] == "approved"
    assert await place.value("SELECT notes FROM plugin_reviews WHERE plugin_id = 'garden-planner'") == "Well done."


async def test_an_admin_sees_the_check_report_and_rejects_with_a_reason(place: Place, open_at: Open) -> None:
    author, admin = await place.person(), await place.person(admin=True)
    await author.done("POST", "/plugins", GARDEN)
    await report(place, author)
    page = await open_at(place, admin, "#/review")
    await page.sees("failed", ".report .badge")
    await page.sees("behaviour connections.py:3 opens a connection by itself", ".findings li")
    await page.click("Reject Garden Planner")
    await page.sees("Say why it is rejected.", ".fault")
    assert await page.focused() == "Notes for the author"
    await page.type("It opens a connection.")
    await page.click("Reject Garden Planner")
    await page.sees("Nothing waits for a review.")
    versions = (await author.done("GET", "/plugins/garden-planner/versions"))["items"]
    assert versions[0]["review"]["notes"] == "It opens a connection."
    assert versions[0]["status"] == "rejected"


@pytest.mark.proof
async def test_a_decision_about_what_has_changed_meanwhile_is_refused(place: Place, open_at: Open) -> None:
    author, admin = await place.person(), await place.person(admin=True)
    await author.done("POST", "/plugins", GARDEN)
    page = await open_at(place, admin, "#/review")
    await author.done("POST", "/plugins", GARDEN | {"version": "2.0.0"})
    await page.click("Approve Garden Planner")
    await page.until("document.querySelector('[role=alert]')")
    assert (await author.plugin("garden-planner"))["status"] == "pending_review"


async def test_the_review_queue_is_for_admins(place: Place, open_at: Open) -> None:
    page = await open_at(place, await place.person(), "#/chat")
    assert not await page.evaluate("document.querySelector('a[href=\"#/review\"]') !== null")
    await page.evaluate("location.hash = '#/review'")
    await page.until("document.querySelector('h1').textContent === 'Sign in'")


async def test_what_others_wrote_is_text_whatever_it_says(place: Place, model: ScriptedModel, open_at: Open) -> None:
    author, admin = await place.person(), await place.person(admin=True)
    await publish(author, admin, name="<img src=x onerror=pwned=1>", description=XSS)
    await author.done("POST", "/plugins", GARDEN | {"id": "tide-table", "name": "<b>Tide</b>", "description": XSS})
    person = await place.person(admin=True)
    await place.sql(
        "UPDATE users SET email = $2 WHERE email = $1", person.email, "<img/src=x/onerror=pwned=1>@example.com"
    )
    page = await open_at(place)
    person.email = "<img/src=x/onerror=pwned=1>@example.com"
    await sign_in(page, person)
    model.add([turn(calling("create_task", title=XSS)), f"{XSS} [a link](javascript:pwned=1) `{XSS}`"])
    await say(page, XSS)
    await page.until(ANSWERED)
    for selector in (".mine .text", ".theirs .text", ".action dd"):
        assert XSS in await page.text(selector)
    await page.sees(XSS, ".data li")
    await go(page, "Plugins", "Plugins")
    await page.sees(XSS, ".plugin .about")
    await go(page, "Review", "Review queue")
    await page.sees("<b>Tide</b>", "h2")
    assert await page.evaluate("globalThis.pwned ?? 'inert'") == "inert"
    assert (
        await page.evaluate(
            "document.querySelectorAll('main img, main script, main b, main a[href^=javascript]').length"
        )
        == 0
    )


async def test_even_a_script_of_the_page_itself_cannot_make_html_of_a_text(place: Place, open_at: Open) -> None:
    page = await open_at(place)
    refused = (
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return ''; } catch (error) { return error.name; } })()"
    )
    assert await page.evaluate(refused) == "TypeError"
    await page.until("true")
    assert any("require-trusted-types-for" in each for each in page.complaints)
    page.complaints.clear()


async def test_a_keyboard_is_enough(place: Place, model: ScriptedModel, open_at: Open) -> None:
    person = await place.person()
    model.add(["Hello to you."])
    page = await open_at(place)
    await page.sees("Everything is ready.")
    await page.press("Tab")
    assert await page.focused() == "Skip to the content"
    await page.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await tab_to(page, "E-mail")
    await page.type(person.email)
    await page.press("Tab")
    assert await page.focused() == "Password"
    await page.type(PASSWORD)
    await page.press("Tab")
    assert await page.focused() == "Sign in"
    await page.press(" ")
    await page.until("document.querySelector('.composer')")
    assert await page.focused() == "Message"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await choose(page, "Agent", "task_agent")
    await page.type("Hello")
    await page.press("Enter")
    await page.sees("Hello to you.", ".theirs .text")
    assert await page.focused() == "Message"
    await tab_to(page, "Storage", shift=True)
    await page.press("Enter")
    await page.until("document.querySelector('h1').textContent === 'Storage' && document.querySelector('.bar')")
    assert await page.focused() == "Storage"  # the heading: a reader says where one is
    assert await page.evaluate("document.activeElement.localName") == "h1"
    await tab_to(page, "Sign out", shift=True)
    await page.press("Enter")
    await page.sees("Sign in", "#account")


async def tab_to(page: Page, name: str, *, shift: bool = False) -> None:
    """Go from control to control until one is called ``name``."""
    passed = []
    for _ in range(40):
        await page.press("Tab", shift=shift)
        passed.append(await page.focused())
        if passed[-1] == name:
            return
    pytest.fail(f"no {name} among {passed}")


async def report(place: Place, author: Person) -> None:
    """A package of the plugin that waits, and what its check has found."""
    data = archive()
    headers = {"Content-Type": "application/octet-stream", "X-Checksum": checksum(data)}
    status, _ = await author.call("PUT", "/plugins/garden-planner/package", data=data, headers=headers)
    assert status == 200
    found: dict[str, Any] = {
        "package": "adiuva-garden",
        "version": "1.0.0",
        "plugin_id": "garden-planner",
        "permissions": ["read:tasks"],
        "passed": False,
        "loaded": True,
        "agents": {"garden_agent": ["list_tasks"]},
        "observers": [],
        "findings": [
            {
                "check": "behaviour",
                "level": "error",
                "where": "connections.py:3",
                "message": "opens a connection by itself",
            }
        ],
        "seconds": 0.4,
    }
    await place.sql(
        "INSERT INTO plugin_check_reports (plugin_id, package_checksum, report)"
        " VALUES ('garden-planner', $1, $2::jsonb)",
        checksum(data),
        json.dumps(found),
    )
