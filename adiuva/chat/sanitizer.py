"""The last thing that text passes on its way to a client: prompts, and what belongs to the machinery, stay here.

Prompts are known by their words (`sanitizer_words`), in JSON over all its strings (`sanitizer_values`), the rest by
fixed patterns (`sanitizer_patterns`). What a reader has to undo passes: words run together or spelled in letters apart,
words with others put between them, letters written as entities, base64, translations, and pieces of under eight words,
told in several answers or by turns in the text of one and in its actions.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import structlog

from adiuva.chat.sanitizer_automaton import Automaton
from adiuva.chat.sanitizer_patterns import MAX_HELD_PATTERN, PatternStream, begins_no_pattern
from adiuva.chat.sanitizer_values import ValueCleaner
from adiuva.chat.sanitizer_words import MARK, MAX_HELD_WORDS, WordStream

__all__ = ["MARK", "MAX_HELD", "Sanitizer", "SanitizerStream"]

log = structlog.get_logger(__name__)

MAX_HELD: Final = MAX_HELD_PATTERN + MAX_HELD_WORDS
"""A stream holds back no more characters than this."""

_KINDS = (
    "adiuva",
    "task",
    "project",
    "checkpoint",
    "note",
    "routing",
    "router",
    "orchestrator",
    "planning",
    "synthesis",
)
_OPENERS = (
    "system prompt :",
    "system message :",
    "system instructions :",
    "my system prompt is",
    "my system prompt says",
    "the system prompt is",
    "the system prompt says",
    "here is my system prompt",
    "heres my system prompt",
    "here are my instructions",
    "these are my instructions",
    "my instructions are",
    "my instructions say",
    "my instructions :",
    "you are adiuvas assistant",
    "you are adiuvas agent",
    "you are a helpful assistant",
    "you are a helpful ai assistant",
    "you are an ai assistant",
    "you are an ai agent",
    "you are an ai language model",
)


class Sanitizer:
    """Replaces every leak by `MARK`; makes a stream for each answer.

    Args:
        prompts: The texts that must not get out, by the name of the rule under which a redaction is reported.
    """

    def __init__(self, prompts: Mapping[str, str]) -> None:
        self._automaton = Automaton(prompts, _openers(prompts))
        self.redactions: Counter[str] = Counter()  # by rule, of all that has passed
        self._of_value = partial(self._whole, answer=False)
        self._found = partial(_tell, self.redactions)

    def stream(self) -> "SanitizerStream":
        """For an answer that arrives in pieces."""
        return SanitizerStream(self._automaton, self.redactions)

    def text(self, text: str) -> str:
        """The whole answer ``text``, as a stream would put it out."""
        return self._whole(text, answer=True)

    def values(self) -> ValueCleaner:
        """For the JSON values of an answer: its actions' parameters, for instance.

        Openers of prompts pass here: a user may have a note that begins like one. Of the fixed patterns only their
        beginnings are replaced, and nothing after them: what is lost here is lost from the user's data.
        """
        return ValueCleaner(self._automaton, self._of_value, self._found)

    def value(self, value: Any) -> Any:
        """A copy of a JSON value that has none before it, with each string sanitized, the keys of objects too."""
        return self.values().clean(value)

    def _whole(self, text: str, *, answer: bool) -> str:
        if begins_no_pattern(text) and self._automaton.finds_nothing(text, answer=answer):
            return text
        stream = SanitizerStream(self._automaton, self.redactions, answer=answer)
        return stream.feed(text) + stream.finish()


class SanitizerStream:
    """One answer on its way out: the pieces that `feed` and `finish` give make up the sanitized text.

    That text depends on the concatenated input alone, not on where it was cut. What might become a leak is held back,
    `MAX_HELD` characters at most. Call `finish` also when the answer is broken off: it reports what was found.
    """

    def __init__(self, automaton: Automaton, totals: Counter[str], *, answer: bool = True) -> None:
        """``answer``: whether openers of prompts count. `Sanitizer.stream` makes one."""
        self.redactions: Counter[str] = Counter()  # by rule, of this answer
        self._totals: Counter[str] | None = totals  # None once it is told
        self._patterns = PatternStream(self.redactions, swallow=answer)
        self._words = WordStream(automaton, self.redactions, answer=answer)

    def feed(self, text: str) -> str:
        """Take the next piece of the answer; gives what can go out, which may be nothing."""
        return self._words.feed(self._patterns.feed(text))

    def finish(self) -> str:
        """The rest, at the end of the answer; once more, nothing."""
        rest = self._words.feed(self._patterns.finish()) + self._words.finish()
        if self._totals is not None:
            _tell(self._totals, self.redactions)
            self._totals = None
        return rest


def _tell(totals: Counter[str], redactions: Counter[str]) -> None:
    totals.update(redactions)
    for rule, count in redactions.items():
        log.warning("redacted", rule=rule, count=count)


def _openers(rules: Iterable[str]) -> Iterator[str]:
    """How models begin when they recite: also with "you are the garden agent", where there is a garden agent."""
    yield from _OPENERS
    named = (re.search(r"([a-z0-9]+(?:_[a-z0-9]+)*)_agent\b", rule) for rule in rules)
    kinds = {*_KINDS, *(found[1].replace("_", " ") for found in named if found)}
    for kind in sorted(kinds):
        for article in ("the ", "a ", "an ", "adiuvas ", ""):
            yield f"you are {article}{kind} agent"
