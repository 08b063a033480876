"""Finds what no answer should have, whatever the prompts: reasoning, special tokens, routing metadata, tool schemas.

White space and backslashes inside a pattern do not count, and either quote is a quote.
"""

import re
from collections import Counter
from string import ascii_lowercase
from typing import Final, Literal

from adiuva.chat.sanitizer_words import MARK

MAX_HELD_PATTERN: Final = 256
"""No more characters than this are held. A pattern that is longer, white space and all, counts as found if more than
`_TELLING` of its characters are there, else as none."""

_TELLING = 8
_MAX_TOKEN = 64
_LONGEST_CLOSING = 24

_PATTERNS: dict[str, str] = {
    "<think>": "thinking",
    "<thinking>": "thinking",
    "</think>": "special_token",
    "</thinking>": "special_token",
    "[INST]": "special_token",
    "[/INST]": "special_token",
    "<<sys>>": "special_token",
    "<</sys>>": "special_token",
    '{"type":"function","function":{': "tool_schema",
    '"parameters":{"type":"object","properties"': "tool_schema",
    '"parameters":{"properties":{': "tool_schema",
    '"input_schema":{"type":"object","properties"': "tool_schema",
} | {f'{{"agents":["{letter}': "routing" for letter in ascii_lowercase}  # the names of agents begin so
_PREFIXES = {pattern[:end]: rule for pattern, rule in _PATTERNS.items() for end in range(1, len(pattern) + 1)}
_FIRST = re.compile(r"""[<\[{"']""").search
_BEGINNING = re.compile(r"""<(?=[\s<|\uff5c/tT]|\Z)|\[(?=[\s/I]|\Z)|\{(?=[\s"'\\]|\Z)|["'](?=pa|in|[pi]?\Z)""")
_CLOSING = re.compile(r"<\s{0,4}/\s{0,4}think(?:ing)?\s{0,4}>", re.IGNORECASE)
_BARS = "|\uff5c"
_TOKEN = {f"<{bar}" for bar in _BARS}
_BRACE_OR_QUOTE = re.compile(r'[{}"\\]')

_Mode = Literal["passing", "in_thinking", "in_object"]


def begins_no_pattern(text: str) -> bool:
    """Whether a `PatternStream` would pass the whole of ``text`` as it is, and hold nothing of it."""
    return _BEGINNING.search(text) is None


class PatternStream:
    """Replaces patterns in one text; what is replaced is determined by the text alone."""

    def __init__(self, found: Counter[str], *, swallow: bool = True) -> None:
        """``found`` counts replacements by rule; ``swallow``: whether what a pattern begins goes with it."""
        self._swallow = swallow
        self._found = found
        self._mode: _Mode = "passing"
        self._held = ""  # passing: a pattern that has begun; in thinking: what may be the beginning of its end
        self._key = ""  # the characters of it that count
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, text: str) -> str:
        """Take the next piece; gives what can go out."""
        if self._mode == "passing" and not self._held and _FIRST(text) is None:
            return text
        out: list[str] = []
        data, seen, at = self._held + text, len(self._held), 0
        self._held = ""
        while at < len(data):
            if self._mode == "passing":
                at = self._pass(data, at, seen, out)
            elif self._mode == "in_thinking":
                at = self._skip_thinking(data, at)
            else:
                at = self._skip_object(data, at)
            seen = 0
        return "".join(out)

    def finish(self) -> str:
        """The rest, at the end of the text."""
        rest = self._held if self._mode == "passing" else ""
        self._held = ""
        return rest

    def _pass(self, data: str, at: int, seen: int, out: list[str]) -> int:
        """Put out text up to the next pattern. ``seen`` characters of a pattern at ``at`` are in the key already."""
        while True:
            if not seen:
                found = _BEGINNING.search(data, at)
                if found is None:
                    out.append(data[at:])
                    return len(data)
                out.append(data[at : found.start()])
                at, self._key = found.start(), ""
            end = self._follow(data, at, at + seen)
            if end is None:
                self._held = data[at:]
                return len(data)
            if end > at:
                out.append(MARK)
                self._enter(data[at:end])
                return end
            out.append(data[at])
            at, seen = at + 1, 0

    def _follow(self, data: str, begin: int, at: int) -> int | None:
        """Where the pattern from ``begin`` on is complete; ``begin`` if it is none, None if it may become one."""
        key = self._key
        for position in range(at, min(len(data), begin + MAX_HELD_PATTERN)):
            char = data[position]
            if key[:2] in _TOKEN:
                if char.isspace() or char in "<{" or len(key) > _MAX_TOKEN:
                    return begin
                key += char
                if char == ">":
                    self._key = key
                    return position + 1 if key[-2] in _BARS and len(key) > 4 else begin
                continue
            if char.isspace() or char == "\\":
                continue
            key += '"' if char == "'" else char.lower() if key[:1] == "<" else char
            if key in _PATTERNS:
                self._key = key
                return position + 1
            if key not in _PREFIXES and key not in _TOKEN:
                return begin
        self._key = key
        if len(data) - begin < MAX_HELD_PATTERN:
            return None
        return begin + MAX_HELD_PATTERN if len(key) > _TELLING else begin

    def _enter(self, pattern: str) -> None:
        """Go on after ``pattern``, whose mark is out."""
        rule = _PREFIXES.get(self._key, "special_token")
        self._found[rule] += 1
        if not self._swallow:
            return
        if rule == "thinking":
            self._mode = "in_thinking"
        elif rule in {"routing", "tool_schema"}:
            self._mode = "in_object"
            self._depth = self._key.count("{")
            self._in_string = pattern.count('"') % 2 == 1 and "\\" not in pattern
            self._escaped = False

    def _skip_thinking(self, data: str, at: int) -> int:
        closing = _CLOSING.search(data, at)
        if closing is not None:
            self._mode = "passing"
            return closing.end()
        self._held = data[max(at, len(data) - _LONGEST_CLOSING) :]
        return len(data)

    def _skip_object(self, data: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            at += 1
        while (found := _BRACE_OR_QUOTE.search(data, at)) is not None:
            at = found.end()
            match found[0]:
                case "\\":
                    if at == len(data):
                        self._escaped = True
                    at += 1
                case '"':
                    self._in_string = not self._in_string
                case brace if not self._in_string:
                    self._depth += 1 if brace == "{" else -1
                    if self._depth == 0:
                        self._mode = "passing"
                        return at
        return len(data)
