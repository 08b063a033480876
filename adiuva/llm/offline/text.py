"""A sentence as the offline stand-in reads it: its quoted parts, its words, and their stems."""

import re
from collections.abc import Iterable
from functools import cached_property

from attrs import field, frozen

_QUOTE = re.compile(
    r"(?<!\w)'(.{1,500}?)'(?!\w)|\"(.{1,500}?)\"|`(.{1,500}?)`"
    r"|\u201c(.{1,500}?)\u201d|\u2018(.{1,500}?)\u2019|\u00ab(.{1,500}?)\u00bb"
)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][a-z]+)?")
_DOUBLED = re.compile(r"([bgmnprt])\1$")

_STOP_WORDS = (
    "a about all also am an and any are as at be been but by can could did do does for from had has have how i if in "
    "into is it its just kindly let like list me might my need no not now of off on or our please should so some that "
    "the their them then there these they this those to up us want was we were will with would you your"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())


def stem(word: str) -> str:
    """A rough English stem: ``tasks`` and ``task``, ``archived`` and ``archive`` have the same."""
    word = word.lower()
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "i"
    for suffix in ("ing", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word[: -len(suffix)]
            if suffix in {"ing", "ed"}:
                word = _DOUBLED.sub(r"\1", word)
            break
    if word.endswith("y") and len(word) > 3:
        return word[:-1] + "i"
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def stems(text: str) -> frozenset[str]:
    """The stems of a text's words that carry meaning."""
    words = (word.lower() for word in _WORD.findall(text.replace("_", " ")))
    return frozenset(stem(word) for word in words if word not in STOP_WORDS)


@frozen
class Span:
    """A part of a sentence, by its place in the text."""

    text: str
    start: int
    end: int

    @cached_property
    def stem(self) -> str:
        return stem(self.text)


@frozen
class Sentence:
    """What the user wrote. ``words`` are those outside of quotes."""

    text: str
    quotes: tuple[Span, ...] = field(init=False)
    words: tuple[Span, ...] = field(init=False)

    @quotes.default
    def _find_quotes(self) -> tuple[Span, ...]:
        found = _QUOTE.finditer(self.text)
        return tuple(Span(next(filter(None, match.groups())).strip(), *match.span()) for match in found)

    @words.default
    def _find_words(self) -> tuple[Span, ...]:
        found = _WORD.finditer(blanked(self.text, self.quotes))
        return tuple(Span(match[0], *match.span()) for match in found)

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(word.stem for word in self.words)

    def has(self, phrase: str) -> Span | None:
        """Where ``phrase`` (words in any inflection) stands outside of quotes."""
        wanted = [stem(word) for word in _WORD.findall(phrase.replace("_", " "))]
        for at in range(len(self.words) - len(wanted) + 1):
            found = self.words[at : at + len(wanted)]
            if wanted and [word.stem for word in found] == wanted:
                return Span(self.text[found[0].start : found[-1].end], found[0].start, found[-1].end)
        return None

    def search(self, pattern: str) -> re.Match[str] | None:
        """Find a pattern outside of quotes, which count as blanks."""
        return re.search(pattern, blanked(self.text, self.quotes), re.IGNORECASE)

    def without(self, spans: Iterable[Span]) -> str:
        """The text that is left when these parts are taken out."""
        return " ".join(blanked(self.text, spans).split())


def blanked(text: str, spans: Iterable[Span]) -> str:
    """The text with blanks for some of its parts; all else keeps its place."""
    for span in spans:
        text = text[: span.start] + " " * (span.end - span.start) + text[span.end :]
    return text
