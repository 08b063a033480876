"""The process in which a package's code runs for a check: ``python -m adiuva.kit.probe JOB REPORT SECONDS``.

It loads the package as a server does, calls its tools with odd arguments and data, puts the hostile model behind its
agents, and writes what it found to REPORT.
"""

import asyncio
import os
import re
import sys
import sysconfig
import time
import traceback
from collections.abc import Coroutine, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import structlog
from attrs import define, field

from adiuva.chat.messages import MAX_RESULT_BYTES
from adiuva.chat.registry import FIRST_PARTY, AgentRegistry, LoadedPlugin
from adiuva.chat.rights import Rights
from adiuva.kit.report import Level
from adiuva.kit.watch import ForbiddenOperationError, Watch
from adiuva.sdk import Action, ActionObserver, Agent, Context, PluginManifest, Tool, ToolError
from adiuva.sdk.actions import to_json
from adiuva.sdk.hookspecs import PROJECT
from adiuva.testing import harness as _harness  # noqa: F401 - now, so that its import is not watched
from adiuva.testing.hostile import LEAK_WORDS, faults_under_attack
from adiuva.testing.samples import right_arguments

MEMORY: Final = 2 * 2**30
SLOW_LOAD_SECONDS: Final = 1.0
BLOCKING_SECONDS: Final = 0.1
CALL_SECONDS: Final = 5.0
KINDS: Final = ("tasks", "projects", "notes", "checkpoints", "comments", "task_comments")
ODD_LISTS: Final[tuple[Any, ...]] = (
    [{"id": "sample", "title": "Sample", "name": "Sample", "content": "Sample", "status": "todo"}],
    [None, 5, "x", [], {}, {"id": None}, {"id": ["x"]}, {"id": 5, "status": {}, "due_date": 7}, {"id": "sample"}],
    {"id": "x"},
    "x",
    None,
)
ODD_SETTINGS: Final[dict[str, Any]] = {"token": 5, "url": [], "webhook_url": {}, "prefix": None}
ODD_ACTIONS: Final = (
    Action("create_task", {"title": "Sample"}),
    Action("update_task", {"task_id": "sample", "title": None}),
    Action("delete_note", {"note_id": 5}),
    Action("create_checkpoint", {}),
    Action("do_something_else", {"x": ["y", {"z": None}]}),
)


@define
class Findings:
    """Gathers what is found; the same thing twice counts once."""

    items: list[dict[str, str]] = field(factory=list)

    def add(self, check: str, level: Level, where: str, message: str) -> None:
        """Add one."""
        found = {"check": check, "level": level, "where": where, "message": message[:1000]}
        if found not in self.items:
            self.items.append(found)

    def has_error(self, where: str) -> bool:
        """Whether an error was found there."""
        return any(found["where"] == where and found["level"] == "error" for found in self.items)


def main(job: str, report: str, seconds: str) -> None:
    """Make the checks and write the report; a package that ends this process leaves none."""
    _limit(float(seconds))
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    asked = orjson.loads(Path(job).read_bytes())
    Path(report).write_bytes(orjson.dumps(_probe(asked)))  # opened only now: no code of the package finds it open


def _limit(seconds: float) -> None:
    try:
        import resource
    except ImportError:  # Windows: the time limit of the parent is all there is
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _probe(asked: dict[str, Any]) -> dict[str, Any]:
    findings = Findings()
    sys.path[:0] = asked["path"]
    readable = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *asked["path"]}
    readable |= {entry for entry in sys.path if entry}
    watch = Watch(readable=tuple(sorted(readable)))
    watch.install()
    plugins = _load(asked["name"], watch, findings)
    for plugin in plugins:
        _judge_manifest(plugin, asked["version"], findings)
        for agent in plugin.agents:
            _judge_agent(agent, plugin.manifest, findings)
            asyncio.run(_try_agent(agent, plugin.manifest, watch, findings))
        for observer in plugin.observers:
            asyncio.run(_try_observer(observer, watch, findings))
    for what in watch.tried:
        findings.add("behaviour", "warning", "", what)
    return {
        "loaded": bool(plugins),
        "manifest": next((_manifest(plugin.manifest) for plugin in plugins if plugin.manifest), None),
        "agents": {agent.name: list(agent.tools()) for plugin in plugins for agent in plugin.agents},
        "observers": [observer.name for plugin in plugins for observer in plugin.observers],
        "findings": findings.items,
    }


def _manifest(manifest: PluginManifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "name": manifest.name,
        "description": manifest.description,
        "version": manifest.version,
        "permissions": sorted(manifest.permissions),
    }


def _load(name: str, watch: Watch, findings: Findings) -> list[LoadedPlugin]:
    """Load it as a server does, beside Adiuva's own agents, but without whatever else is installed here."""
    mine = _normal(name)
    others = {entry.dist.name for entry in entry_points(group=PROJECT) if entry.dist}
    others = {other for other in others if _normal(other) not in {mine, *FIRST_PARTY}}
    names = {entry.name for entry in entry_points(group=PROJECT) if entry.dist and _normal(entry.dist.name) == mine}
    began = time.monotonic()
    with watch.armed():
        registry = AgentRegistry.load(blocked=others)
    took = time.monotonic() - began
    if took > SLOW_LOAD_SECONDS:
        findings.add("load", "warning", "", f"loading it takes {took:.1f} s; import what is large where it is used")
    for failure in registry.failures:
        if failure.name in names:
            findings.add("load", "error", failure.name, failure.error)
    return [plugin for plugin in registry.plugins if plugin.name in names]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _judge_manifest(plugin: LoadedPlugin, version: str, findings: Findings) -> None:
    manifest = plugin.manifest
    if manifest is None:
        text = "it has no adiuva_plugin, so it is the operator's own: its agents serve everyone, with all rights"
        return findings.add("manifest", "note", plugin.name, text)
    if manifest.version and manifest.version != version:
        findings.add("manifest", "warning", manifest.id, f"says version {manifest.version}, the package {version}")
    tools = [tool for agent in plugin.agents for tool in agent.tools().values()]
    for permission in sorted(manifest.permissions - {tool.permission for tool in tools}):
        # To read is also to be shown: what a tool reads besides its own subject is in its code only.
        level: Level = "warning" if permission.writes else "note"
        findings.add("manifest", level, manifest.id, f"asks for {permission}, which no tool says it needs")
    for agent in plugin.agents:
        rights = Rights.of(manifest, manifest.permissions)
        shown = rights.tools(agent.tools())
        for name, tool in agent.tools().items():
            where = f"{agent.name}.{name}"
            if name not in shown:
                text = "needs a permission that the manifest does not ask for: no model is ever shown it"
                findings.add("manifest", "error", where, text)
            elif not tool.read_only and not rights.allow(tool, Action(name)):
                text = "produces actions without a permission to write, so what it produces is refused"
                findings.add("manifest", "error", where, text)
    return None


def _judge_agent(agent: Agent, manifest: PluginManifest | None, findings: Findings) -> None:
    if len(agent.description.split()) < 3:
        findings.add("agents", "warning", agent.name, "its description is too short for a router to choose by")
    if len(agent.description) > 500:
        findings.add("agents", "warning", agent.name, "its description is long; every classification reads it")
    if len(agent.instructions.split()) < LEAK_WORDS:
        text = f"its instructions are shorter than {LEAK_WORDS} words, which cannot be told apart from common speech"
        findings.add("agents", "warning", agent.name, text)
    if not agent.tools():
        findings.add("agents", "note", agent.name, "it has no tools")
    for name, tool in agent.tools().items():
        where = f"{agent.name}.{name}"
        if not (getattr(type(agent), name).__doc__ or "").strip():
            findings.add("agents", "warning", where, "has no docstring, which is what tells a model what it is for")
        if manifest is None and not tool.read_only and tool.permission is None:
            findings.add("agents", "note", where, "changes things without a permission; a plugin's tool needs one")


async def _try_agent(agent: Agent, manifest: PluginManifest | None, watch: Watch, findings: Findings) -> None:
    async with aiohttp.ClientSession() as http:
        with watch.armed():
            for name, tool in agent.tools().items():
                for ctx, arguments in _situations(tool, http):
                    await _try_tool(agent, tool, ctx, arguments, findings)
                    if findings.has_error(f"{agent.name}.{name}"):
                        break
    data = dict.fromkeys(KINDS, ODD_LISTS[0])
    with watch.armed():
        for fault in await faults_under_attack(agent, manifest=manifest, data=data):
            findings.add("hostile", "error", agent.name, fault)


def _situations(tool: Tool, http: aiohttp.ClientSession) -> Iterator[tuple[Context, dict[str, Any]]]:
    """Plain data with all kinds of arguments, and plain arguments with all kinds of data."""
    first, *_ = every = list(right_arguments(tool.parameters))
    for lists in ODD_LISTS:
        yield Context(data=dict.fromkeys(KINDS, lists), http=http), first
    yield Context(http=http), first
    yield Context(http=http, settings=ODD_SETTINGS), first
    for arguments in every[1:]:
        yield Context(data=dict.fromkeys(KINDS, ODD_LISTS[0]), http=http), arguments


async def _try_tool(agent: Agent, tool: Tool, ctx: Context, arguments: dict[str, Any], findings: Findings) -> None:
    where = f"{agent.name}.{tool.name}"
    ended, result = await _tried(tool.call(agent, ctx, arguments), where, findings)
    if ended:
        _judge_result(tool, result, where, findings)


async def _try_observer(observer: ActionObserver, watch: Watch, findings: Findings) -> None:
    async with aiohttp.ClientSession() as http:
        with watch.armed():
            for lists in ODD_LISTS:
                for settings in ({}, ODD_SETTINGS):
                    ctx = Context(data=dict.fromkeys(KINDS, lists), http=http, settings=settings)
                    await _tried(observer.observe(ODD_ACTIONS, ctx), observer.name, findings)


async def _tried(work: Coroutine[Any, Any, Any], where: str, findings: Findings) -> tuple[bool, Any]:
    """Whether it has come to its end, and what it gave; what goes wrong on the way is found."""
    heartbeat = asyncio.create_task(_longest_pause())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return True, await work
    except ToolError:
        return False, None
    except TimeoutError:
        findings.add("tools", "error", where, f"has not ended after {CALL_SECONDS:g} s")
        return False, None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a third party's code does
        if not _is_forbidden(error):
            text = f"breaks with {type(error).__name__} {_place(error)}; a fault that is expected is a ToolError"
            findings.add("tools", "error", where, text)
        return False, None
    finally:
        await asyncio.sleep(0)
        heartbeat.cancel()
        await asyncio.wait([heartbeat])
        if (pause := heartbeat.result()) > BLOCKING_SECONDS:
            findings.add("tools", "warning", where, f"keeps the server's event loop for {pause:.1f} s; make it async")


def _judge_result(tool: Tool, result: Any, where: str, findings: Findings) -> None:
    if isinstance(result, Action):
        if tool.read_only:
            findings.add("tools", "error", where, "is a read tool and produces an action, which is refused")
        elif result.name != tool.name:
            findings.add("tools", "error", where, f"produces the action {result.name}; it has to have the tool's name")
        return
    try:
        size = len(orjson.dumps(result, default=to_json))
    except (TypeError, orjson.JSONEncodeError) as error:
        findings.add("tools", "error", where, f"gives what has no JSON form: {error}")
        return
    if size > MAX_RESULT_BYTES:
        findings.add("tools", "warning", where, f"gives {size} bytes; over {MAX_RESULT_BYTES} the model gets an error")
    if not tool.read_only:
        findings.add("tools", "warning", where, f"is a write tool and gives {type(result).__name__}, not an Action")


async def _longest_pause() -> float:
    """How long, at most, this task was not let run; told when it is cancelled."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return max(longest, time.monotonic() - last)


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether the watch stopped it: that is told once, as what it tried."""
    while error is not None:
        if isinstance(error, ForbiddenOperationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # whatever threads the package has left behind
