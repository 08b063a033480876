"""Reads a Google style docstring: what a tool does, and what each argument means."""

import inspect
import re

_SECTION = re.compile(r"(Args|Arguments|Parameters|Attributes|Returns?|Yields?|Raises):\s*")
_LISTS_NAMES = ("Args", "Arguments", "Parameters", "Attributes")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)(?:\s*\([^)]*\))?\s*:\s*(?P<text>.*)")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The text before the first section, and the description of each name in ``Args:`` (or ``Attributes:``)."""
    text: list[str] = []
    section: list[str] = []
    descriptions: dict[str, str] = {}
    header = ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if found := _SECTION.fullmatch(line):
            descriptions |= _entries(section) if header in _LISTS_NAMES else {}
            header, section = found[1], []
        else:
            (section if header else text).append(line)
    descriptions |= _entries(section) if header in _LISTS_NAMES else {}
    return "\n".join(text).strip(), descriptions


def _entries(lines: list[str]) -> dict[str, str]:
    indented = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in indented), default=0)
    entries: dict[str, str] = {}
    name = ""
    for line in indented:
        entry = _ENTRY.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == margin else None
        if entry:
            name = entry["name"]
            entries[name] = entry["text"].strip()
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries
