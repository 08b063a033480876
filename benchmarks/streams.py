"""Added latency and CPU of live streams: ``python -m benchmarks.streams``.

Adiuva (login, orchestrator, agent, sanitizer, frames) beside the bare relay, against a model that takes a while to its
first token and then says ten a second. Every token carries the time at which the model wrote it, so that what the
server adds is measured and not reckoned: the monotonic clock is one for all processes of a machine.
"""

import asyncio
import re
import statistics
import time
from pathlib import Path

import aiohttp
import orjson
import psutil
import uvloop
from attrs import frozen
from matplotlib.figure import Figure

from benchmarks.chat import API, contenders, log_in
from benchmarks.kit import cpu_seconds

COUNTS = (1, 100, 500)
TOKENS, DELAY_MS, GAP_MS, SPREAD_SECONDS = 40, 200, 100, 4.0
ROUNDS = 3
MESSAGE = orjson.dumps(
    {"message": f"stream {TOKENS} after {DELAY_MS} every {GAP_MS}", "agents": ["task_agent"]}
).decode()
ASKED = re.compile(r"r(\d{16})")
WRITTEN = re.compile(r"t(\d{16})")
PLOT = Path(__file__).parent / "results" / "streams.svg"


@frozen
class Stream:
    """What one stream showed, in seconds: what was added to its first token, and to each of the others."""

    first: float
    others: list[float]


@frozen
class Taken:
    """What so many streams at once showed: milliseconds, and milliseconds of CPU for 1,000 tokens."""

    first_median: float
    first_p99: float
    token_p99: float
    cpu: float


async def one(socket: aiohttp.ClientWebSocketResponse, wait: float) -> Stream:
    """One whole stream, begun after a while."""
    await asyncio.sleep(wait)
    sent, text, seen = time.monotonic_ns(), "", 0
    added: list[float] = []
    await socket.send_str(MESSAGE)
    while (frame := orjson.loads(await socket.receive_str()))["type"] != "done":
        now = time.monotonic_ns()
        assert frame["type"] == "chunk", frame
        text += frame["text"]
        for written in WRITTEN.finditer(text, seen):
            seen = written.end()
            added.append((now - int(written[1])) / 1e9)
    asked = ASKED.search(text)
    assert asked, text
    assert len(added) == TOKENS, text
    return Stream((int(asked[1]) - sent) / 1e9 + added[0], added[1:])


async def together(url: str, server: psutil.Process, count: int) -> Taken:
    """So many streams, each on a socket of its own, their beginnings spread over one stream's length."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        headers = await log_in(session, url)
        sockets = [await session.ws_connect(f"{url}{API}/chat/stream", headers=headers) for _ in range(count)]
        await one(sockets[0], 0)
        before = cpu_seconds(server)
        streams = await asyncio.gather(*(one(each, SPREAD_SECONDS * n / count) for n, each in enumerate(sockets)))
        taken = cpu_seconds(server) - before
        for socket in sockets:
            await socket.close()
    first = sorted(stream.first for stream in streams)
    others = sorted(added for stream in streams for added in stream.others)
    return Taken(
        statistics.median(first) * 1e3,
        first[int(len(first) * 0.99)] * 1e3,
        others[int(len(others) * 0.99)] * 1e3,
        taken / (count * TOKENS) * 1e6,
    )


def median(rounds: list[Taken]) -> Taken:
    """Each figure's median."""
    names = Taken.__annotations__
    return Taken(**{name: statistics.median(getattr(figures, name) for figures in rounds) for name in names})


def plot(found: dict[str, dict[int, Taken]]) -> None:
    """Draw what is added to a token, by the number of streams."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    latency, cpu = figure.subplots(1, 2)
    for name, by_count in found.items():
        counts = list(by_count)
        (line,) = latency.plot(counts, [each.first_median for each in by_count.values()], marker="o", label=name)
        latency.plot(counts, [each.first_p99 for each in by_count.values()], marker=".", ls=":", color=line.get_color())
        cpu.plot(counts, [each.cpu for each in by_count.values()], marker="o", label=name)
    latency.set(title="Added to the first token (dotted: p99)", ylabel="ms", yscale="log")
    cpu.set(title="CPU of 1,000 tokens", ylabel="ms", ylim=(0, None))
    for axes in (latency, cpu):
        axes.set(xlabel="streams at once", xscale="symlog", xticks=COUNTS, xticklabels=COUNTS)
        axes.grid(alpha=0.3)
    cpu.legend()
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    """Print the table, and draw the plot."""
    uvloop.install()
    print(
        "| streams at once | server | first token, ms | its p99 | other tokens' p99 | 1,000 tokens, ms CPU | x relay |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|")
    with contenders(("direct",)) as servers:
        found: dict[str, dict[int, Taken]] = {name: {} for name in servers}
        for count in COUNTS:
            rounds: dict[str, list[Taken]] = {name: [] for name in servers}
            for _ in range(ROUNDS):
                for name, (url, server) in servers.items():
                    rounds[name].append(asyncio.run(together(url, server, count)))
            for name, figures in rounds.items():
                found[name][count] = row = median(figures)
                ratio = row.cpu / found["bare relay"][count].cpu
                first = f"{row.first_median:.1f} | {row.first_p99:.1f}"
                print(f"| {count} | {name} | {first} | {row.token_p99:.1f} | {row.cpu:.0f} | {ratio:.1f} |", flush=True)
    plot(found)


if __name__ == "__main__":
    main()
