"""The fenced blocks of the pages."""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<kind>[^\n]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)


@frozen
class Block:
    """One fenced block: ``kind`` is what stands behind its fence, ``before`` the text between it and the last block."""

    page: str
    line: int
    kind: str
    code: str
    before: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The file that the text before the block names last, after which it says ``:``; empty where there is none."""
        found = re.findall(r"`([\w/]+\.\w+)`[^`]*:\s*\Z", self.before)
        return str(found[-1]) if found else ""


def blocks_of(path: Path) -> Iterator[Block]:
    text, end = path.read_text(), 0
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(path.name, line, found["kind"].strip(), found["code"], text[end : found.start()])
        end = found.end()


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def of_kind(*kinds: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind in kinds]
