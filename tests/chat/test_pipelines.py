"""Several agents for one message."""

import orjson
import pytest

from adiuva.errors import AdiuvaError, LlmUnavailableError
from adiuva.testing.models import ScriptedModel, calling, turn
from tests.chat.conftest import User
from tests.chat.test_socket import frames

BOTH = {"message": "Plane beides", "agents": ["checkpoint_agent", "task_agent"]}


async def test_the_classifier_may_name_several_agents_in_order(user: User, model: ScriptedModel) -> None:
    model.add(['{"agents": ["checkpoint_agent", "task_agent"]}', "Eins.", "Zwei.", "Alles zusammen."])
    status, answer = await user.post("/chat", {"message": "Plane beides"})
    assert (status, answer["response"]) == (200, "Alles zusammen.")
    assert answer["usage"] == {"prompt_tokens": 44, "completion_tokens": 20}
    assert ["checkpoints" in call.messages[0].content for call in model.calls[1:3]] == [True, False]


async def test_each_agent_gets_the_results_of_those_before_it(user: User, model: ScriptedModel) -> None:
    model.add(["Eins.", turn(calling("create_task", title="A")), "Zwei.", "Zusammen."])
    await user.post("/chat", BOTH)
    second = model.calls[1].messages[0].content
    assert '[{"agent":"checkpoint_agent","response":"Eins.","actions":[]}]' in second
    synthesis = model.calls[3].messages[0].content
    assert "Eins." in synthesis
    assert '"create_task"' in synthesis


async def test_only_the_synthesis_is_streamed_and_actions_come_as_they_are_made(
    user: User, model: ScriptedModel
) -> None:
    model.add(
        [
            "Leise eins.",
            turn(calling("create_task", title="A"), calling("create_task", title="B")),
            "Leise zwei.",
            "Alles zusammen.",
        ]
    )
    socket = await user.socket()
    await socket.send_json(BOTH)
    *events, done = await frames(socket)
    kinds = [event["type"] for event in events]
    assert kinds == ["action", "action", "chunk", "chunk"]
    assert done["response"] == "Alles zusammen." == "".join(event.get("text", "") for event in events)
    assert [action["params"]["title"] for action in done["actions"]] == ["A", "B"]


async def test_an_action_that_an_earlier_agent_has_done_is_not_done_again(user: User, model: ScriptedModel) -> None:
    same = {"message": "Zweimal", "agents": ["task_agent", "checkpoint_agent", "task_agent"]}
    model.add([turn(calling("create_task", title="A")), "Eins.", "Zwei.", "Zusammen."])
    _, answer = await user.post("/chat", same)  # a name given twice works once
    assert len(answer["actions"]) == 1
    assert len(model.calls) == 4


@pytest.mark.parametrize("fault", [LlmUnavailableError(), RuntimeError("the user's secret"), AdiuvaError("Kaputt.")])
async def test_one_failing_agent_leaves_the_others_results_and_is_named(
    user: User, model: ScriptedModel, fault: Exception
) -> None:
    model.add([fault, turn(calling("create_task", title="A")), "Zwei."])
    status, answer = await user.post("/chat", BOTH)
    assert status == 200
    assert answer["response"].startswith("Zwei.")
    assert "checkpoint_agent" in answer["response"]
    assert "secret" not in orjson.dumps(answer).decode()
    assert len(answer["actions"]) == 1


async def test_all_agents_failing_is_the_first_ones_error(user: User, model: ScriptedModel) -> None:
    model.add([LlmUnavailableError(), RuntimeError()])
    status, problem = await user.post("/chat", BOTH)
    assert (status, problem["code"]) == (502, "llm_unavailable")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failing_synthesis_gives_the_answers_one_after_another(
    user: User, model: ScriptedModel, *, stream: bool
) -> None:
    model.add(["Eins.", "Zwei.", LlmUnavailableError()])
    if stream:
        socket = await user.socket()
        await socket.send_json(BOTH)
        answer = (await frames(socket))[-1]
    else:
        _, answer = await user.post("/chat", BOTH)
    assert answer["response"] == "Eins.\n\nZwei."


async def test_five_agents_at_most(user: User) -> None:
    status, problem = await user.post("/chat", {"message": "Hi", "agents": ["task_agent"] * 6})
    assert (status, problem["errors"][0]["field"]) == (422, "agents")
