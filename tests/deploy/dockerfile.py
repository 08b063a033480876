"""Reads a Dockerfile as far as the tests need it."""

import json
import re
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen
class Instruction:
    """One instruction, with its continuation lines; ``stage`` counts the FROMs, from 0."""

    stage: int
    name: str
    text: str

    def words(self) -> list[str]:
        """The words of the exec form, or what white space separates; without flags."""
        if self.text.startswith("["):
            words: list[str] = json.loads(self.text)
            return words
        return [word for word in self.text.split() if not word.startswith("--")]


def read(path: Path) -> list[Instruction]:
    """The instructions in their order."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    stage, found = -1, []
    for line in re.split(r"(?<!\\)\n", "\n".join(lines)):
        name, _, text = line.replace("\\\n", " ").strip().partition(" ")
        stage += name == "FROM"
        found.append(Instruction(stage, name, text.strip()))
    return found


def in_context(path: str, ignore: str) -> bool:
    """Whether COPY finds a file; of a ``.dockerignore``, the last line that fits it or a folder above it counts."""
    parts = path.split("/")
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    there = True
    for line in ignore.splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, folder) for folder in above):
                there = line.startswith("!")
    return there


def environment(instructions: list[Instruction], stage: int) -> dict[str, str]:
    """What ENV sets in a stage."""
    texts = [each.text for each in instructions if each.name == "ENV" and each.stage == stage]
    pairs: list[tuple[str, Any]] = re.findall(r"(\w+)=(\S+)", " ".join(texts))
    return dict(pairs)
