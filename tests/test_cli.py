"""The command line, as a person at a terminal sees it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from adiuva.testing.serving import Served
from tests.distributions import put_distribution

ADIUVA = str(Path(sys.executable).parent / "adiuva")
PASSWORD = "correct horse battery"


def run(*arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ADIUVA, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environ},
    )


def account(served: Served) -> dict[str, str]:
    return {"ADIUVA_EMAIL": "ada@example.com", "ADIUVA_PASSWORD": PASSWORD, "ADIUVA_URL": served.url}


@pytest.mark.parametrize(
    "command",
    ["", "serve", "migrate", "agents", "plugins", "chat", "demo", "doctor", "admin", "admin set-tier", "admin list"],
)
def test_every_command_has_help(command: str) -> None:
    help_ = run(*command.split(), "--help")
    assert help_.returncode == 0
    assert "Usage: adiuva" in help_.stdout


def test_agents_are_listed_with_their_tools_and_nothing_is_written(tmp_path: Path) -> None:
    listed = run("agents", DATA_DIR=str(tmp_path / "data"))
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in ("task_agent", "project_agent", "note_agent", "checkpoint_agent"))
    assert "list_tasks_due_today" in listed.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_broken_plugin_is_told_and_the_others_are_listed(tmp_path: Path) -> None:
    source = "import no_such_module_at_all\n"
    put_distribution(tmp_path, "broken-garden", module="broken_garden", source=source, entries="garden = broken_garden")
    listed = run("agents", PYTHONPATH=str(tmp_path))
    assert listed.returncode == 0
    assert "task_agent" in listed.stdout
    assert "garden 1.0: not loaded: ModuleNotFoundError" in listed.stderr


def test_plugins_are_listed_with_what_they_bring_and_may_do_and_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    source = "import time\ntime.sleep(60)\n"
    put_distribution(tmp_path, "slow-garden", module="slow_garden", source=source, entries="garden = slow_garden")
    listed = run("plugins", PYTHONPATH=str(tmp_path), PLUGIN_LOAD_SECONDS="2", BLOCKED_PLUGINS="note")
    assert listed.returncode == 0
    assert "task 0.1.0\n  agents: task_agent\n" in listed.stdout
    assert (
        "slack-notifier 1.0.0\n  marketplace plugin: slack-notifier\n"
        "  permissions: read:checkpoints, read:tasks\n  observers: slack_notifier\n"
    ) in listed.stdout
    assert "note: kept out by BLOCKED_PLUGINS" in listed.stdout
    assert listed.stderr == "garden 1.0: not loaded: it took longer than 2 s to load\n"


def test_the_demo_does_the_main_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shown = run("demo", TMPDIR=str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    assert '→ create_task {"title":"Call the bank","status":"todo","priority":"high","due_date":' in shown.stdout
    assert "→ update_task" in shown.stdout
    assert "→ create_note" in shown.stdout
    assert "(not applied)" not in shown.stdout
    assert list(tmp_path.iterdir()) == []


def test_chat_answers_messages_and_shows_their_actions(serve: Callable[..., Served]) -> None:
    served = serve()
    messages = ("Add a task 'Buy milk'", "Mark 'Buy milk' as done")
    talked = run("chat", "--register", *messages, **account(served))
    assert talked.returncode == 0, talked.stderr
    assert '→ create_task {"title":"Buy milk"' in talked.stdout
    assert "→ update_task" in talked.stdout
    typed = run("chat", stdin="What is due today?\n", **account(served))
    assert typed.returncode == 0, typed.stderr
    assert typed.stdout.strip()


def test_what_is_wrong_with_one_message_is_told_and_chat_goes_on(serve: Callable[..., Served]) -> None:
    served = serve()
    lines = ["x" * 20_000, "x" * 2**20, "Add a task 'Buy milk'"]  # refused; the socket closes on it; fine
    talked = run("chat", "--register", stdin="\n".join(lines), **account(served))
    assert talked.returncode == 1
    assert "validation_failed: " in talked.stderr
    assert "cannot_connect: The server closed the connection (1009)." in talked.stderr
    assert '→ create_task {"title":"Buy milk"' in talked.stdout


def test_each_message_counts_once_against_the_rate_limit_and_chat_goes_on_when_it_is_reached(
    serve: Callable[..., Served],
) -> None:
    served = serve(RATE_LIMITS="free=2")
    talked = run("chat", "--register", "Add a task 'A'", "Add a task 'B'", "Add a task 'C'", **account(served))
    assert talked.returncode == 1
    assert talked.stdout.count("→ create_task") == 2
    assert talked.stderr.startswith("  rate_limited: ")


def test_chat_with_a_file_answers_the_agents_from_it_and_changes_it(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve()
    file = tmp_path / "mine.json"
    tasks = [{"id": "t1", "title": "Buy milk", "status": "todo"}, {"id": "t2", "title": "Rest", "status": "todo"}]
    file.write_bytes(orjson.dumps({"tasks": tasks, "owner": "Ada"}))
    talked = run("chat", "--register", "--data", str(file), "Mark 'Buy milk' as done", **account(served))
    assert talked.returncode == 0, talked.stderr
    assert "  ⇢ list_tasks {" in talked.stdout
    assert '→ update_task {"task_id":"t1","status":"done"}' in talked.stdout
    kept = orjson.loads(file.read_bytes())
    assert [task["status"] for task in kept["tasks"]] == ["done", "todo"]
    assert kept["owner"] == "Ada"
    broken = run("chat", "--data", __file__, "Hi", **account(served))
    assert broken.returncode == 1
    assert "test_cli.py is not JSON" in broken.stderr


def test_a_context_file_goes_with_every_message(serve: Callable[..., Served], tmp_path: Path) -> None:
    served = serve()
    file = tmp_path / "context.json"
    file.write_text('{"now": "2031-05-01T09:00:00+02:00"}')
    talked = run("chat", "--register", "--context", str(file), "Add a task 'A' for tomorrow", **account(served))
    assert talked.returncode == 0, talked.stderr
    assert '"due_date":"2031-05-02"' in talked.stdout


def test_chat_tells_a_wrong_password_and_a_server_that_is_not_there(serve: Callable[..., Served]) -> None:
    served = serve()
    refused = run("chat", "Hi", "--url", served.url, "--email", "nobody@example.com", "--password", PASSWORD)
    assert refused.returncode == 1
    assert "Error: " in refused.stderr
    assert "Traceback" not in refused.stderr
    away = run("chat", "Hi", "--url", "http://127.0.0.1:1", "--email", "a@example.com", "--password", PASSWORD)
    assert away.returncode == 1
    assert "No server answers at http://127.0.0.1:1." in away.stderr


def test_wrong_settings_are_told_without_a_trace() -> None:
    refused = run("serve", PORT="http", LOG_LEVEL="LOUD")
    assert refused.returncode == 1
    assert "PORT='http'" in refused.stderr
    assert "LOG_LEVEL='LOUD'" in refused.stderr
    assert "Traceback" not in refused.stderr
