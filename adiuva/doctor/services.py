"""Checks of what is asked for answers: the model, Stripe, MCP servers; and of what this process itself is given."""

import asyncio
import errno
import socket
import sys
import time
from typing import Final

import aiohttp
import orjson

from adiuva.billing.stripe import PaymentsUnavailableError, Stripe
from adiuva.billing.subscriptions.models import Prices
from adiuva.chat.mcp.tools import McpServers
from adiuva.chat.registry import AgentRegistry
from adiuva.doctor.checkup import Outcome, TroubleError, told
from adiuva.errors import AdiuvaError
from adiuva.llm import build_model, model_names, offline
from adiuva.llm.protocol import Message, ModelCall, ToolSpec
from adiuva.llm.reports import CallReport
from adiuva.settings import Settings

ENOUGH_FILES: Final = 4096
_TOOL: Final = ToolSpec(
    name="create_task",
    description="Create a task.",
    parameters={"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
)
_ASKED: Final = "Create a task with the title 'Water the roses'."


async def model(settings: Settings) -> Outcome:
    """Whether the default model, and the router's, answer and call a tool."""
    names = model_names(settings)
    if not names:
        raise TroubleError("No language model is configured.", "Set LLM_MODEL, or a provider's key.")
    reports: list[CallReport] = []
    served = build_model(settings, on_report=reports.append)
    said = []
    try:
        for name in dict.fromkeys((names[0], settings.llm_router_model or names[0])):
            started = time.monotonic()
            message = Message(role="user", content=_ASKED)
            turn = await served.run(ModelCall(model=name, messages=(message,), tools=(_TOOL,)))
            seconds = time.monotonic() - started
            if not any(call.name == _TOOL.name and _is_object(call.arguments) for call in turn.tool_calls):
                return Outcome(
                    "warning",
                    f"{turn.model or name} answers, but did not call the tool that it was given.",
                    "Choose a model that can call tools: the agents work by them.",
                )
            lane = f", {reports[-1].lane} lane" if reports else ""
            said.append(f"{turn.model or name} calls tools ({seconds:.1f} s{lane})")
            if turn.model and turn.model != name:
                return Outcome("warning", f"{name} does not answer; {turn.model} does.", "See LLM_MODEL and its key.")
    except AdiuvaError as error:
        raise TroubleError(str(error), "See LLM_MODEL, LLM_API_BASE and the provider's key.") from error
    finally:
        await served.close()
    if names[0] == offline.NAME:
        return Outcome("warning", "The offline stand-in answers; it is no language model.", "Set LLM_MODEL.")
    return Outcome("ok", f"{'; '.join(said)}.")


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False


async def stripe(settings: Settings) -> Outcome:
    """Whether Stripe takes the key, and knows the prices of the tiers."""
    key = settings.stripe_secret_key
    if not key:
        return Outcome("ok", "Not set: no money moves.")
    account = Stripe(api_key=key, api_base=settings.stripe_api_base)
    names = Prices.of(settings).names
    try:
        await account.call(lambda v1: v1.balance.retrieve_async())
        known = await account.list(lambda v1: v1.prices.list_async({"active": True, "limit": 100}))
    except PaymentsUnavailableError as error:
        raise TroubleError(told(error), "See STRIPE_SECRET_KEY at Stripe's dashboard, under API keys.") from error
    finally:
        await account.close()
    there = {value for price in known for value in (price.get("id"), price.get("lookup_key"))}
    if missing := [f"STRIPE_PRICE_{tier.upper()}={name}" for tier, name in names.items() if name not in there]:
        remedy = "Make a monthly price for each tier at Stripe, and set its id, or give it that lookup key."
        raise TroubleError(f"Stripe has no active price for {', '.join(missing)}.", remedy)
    if not settings.stripe_webhook_secret:
        remedy = "Add the endpoint /api/v1/billing/webhook at Stripe, and set STRIPE_WEBHOOK_SECRET to its secret."
        raise TroubleError("Stripe takes the key, but its events are refused.", remedy)
    if settings.env == "prod" and "_test_" in key:
        return Outcome("warning", "A key for tests: no money moves.", "Set the live key as STRIPE_SECRET_KEY.")
    return Outcome("ok", "Stripe takes the key and has the prices.")


async def mcp(settings: Settings) -> Outcome:
    """Whether each server of ``MCP_SERVERS`` lists its tools."""
    if not settings.mcp_servers:
        return Outcome("ok", "None set.")
    servers = McpServers.of(settings.mcp_servers)
    silent, said = [], []
    try:
        for connection in servers.connections:
            try:
                said.append(f"{connection.config.name}: {len(await connection.tools())} tools")
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is that one's fault
                silent.append(f"{connection.config.name} ({type(error).__name__})")
    finally:
        await servers.close()
    if silent:
        raise TroubleError(f"No tools from {', '.join(silent)}.", "See whether they run, and MCP_SERVERS.")
    return Outcome("ok", "; ".join(said))


async def plugins(settings: Settings) -> Outcome:
    """Whether all installed agents and plugins load."""
    registry = await asyncio.to_thread(
        AgentRegistry.load, set(settings.blocked_plugins), seconds=settings.plugin_load_seconds
    )
    if registry.failures:
        broken = "; ".join(f"{failure.name} {failure.version}: {failure.error}" for failure in registry.failures)
        return Outcome("warning", f"Not loaded: {broken}", "Mend or uninstall it, or name it in BLOCKED_PLUGINS.")
    if not registry.names():
        raise TroubleError("No agent is installed.", "Install one, such as adiuva-task-agent.")
    return Outcome("ok", f"{len(registry.names())} agents load.")


async def files(_: Settings) -> Outcome:
    """Whether the process may have enough files open: each socket is one."""
    if sys.platform == "win32":
        return Outcome("ok", "There is no limit that counts here.")
    import resource

    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH_FILES:
        return Outcome(
            "warning",
            f"{soft} open files at most, of which each client takes one.",
            "Raise it: `ulimit -n 65536`, LimitNOFILE= of systemd, ulimits: of compose.",
        )
    return Outcome("ok", f"{'No limit' if soft == resource.RLIM_INFINITY else f'{soft} may be open'}.")


async def address(settings: Settings) -> Outcome:
    """Whether Adiuva answers on its address, or could."""
    where = f"{settings.host}:{settings.port}"
    if not settings.port:
        return Outcome("ok", "Any free port.")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.get(f"http://{host}:{settings.port}/api/v1/health") as answer,
        ):
            running = await answer.json()
        return Outcome("ok", f"Adiuva {running['version']} answers on {where}.")
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        pass
    try:
        with socket.create_server((settings.host, settings.port)):
            return Outcome("ok", f"{where} is free.")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise TroubleError(
                f"{where} is in use by another program.", "Stop it, or set PORT to a free one."
            ) from error
        raise TroubleError(f"{where}: {error.strerror or error}.", "Set HOST to an address of this machine.") from error
