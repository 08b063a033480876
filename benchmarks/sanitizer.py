"""What the sanitizer costs per streamed token, beside writing the token's frame: ``python -m benchmarks.sanitizer``.

The prompts are those of the first-party agents, the tokens those of the test's ordinary answers. All take turns in
short rounds; printed are the medians of CPU time.
"""

import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from adiuva.chat.registry import AgentRegistry
from adiuva.chat.sanitizer import Sanitizer

ANSWERS = Path(__file__).parent.parent / "tests" / "chat" / "ordinary_answers.txt"
ROUNDS = 15


def cost(handle: Callable[[str], object], tokens: list[str]) -> float:
    """Microseconds of CPU per token."""
    begun = time.process_time()
    for token in tokens:
        handle(token)
    return (time.process_time() - begun) / len(tokens) * 1e6


def frame(text: str) -> bytes:
    """A chunk on its way to the client."""
    return orjson.dumps({"type": "chunk", "text": text})


def tokens_of(text: str) -> list[str]:
    """About as a model would cut it."""
    return re.findall(r" ?\w{1,8}|\s|[^\w\s]", text)


def delayed(sanitizer: Sanitizer, answers: list[str]) -> tuple[float, float]:
    """The share of tokens that are held back, and the characters that are held on average after a token."""
    held = []
    for answer in answers:
        stream, waiting = sanitizer.stream(), 0
        for token in tokens_of(answer):
            waiting += len(token) - len(stream.feed(token))
            held.append(waiting)
    return sum(map(bool, held)) / len(held), statistics.mean(held)


def main() -> None:
    """Print the table."""
    sanitizer = Sanitizer({agent.name: agent.instructions for agent in AgentRegistry.load(set()).list_agents()})
    answers = ANSWERS.read_text("utf-8").rstrip("\n").split("\n%%\n")
    streams = {
        "a word that no prompt has": [" zebra"] * 20_000,
        "a word that prompts have": [" tasks", " quickly"] * 10_000,
        "ordinary answers": [token for answer in answers for token in tokens_of(f"{answer}\n")],
        "a leak": tokens_of(sanitizer_prompt() * 20),
    }
    print("| token of | µs | µs of its frame | ratio |\n|---|---:|---:|---:|")
    for name, tokens in streams.items():
        rounds = [(cost(sanitizer.stream().feed, tokens), cost(frame, tokens)) for _ in range(ROUNDS)]
        ours, bare = (statistics.median(values) for values in zip(*rounds, strict=True))
        print(f"| {name} | {ours:.2f} | {bare:.2f} | {statistics.median(one / two for one, two in rounds):.1f} |")
    share, held = delayed(sanitizer, answers)
    print(
        f"\nOf the tokens of ordinary answers {share:.0%} wait for the next; {held:.1f} characters are held on average."
    )


def sanitizer_prompt() -> str:
    """A prompt that the sanitizer knows."""
    return AgentRegistry.load(set()).list_agents()[0].instructions


if __name__ == "__main__":
    main()
