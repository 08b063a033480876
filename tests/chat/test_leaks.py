"""Prompts never leave the server: a model that recites them, by every way out."""

import re
from typing import Any

import orjson
import pytest

from adiuva.chat.agent_actor import EARLIER_RESULTS
from adiuva.chat.orchestrator import SYNTHESIS_PROMPT
from adiuva.errors import AdiuvaError, ValidationFailedError
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import Start, TaskAgent, User, register
from tests.chat.test_socket import frames

SECRET = (
    "You keep the user's tasks in good order. Never touch what belongs to the green archive of the northern office, "
    "and always say please before you ask for a date."
)
DISGUISES = [SECRET, SECRET.upper(), SECRET.replace(" ", "\n  "), f"```text\n{SECRET}\n```", f"Sure! {SECRET} Bye."]
ASK = {"message": "Hi", "agents": ["task_agent"]}


@pytest.fixture
def agent() -> TaskAgent:
    agent = TaskAgent()
    agent.instructions = SECRET
    return agent


@pytest.fixture
async def user(start: Start) -> User:
    return await register(await start(default_tier="team", rate_limits=dict.fromkeys(("free", "team"), 1000)))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def leaks(answer: object) -> bool:
    """Whether eight consecutive words of the prompt are anywhere in it."""
    said = " ".join(words(orjson.dumps(answer).decode().replace("\\n", " ")))
    secret = words(SECRET)
    return any(" ".join(secret[n : n + 8]) in said for n in range(len(secret) - 7))


def test_the_check_itself_finds_a_leak() -> None:
    assert leaks({"response": DISGUISES[2]})
    assert not leaks({"response": "Your tasks are in good order."})


@pytest.mark.parametrize("said", DISGUISES)
async def test_in_the_answer_over_rest_and_over_the_socket_alike(user: User, model: ScriptedModel, said: str) -> None:
    model.add([said, said])
    _, answer = await user.post("/chat", ASK)
    socket = await user.socket()
    await socket.send_json(ASK)
    *chunks, done = await frames(socket)
    assert not leaks(answer)
    assert not leaks([chunks, done])
    assert "[REDACTED]" in answer["response"] == done["response"] == "".join(chunk["text"] for chunk in chunks)


async def test_in_an_actions_parameters(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("create_task", title=SECRET)), "Fertig."] * 2)
    _, answer = await user.post("/chat", ASK)
    socket = await user.socket()
    await socket.send_json(ASK)
    everything = [answer, await frames(socket)]
    assert not leaks(everything)
    assert answer["actions"][0]["params"]["title"].startswith("[REDACTED]")


async def test_in_a_tool_call_to_the_client(user: User, model: ScriptedModel) -> None:
    model.add([turn(calling("list_tasks")), "Fertig."])
    socket = await user.socket()
    await socket.send_json({**ASK, "client_tools": True})
    call = await socket.receive_json(timeout=10)
    await socket.send_json({"type": "tool_result", "id": call["id"], "result": [SECRET]})
    assert not leaks([call, await frames(socket)])


async def test_in_an_error(user: User, model: ScriptedModel) -> None:
    model.add([AdiuvaError(SECRET), AdiuvaError(SECRET)])
    _, problem = await user.post("/chat", ASK)
    socket = await user.socket()
    await socket.send_json(ASK)
    assert not leaks([problem, await frames(socket)])


async def test_in_the_faults_of_fields(user: User, model: ScriptedModel) -> None:
    model.add([ValidationFailedError([("message", SECRET)]), ValidationFailedError([("message", SECRET)])])
    status, problem = await user.post("/chat", ASK)
    socket = await user.socket()
    await socket.send_json(ASK)
    assert (status, problem["errors"]) == (422, [{"field": "message", "message": "[REDACTED]."}])
    assert not leaks([problem, await frames(socket)])


async def test_over_several_actions_and_their_fields(user: User, model: ScriptedModel) -> None:
    said = SECRET.split()
    wishes = [calling("create_task", title=word) for word in said]
    model.add([turn(*wishes), "Fertig."] * 2)
    _, answer = await user.post("/chat", ASK)
    socket = await user.socket()
    await socket.send_json(ASK)
    *sent, done = await frames(socket)
    for actions in (answer["actions"], done["actions"], [frame["action"] for frame in sent if "action" in frame]):
        titles = [action["params"]["title"] for action in actions]
        assert len(titles) == len(said)
        assert titles[:7] == [*said[:6], "[REDACTED]"]  # "user's" counts for two
        assert not leaks(titles)


async def test_what_agents_are_told_of_each_other(user: User, model: ScriptedModel) -> None:
    model.add(["Eins.", f"Mir wurde gesagt: {EARLIER_RESULTS}", "Eins. Zwei."])
    _, answer = await user.post("/chat", {"message": "Hi", "agents": ["task_agent", "checkpoint_agent"]})
    model.add([f"Mir wurde gesagt: {EARLIER_RESULTS}"])
    _, answer = await user.post("/chat", ASK)
    assert answer["response"] == "Mir wurde gesagt: [REDACTED]:"


async def test_in_a_joined_answer_and_in_plans(user: User, model: ScriptedModel) -> None:
    model.add([SECRET, "Zwei.", SYNTHESIS_PROMPT + SECRET])
    _, answer = await user.post("/chat", {"message": "Hi", "agents": ["task_agent", "checkpoint_agent"]})
    assert not leaks(answer)
    assert "[REDACTED]" in answer["response"]
    _, plan = await user.post("/chat", {**ASK, "mode": "plan"})
    assert not leaks([plan, await user.get("/plans/playbook")])


async def test_ordinary_text_of_the_user_comes_back_as_it_was(user: User, model: ScriptedModel) -> None:
    title = 'Compare <think> tags in HTML with {"agents": ["x"]} and everything after them: keep it all, please.'
    model.add([turn(calling("create_task", title=title)), "Fertig."])
    _, answer = await user.post("/chat", ASK)
    kept: Any = answer["actions"][0]["params"]["title"]
    assert kept.endswith("and everything after them: keep it all, please.")
