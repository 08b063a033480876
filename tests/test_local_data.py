"""What the terminal client holds, and what it tells the agents' read tools of it."""

import stat
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from adiuva.local_data import TIME, LocalData, LocalDataError

TODAY = datetime.now().astimezone().date()
DATA: dict[str, Any] = {
    "tasks": [
        {"id": "t1", "title": "Buy milk", "status": "todo", "priority": "high", "due_date": TODAY.isoformat()},
        {
            "id": 2,
            "title": "Call",
            "status": "done",
            "due_date": (TODAY + timedelta(7)).isoformat(),
            "project_id": "p1",
        },
        {"id": "t3", "title": "Rest", "status": "todo", "comments": [{"id": "c1", "text": "At last"}]},
    ],
    "projects": [{"id": "p1", "name": "House"}, {"id": "p2", "name": "Boat", "status": "archived"}],
    "notes": [{"id": "n1", "title": "Kickoff", "content": "On Monday"}, {"id": "n2", "title": "Other", "content": ""}],
    "checkpoints": [{"id": "k1", "project_id": "p1", "status": "approved"}],
    "forecasts": [{"day": 1}, {"day": 2}],
    "owner": "Ada",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_bytes(orjson.dumps(DATA))
    return path


@pytest.fixture
def data(file: Path) -> LocalData:
    local = LocalData(file=file)
    local.load()
    return local


def action(name: str, **params: object) -> dict[str, Any]:
    return {"id": "new", "action": name, "params": params}


@pytest.mark.parametrize(
    "tool,params,ids",
    [
        ("list_tasks", {}, ["t1", 2, "t3"]),
        ("list_tasks", {"status": "todo", "priority": None}, ["t1", "t3"]),
        ("list_tasks", {"status": "todo", "priority": "high"}, ["t1"]),
        ("list_tasks", {"project_id": "p1"}, [2]),
        ("list_tasks", {"due_by": (TODAY + timedelta(1)).isoformat()}, ["t1"]),
        ("list_tasks_due_today", {}, ["t1"]),
        ("list_tasks_due_today", {"status": "done"}, []),
        ("list_task_comments", {"task_id": "t3"}, ["c1"]),
        ("list_task_comments", {"task_id": "t1"}, []),
        ("list_projects", {}, ["p1"]),
        ("list_all_projects", {}, ["p1", "p2"]),
        ("list_all_projects", {"status": "archived"}, ["p2"]),
        ("list_notes", {}, ["n1", "n2"]),
        ("list_notes", {"containing": "monday"}, ["n1"]),
        ("list_checkpoints", {"project_id": "p1", "status": "approved"}, ["k1"]),
        ("list_checkpoints", {"project_id": "p2"}, []),
    ],
)
def test_lists_are_filtered_as_the_agents_do(
    data: LocalData, tool: str, params: dict[str, Any], ids: list[Any]
) -> None:
    assert [item["id"] for item in data.answer(tool, params)] == ids


def test_single_objects_are_got_by_their_id(data: LocalData) -> None:
    assert data.answer("get_note", {"note_id": "n1"}) == DATA["notes"][0]
    assert data.answer("get_project", {"project_id": "p2"}) == DATA["projects"][1]
    assert data.answer("get_task", {"task_id": "2"}) == DATA["tasks"][1]


def test_another_list_of_the_file_is_listed_by_its_name_and_filtered_by_the_fields_that_it_has(data: LocalData) -> None:
    assert data.answer("list_forecasts", {"days": 3}) == DATA["forecasts"]
    assert data.answer("list_forecasts", {"day": 2, "days": 3}) == [{"day": 2}]


@pytest.mark.parametrize(
    "tool,params,told",
    [
        ("list_invoices", {}, "There is no tool list_invoices here."),
        ("list_owner", {}, "There is no tool list_owner here."),
        ("get_weather", {}, "There is no tool get_weather here."),
        ("delete_task", {"task_id": "t1"}, "There is no tool delete_task here."),
        ("get_note", {"note_id": "n9"}, "There is no note with this id."),
        ("list_task_comments", {"task_id": "t9"}, "There is no task with this id."),
    ],
)
def test_what_cannot_be_answered_is_an_error(data: LocalData, tool: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(LocalDataError) as refused:
        data.answer(tool, params)
    assert refused.value.message == told


def test_actions_change_the_file_and_leave_the_rest_of_it_alone(file: Path, data: LocalData) -> None:
    file.chmod(0o640)
    assert data.apply(action("create_note", title="New"))
    assert data.apply(action("update_task", task_id="2", status="todo"))
    assert data.apply(action("delete_project", project_id="p2"))
    assert data.apply(action("add_task_comment", task_id="2", text="Soon"))
    assert data.apply(action("delete_task_comment", task_id="t3", comment_id="c1"))
    assert not data.apply(action("update_task", task_id="t9", status="done"))
    assert not data.apply(action("delete_task", task_id="t9"))
    assert not data.apply(action("paint_task", task_id="t1"))
    data.save()
    kept = orjson.loads(file.read_bytes())
    assert kept["notes"][-1] == {"id": "new", "title": "New"}
    assert kept["tasks"][1] == {**DATA["tasks"][1], "status": "todo", "comments": [{"id": "new", "text": "Soon"}]}
    assert kept["tasks"][2]["comments"] == []
    assert kept["projects"] == DATA["projects"][:1]
    assert (kept["owner"], kept["forecasts"]) == ("Ada", DATA["forecasts"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    data = LocalData(file=link)
    data.load()
    data.apply(action("create_task", title="New"))
    data.save()
    assert link.is_symlink()
    assert len(orjson.loads(file.read_bytes())["tasks"]) == 4


def test_a_file_that_is_not_there_is_made_when_there_is_something_to_keep(tmp_path: Path) -> None:
    data = LocalData(file=tmp_path / "new.json")
    data.load()
    assert data.answer("list_tasks", {}) == []
    assert list(tmp_path.iterdir()) == []
    data.apply(action("create_task", title="First"))
    data.save()
    assert orjson.loads((tmp_path / "new.json").read_bytes())["tasks"] == [{"id": "new", "title": "First"}]


@pytest.mark.parametrize(
    "content,told",
    [
        ("[]", "is not a JSON object."),
        ("{tasks}", "is not JSON: "),
        ('{"tasks": {}}', "tasks has to be a list of objects."),
        ('{"notes": ["a"]}', "notes has to be a list of objects."),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused_and_stays(file: Path, content: str, told: str) -> None:
    file.write_text(content)
    with pytest.raises(LocalDataError, match=told):
        LocalData(file=file).load()
    assert file.read_text() == content


def test_a_file_that_cannot_be_written_or_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(LocalDataError, match=r"cannot be written: No such file or directory\."):
        LocalData(file=tmp_path / "away" / "mine.json").save()
    with pytest.raises(LocalDataError, match=r"cannot be read: Is a directory\."):
        LocalData(file=tmp_path).load()


def test_only_data_without_a_file_goes_into_the_context(data: LocalData) -> None:
    assert list(data.context()) == ["now"]
    assert list(LocalData().context()) == ["tasks", "projects", "checkpoints", "notes", "now"]


def test_times_are_kept_and_go_along_with_every_request(tmp_path: Path) -> None:
    data = LocalData(file=tmp_path / "mine.json")
    assert TIME not in data.context()
    assert data.apply({"id": "e1", "action": "start_timer", "params": {"started_at": "2025-11-26T08:00:00Z"}})
    stop = {"entry_id": "e1", "stopped_at": "2025-11-26T09:00:00Z"}
    assert data.apply({"id": "a2", "action": "stop_timer", "params": stop})
    assert data.apply({"id": "e2", "action": "log_time", "params": {"date": "2025-11-26", "minutes": 5}})
    entries = [
        {"id": "e1", "started_at": "2025-11-26T08:00:00Z", "stopped_at": "2025-11-26T09:00:00Z"},
        {"id": "e2", "date": "2025-11-26", "minutes": 5},
    ]
    assert data.context()[TIME] == data.answer("list_time_entries", {}) == entries
    assert not data.apply({"id": "a3", "action": "stop_timer", "params": {"entry_id": "e9"}})
    assert "tasks" not in data.context()
