"""The scripted model, which authors of agents test with."""

import pytest

from adiuva.errors import LlmTimeoutError
from adiuva.llm.protocol import Message, ModelCall, ModelTurn
from adiuva.testing.models import Listener, ScriptedModel, calling, turn

CALL = ModelCall(model="openai/x", messages=(Message(role="user", content="Hello"),))


async def test_it_answers_in_turn_and_keeps_what_it_was_asked(listener: Listener) -> None:
    model = ScriptedModel(["Hello, Ada.", turn(calling("create_task", title="Milk")), LlmTimeoutError()])

    assert (await model.run(CALL, listener)).text == "Hello, Ada."
    assert listener.pieces == ["Hello, ", "Ada."]
    wish = (await model.run(CALL)).tool_calls[0]
    assert (wish.name, wish.arguments) == ("create_task", '{"title":"Milk"}')
    with pytest.raises(LlmTimeoutError):
        await model.run(CALL)
    assert model.calls == [CALL] * 3


async def test_an_answer_may_depend_on_the_call() -> None:
    model = ScriptedModel([lambda call: f"You said {call.messages[-1].content}", ModelTurn(text="x", model="other")])

    assert (await model.run(CALL)).text == "You said Hello"
    assert (await model.run(CALL)).model == "other"


async def test_a_call_too_many_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="more often"):
        await ScriptedModel([]).run(CALL)
