"""The offline stand-in, through the real tool loop with the real agents, and with tools that it has never seen."""

import time
from datetime import datetime
from typing import Any

import orjson
import pytest

import adiuva_checkpoint_agent
import adiuva_note_agent
import adiuva_project_agent
import adiuva_task_agent
from adiuva.chat.messages import ProducedAction
from adiuva.chat.orchestrator import ROUTER_PROMPT
from adiuva.chat.rights import Rights
from adiuva.chat.tool_loop import ToolLoop, specs_of
from adiuva.llm.offline import NAME, OfflineModel
from adiuva.llm.protocol import Message, ModelCall, ToolCall, ToolSpec
from adiuva.sdk import Agent, Context
from adiuva.testing.models import Listener

NOW = datetime.fromisoformat("2026-12-01T09:30:00+01:00")  # a Tuesday
MODULES = (adiuva_task_agent, adiuva_project_agent, adiuva_checkpoint_agent, adiuva_note_agent)
AGENTS: dict[str, Agent] = {agent.name: agent for module in MODULES for agent in module.adiuva_agents()}
DATA = {
    "tasks": [
        {
            "id": "t1",
            "title": "Call the bank",
            "status": "todo",
            "priority": "high",
            "due_date": "2026-12-01",
            "comments": [{"id": "c1", "text": "Ask about fees"}],
        },
        {"id": "t2", "title": "Old stuff", "status": "todo", "priority": "low"},
        {"id": "t3", "title": "Buy milk", "status": "done"},
    ],
    "projects": [
        {"id": "p1", "name": "Apollo", "status": "active"},
        {"id": "p2", "name": "Gemini", "status": "archived"},
    ],
    "notes": [{"id": "n1", "title": "Kickoff", "content": "All came"}, {"id": "n2", "title": "Budget 2026"}],
    "checkpoints": [{"id": "k1", "title": "Design review", "project_id": "p1", "status": "ai_suggested"}],
}

SENTENCES = [
    (
        "Add a high priority task 'Call the bank' for tomorrow",
        "task_agent",
        "create_task",
        {"title": "Call the bank", "status": "todo", "priority": "high", "due_date": "2026-12-02"},
    ),
    ("Mark 'Call the bank' as done", "task_agent", "update_task", {"task_id": "t1", "status": "done"}),
    ("I finished Buy milk", "task_agent", "update_task", {"task_id": "t3", "status": "done"}),
    ("Delete the task 'Old stuff'", "task_agent", "delete_task", {"task_id": "t2"}),
    ("Move 'Call the bank' to next Friday", "task_agent", "update_task", {"task_id": "t1", "due_date": "2026-12-04"}),
    ("Set the priority of Buy milk to low", "task_agent", "update_task", {"task_id": "t3", "priority": "low"}),
    (
        "Rename the task 'Buy milk' to 'Buy oat milk'",
        "task_agent",
        "update_task",
        {"task_id": "t3", "title": "Buy oat milk"},
    ),
    (
        "Remind me to water the plants on 2026-12-15",
        "task_agent",
        "create_task",
        {"title": "Water the plants", "status": "todo", "priority": "medium", "due_date": "2026-12-15"},
    ),
    (
        "Can you add a task to call Bob's office on Monday?",
        "task_agent",
        "create_task",
        {"title": "Call Bob's office", "status": "todo", "priority": "medium", "due_date": "2026-12-07"},
    ),
    (
        "Create a task to review the budget in project Apollo with low priority",
        "task_agent",
        "create_task",
        {"title": "Review the budget", "status": "todo", "priority": "low", "project_id": "p1"},
    ),
    (
        "Add a comment 'Done soon' to the task 'Call the bank'",
        "task_agent",
        "add_task_comment",
        {"task_id": "t1", "text": "Done soon"},
    ),
    (
        "Delete the comment 'Ask about fees' of task 'Call the bank'",
        "task_agent",
        "delete_task_comment",
        {"task_id": "t1", "comment_id": "c1"},
    ),
    (
        "Write a note about the kickoff meeting",
        "note_agent",
        "create_note",
        {"title": "Kickoff meeting", "content": "About the kickoff meeting."},
    ),
    (
        "Write a note 'Ideas' saying 'Use fewer words'",
        "note_agent",
        "create_note",
        {"title": "Ideas", "content": "Use fewer words"},
    ),
    ("Create a project called Apollo", "project_agent", "create_project", {"name": "Apollo", "status": "active"}),
    ("Archive project Apollo", "project_agent", "update_project", {"project_id": "p1", "status": "archived"}),
    (
        "Bring the project Gemini back, reactivate it",
        "project_agent",
        "update_project",
        {"project_id": "p2", "status": "active"},
    ),
    (
        "Suggest a checkpoint for project Apollo",
        "checkpoint_agent",
        "create_checkpoint",
        {"project_id": "p1", "title": "Checkpoint for Apollo", "status": "ai_suggested"},
    ),
    (
        "Approve the checkpoint 'Design review'",
        "checkpoint_agent",
        "update_checkpoint",
        {"checkpoint_id": "k1", "status": "approved"},
    ),
]
QUESTIONS = [
    ("What is due today?", "There is 1 task due today: 'Call the bank' (high priority, todo, due 2026-12-01)."),
    ("Which tasks are done?", "There is 1 task: 'Buy milk' (done)."),
    ("Show my notes", "There are 2 notes: 'Kickoff'; 'Budget 2026'."),
    ("Show me the note 'Kickoff'", "Here is 'Kickoff'. All came"),
    ("What projects do I have?", "There is 1 project: 'Apollo' (active)."),
    ("Show the comments on 'Call the bank'", "There is 1 comment: 'Ask about fees'."),
    ("Delete the project Zeus", "I found no project called 'Zeus'. I see 'Apollo', 'Gemini'."),
    ("Delete the task", "Which task do you mean? I see 'Call the bank', 'Old stuff', 'Buy milk'."),
]


async def route(text: str) -> list[str]:
    agents = "\n".join(f"- {agent.name}: {agent.description}" for agent in AGENTS.values())
    prompt = Message(role="system", content=ROUTER_PROMPT.format(agents=agents))
    call = ModelCall(model=NAME, messages=(prompt, Message(role="user", content=text)))
    names: list[str] = orjson.loads((await OfflineModel().run(call)).text)["agents"]
    return names or ["task_agent"]


async def talk(agent: Agent, text: str, *history: Message) -> tuple[str, list[ProducedAction]]:
    """What the agent answers, and the actions that it takes."""
    actions: list[ProducedAction] = []

    async def on_action(action: ProducedAction) -> None:
        actions.append(action)

    system = f"{agent.instructions}\nNow: {NOW.isoformat()} (Tuesday), time zone Europe/Berlin"
    loop = ToolLoop(
        agent=agent,
        tools=agent.tools(),
        specs=specs_of(agent.tools()),
        rights=Rights(None),
        context=Context(data=DATA, now=NOW),
        model=OfflineModel(),
        model_name=NAME,
        on_text=Listener(),
        on_action=on_action,
        clean=dict,
        messages=[Message(role="system", content=system), *history, Message(role="user", content=text)],
    )
    return await loop.run(), actions


@pytest.mark.parametrize("text, agent, action, params", SENTENCES, ids=[row[0] for row in SENTENCES])
async def test_a_sentence_becomes_an_action(text: str, agent: str, action: str, params: dict[str, Any]) -> None:
    assert await route(text) == [agent]

    answer, actions = await talk(AGENTS[agent], text)

    assert [(produced.action, produced.params) for produced in actions] == [(action, params)], answer
    assert answer.startswith(("I have ", "I will "))


@pytest.mark.parametrize("text, expected", QUESTIONS, ids=[row[0] for row in QUESTIONS])
async def test_a_question_is_answered_from_what_the_tools_read(text: str, expected: str) -> None:
    [name] = await route(text)

    assert await talk(AGENTS[name], text) == (expected, [])


async def test_several_quoted_titles_are_several_actions() -> None:
    _, actions = await talk(AGENTS["task_agent"], "Add tasks 'A', 'B' and 'C'")

    assert [action.params["title"] for action in actions] == ["A", "B", "C"]


async def test_it_means_what_was_quoted_last() -> None:
    before = Message(role="assistant", content="I have created the task 'Buy milk'.")

    _, actions = await talk(AGENTS["task_agent"], "Delete it again", Message(role="user", content="Buy milk"), before)

    assert [(action.action, action.params) for action in actions] == [("delete_task", {"task_id": "t3"})]


async def test_two_clauses_may_go_to_two_agents() -> None:
    text = "Summarise project Apollo in a note and add its open points as tasks"

    assert await route(text) == ["note_agent", "task_agent"]
    _, actions = await talk(AGENTS["note_agent"], text)
    assert [action.action for action in actions] == ["create_note"]


@pytest.mark.parametrize("text", ["Who are you?", "What model is this?", "Are you ChatGPT?"])
async def test_it_says_what_it_is(text: str) -> None:
    answer, actions = await talk(AGENTS["task_agent"], text)

    assert "offline stand-in" in answer
    assert actions == []


async def test_a_sentence_that_fits_no_tool_changes_nothing() -> None:
    answer, actions = await talk(AGENTS["task_agent"], "Tell me a joke")

    assert "offline stand-in" in answer
    assert "create task" in answer
    assert actions == []


WATER_PLANT = ToolSpec(
    name="water_plant",
    description="Water one of the plants in the garden.",
    parameters={
        "type": "object",
        "properties": {
            "plant_id": {"type": "string"},
            "litres": {"type": "number"},
            "when": {"$ref": "#/$defs/Moment"},
            "mode": {"anyOf": [{"enum": ["drip", "spray"]}, {"type": "null"}]},
        },
        "required": ["plant_id"],
        "$defs": {"Moment": {"type": "string", "format": "date-time"}},
    },
)
FIND_PLANTS = ToolSpec(name="find_plants", description="Find plants.", parameters={"type": "object", "properties": {}})
SEND_REPORT = ToolSpec(
    name="send_report",
    description="Send a weekly report by e-mail.",
    parameters={"type": "object", "properties": {"subject": {"type": "string"}}, "required": ["subject"]},
)
THIRD_PARTY = (SEND_REPORT, FIND_PLANTS, WATER_PLANT)


async def ask(*messages: Message, tools: tuple[ToolSpec, ...] = THIRD_PARTY) -> ModelCall:
    return ModelCall(model=NAME, messages=messages, tools=tools)


async def test_a_tool_that_it_has_never_seen_is_found_and_filled_by_its_schema() -> None:
    messages = [
        Message(role="system", content=f"You garden.\nNow: {NOW.isoformat()} (Tuesday), time zone Europe/Berlin"),
        Message(role="user", content="Water the roses with 2.5 litres tomorrow at 7 am, spray them"),
    ]
    first = await OfflineModel().run(await ask(*messages))
    assert [call.name for call in first.tool_calls] == ["find_plants"]

    plants = orjson.dumps({"items": [{"id": 7, "name": "Tulips"}, {"id": 9, "name": "Roses"}]}).decode()
    messages += [
        Message(role="assistant", tool_calls=first.tool_calls),
        Message(role="tool", content=plants, tool_call_id=first.tool_calls[0].id),
    ]
    second = await OfflineModel().run(await ask(*messages))

    assert [call.name for call in second.tool_calls] == ["water_plant"]
    assert orjson.loads(second.tool_calls[0].arguments) == {
        "plant_id": 9,
        "litres": 2.5,
        "when": "2026-12-02T07:00:00+01:00",
        "mode": "spray",
    }

    messages += [
        Message(role="assistant", tool_calls=second.tool_calls),
        Message(role="tool", content='{"error": "The tank is empty."}', tool_call_id=second.tool_calls[0].id),
    ]
    assert (await OfflineModel().run(await ask(*messages))).text == "That did not work: The tank is empty."


async def test_the_same_call_is_answered_the_same() -> None:
    call = await ask(Message(role="user", content="Send a report called 'Week 49'"))

    turns = [await OfflineModel().run(call) for _ in range(3)]

    assert turns[0].tool_calls == (ToolCall(id="call_1_0", name="send_report", arguments='{"subject":"Week 49"}'),)
    assert turns[0] == turns[1] == turns[2]


async def test_text_is_streamed_word_by_word(listener: Listener) -> None:
    turn = await OfflineModel().run(await ask(Message(role="user", content="Who are you?")), listener)

    assert listener.text == turn.text
    assert all(len(piece.split()) == 1 for piece in listener.pieces)
    assert turn.usage.completion_tokens == len(listener.pieces)


async def test_results_of_several_agents_are_joined() -> None:
    results = orjson.dumps([{"agent": "a", "response": "One."}, {"agent": "b", "error": "Two failed."}]).decode()
    prompt = Message(role="system", content=f"Join these results, as\nJSON:\n{results}")

    turn = await OfflineModel().run(ModelCall(model=NAME, messages=(prompt, Message(role="user", content="Do both"))))

    assert turn.text == "One. Two failed."


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": "object"},
        {"properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]},
        {"properties": {"a": {"anyOf": [{"type": "null"}]}, "b": True, "c": {"type": ["null", "integer"]}}},
        {"properties": {"a": {"enum": [1, None, "x"]}, "b": {"type": "array", "items": {"type": "object"}}}},
    ],
)
async def test_odd_schemas_do_no_harm(parameters: dict[str, Any]) -> None:
    tool = ToolSpec(name="create_thing", description="", parameters=parameters)

    turn = await OfflineModel().run(await ask(Message(role="user", content="Create a thing 'X'"), tools=(tool,)))

    assert [call.name for call in turn.tool_calls] == ["create_thing"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "?!",
        "'",
        "'' \"\" ``",
        "Delete",
        "\u0000\ud7ff",
        "Add " + "'a " * 5000,
        "create " * 2000,
        "due for by on " * 1000,
        "add task " + "a " * 7900,
        "add task " + "by " * 5000,
        "add task " + "to the " * 2600,
        "and then " * 1700,
        "task called " * 1300,
        "1" * 16000,
        "Add a task in 99999999999999999999 days",
    ],
    ids=lambda text: repr(text[:20]),
)
async def test_odd_sentences_are_answered_in_good_time(text: str) -> None:
    for agent in AGENTS.values():
        begun = time.process_time()
        await talk(agent, text)
        assert time.process_time() - begun < 0.2  # several calls of the model, each well under 50 ms
