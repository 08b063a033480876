"""Slack Notifier against webhooks that behave as Slack's documentation says."""

import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
import structlog

from adiuva.sdk import Action, Context
from adiuva.testing.slack_double import SlackDouble, Trouble
from adiuva.web.outbound import open_session
from adiuva_slack_notifier import SlackNotifier
from adiuva_slack_notifier.text import MAX_CHARACTERS, escaped, message

CREATE = Action(
    "create_task", {"title": "Call the bank", "status": "todo", "priority": "high", "due_date": "2025-11-27"}
)


@pytest.fixture
def notifier() -> SlackNotifier:
    return SlackNotifier(first_pause=0.01)


@pytest.fixture
async def slack() -> AsyncIterator[SlackDouble]:
    async with SlackDouble() as double:
        yield double


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session([ip_network("127.0.0.1/32")]) as session:
        yield session


def ctx(slack: SlackDouble, http: Any, **settings: Any) -> Context:
    return Context(settings={"webhook_url": slack.webhook_url, **settings}, http=http)


async def test_a_batch_is_one_message(notifier: SlackNotifier, slack: SlackDouble, http: Any) -> None:
    await notifier.observe([CREATE, Action("delete_task", {"task_id": "t1"})], ctx(slack, http))
    (posted,) = slack.messages
    assert posted.splitlines() == [
        "*Adiuva*: 2 changes",
        "• Task created: Call the bank (todo, high, 2025-11-27)",
        "• Task to be deleted, if the user confirms it",
    ]


async def test_without_a_webhook_nothing_happens(notifier: SlackNotifier, slack: SlackDouble, http: Any) -> None:
    for url in (None, ""):
        await notifier.observe([CREATE], ctx(slack, http, webhook_url=url))
    await notifier.observe([CREATE], Context(http=http))
    assert slack.asked == 0


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(500, "rollup_error"),
        Trouble(503),
        Trouble(429, "rate_limited", {"Retry-After": "0"}),
        Trouble(429),
        Trouble(None),
    ],
)
async def test_what_may_pass_is_tried_again(
    notifier: SlackNotifier, slack: SlackDouble, http: Any, trouble: Trouble
) -> None:
    slack.trouble.extend([trouble, trouble])
    await notifier.observe([CREATE], ctx(slack, http))
    assert len(slack.messages) == 1
    assert slack.asked == 3


async def test_slack_is_left_alone_for_as_long_as_it_wants(
    notifier: SlackNotifier, slack: SlackDouble, http: Any
) -> None:
    slack.trouble.append(Trouble(429, "rate_limited", {"Retry-After": "1"}))
    started = time.monotonic()
    await notifier.observe([CREATE], ctx(slack, http))
    assert time.monotonic() - started >= 1.0
    assert len(slack.messages) == 1


@pytest.mark.parametrize(
    "trouble, asked",
    [
        ([Trouble(429, "", {"Retry-After": "3600"})], 1),
        ([Trouble(400, "invalid_payload")], 1),
        ([Trouble(403, "action_prohibited")], 1),
        ([Trouble(404, "no_service")], 1),
        ([Trouble(410, "channel_is_archived")], 1),
        ([Trouble(302, "", {"Location": "http://127.0.0.1:1/"})], 1),
        ([Trouble(500)] * 9, 5),
    ],
)
async def test_what_will_not_pass_is_given_up_and_logged_without_what_it_said(
    notifier: SlackNotifier, slack: SlackDouble, http: Any, trouble: list[Trouble], asked: int
) -> None:
    slack.trouble.extend(trouble)
    with structlog.testing.capture_logs() as logs:
        await notifier.observe([CREATE], ctx(slack, http))
    assert (slack.asked, slack.messages) == (asked, [])
    assert [line for line in logs if line["event"] == "not posted"]
    assert "bank" not in str(logs)
    assert "for-tests" not in str(logs)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/x",
        "https://10.0.0.1/services/secret-path",
        "https://169.254.169.254/latest/secret-path",
        "https://[::1]/secret-path",
        "https://user:secret-path@hooks.slack.com/",
        "ftp://secret-path",
        ["secret-path"],
        5,
    ],
)
async def test_an_address_that_is_none_of_slacks_is_not_called(
    notifier: SlackNotifier, slack: SlackDouble, http: Any, url: Any
) -> None:
    started = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        await notifier.observe([CREATE], ctx(slack, http, webhook_url=url))
    assert [line["event"] for line in logs] == ["not posted"]
    assert "secret-path" not in str(logs)
    assert time.monotonic() - started < 5


# the text


def line(name: str, params: dict[str, Any], data: dict[str, Any] | None = None) -> str:
    head, text = message([Action(name, params)], Context(data=data or {})).split("\n")
    assert head == "*Adiuva*"
    return text


def test_what_was_changed_is_named_by_the_clients_own_entries() -> None:
    data = {"tasks": [{"id": "t1", "title": "Call"}], "checkpoints": [{"id": "c1", "name": "Beta"}]}
    assert line("update_task", {"task_id": "t1", "status": "done"}, data) == "• Task changed: Call (done)"
    assert line("delete_checkpoint", {"checkpoint_id": "c1"}, data) == (
        "• Checkpoint to be deleted: Beta, if the user confirms it"
    )
    assert line("add_task_comment", {"task_id": "t1", "text": "private"}, data) == "• Comment on a task added: Call"
    assert line("update_task", {"task_id": "t9"}, data) == "• Task changed"
    assert line("archive_tasks", {}) == "• Archive tasks"
    assert line("create_task", {"title": ["odd"], "status": {"x": 1}}).startswith("• Task created (")


def test_the_text_of_users_mentions_nobody_and_links_to_nothing() -> None:
    evil = "<!channel> <@U123> <https://evil.example|click> & *bold* _it_ ~no~ `code`\nnext *Adiuva*"
    text = line("create_task", {"title": evil})
    assert "<" not in text
    assert "\n" not in text
    assert "&lt;!channel&gt;" in text
    assert "&amp;" in text
    assert "*bold*" not in text
    assert escaped("x" * 500).endswith("…")


def test_a_message_stays_within_slacks_limits() -> None:
    many = message([CREATE] * 50, Context())
    assert many.count("\n") == 21
    assert many.endswith("… and 30 more")
    long = message([Action("create_task", {"title": "<&>" * 60})] * 50, Context())
    assert len(long) <= MAX_CHARACTERS
    assert " more" in long.splitlines()[-1]
