"""Replaces runs of words of the loaded prompts in text that arrives in pieces.

A text has its plain reading, and others wherever something may be there only to break a run up: a tag or an entity,
whose inside need not count as words, a number, which may be a list's, and an invisible character inside a word, which
may be a border of words. A run in any of these readings is replaced.
"""

import re
from collections import Counter
from collections.abc import Iterable
from string import ascii_letters, digits
from typing import Final

from attrs import define, field

from adiuva.chat.sanitizer_automaton import FOLD, SOLO, Automaton, is_number, may_separate

MARK: Final = "[REDACTED]"
MAX_HELD_WORDS: Final = 512
"""No more characters than this are held. What a longer run has beyond them at its start goes out: that is less than
a leak, for the word that completes a run never does."""

_MAX_INVISIBLE = 16  # so many invisible characters in a row end a word: without an end, it could not be held in bounds
_MAX_OTHERS = 8  # readings beside the plain one; text that means something else has hardly ever two
_DEAD = "\0"  # stands for an incomplete word that no prompt has; no word contains it
_UNHELD = frozenset(("", _DEAD))
_PLAIN = frozenset(ascii_letters + digits)
_PIECES = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]").findall  # what is no plain word is looked at by the character


@define(slots=True)
class _Reading:
    """How far a run has come, if the text is read in one way."""

    node: int = 0
    starts: list[int] = field(factory=list)  # where each word of the node begins
    word: str = ""  # the incomplete last one
    word_start: int = 0

    def without_word(self) -> "_Reading":
        """A copy that has not begun the last word."""
        return _Reading(self.node, self.starts.copy())


@define
class _Aside:
    """A tag or an entity that is not over."""

    begin: int
    closer: str
    words_left: int
    before: list[_Reading]  # to go on with after it


_ASIDES: Final = {"<": (">", 16), "&": (";", 1)}  # what ends it, and how many words it may have


class WordStream:
    """Replaces runs in one text. Positions count the characters of the whole text.

    What is replaced is determined by the text alone: the characters from a run's first word, but at most
    `MAX_HELD_WORDS` back from where the run was recognised, up to the end of its last word. Replaced stretches that
    touch become one. When text goes out is another matter, decided at the end of each `feed`.
    """

    def __init__(self, automaton: Automaton, found: Counter[str], *, answer: bool) -> None:
        """``found`` counts replacements by rule; ``answer``: whether openers count."""
        self._automaton = automaton
        self._found = found
        self._first = automaton.children[0]
        self._main = _Reading(automaton.start, [0]) if answer else _Reading()
        self._others: list[_Reading] = []
        self._aside: _Aside | None = None
        self._word_end = 0
        self._held, self._held_start = "", 0
        self._done = 0  # all before this is out or replaced
        self._replaced_to = -1
        self._out: list[str] = []

    def feed(self, text: str) -> str:
        """Take the next piece; gives what can go out."""
        main = self._main
        if main.word in _UNHELD and not main.node and not self._held and self._is_foreign(text):
            main.word = _DEAD
            self._held_start = self._done = self._word_end = self._done + len(text)
            return text
        self._held = self._held + text if self._held else text
        total = self._held_start + len(self._held)
        self._read(text, total - len(text))
        return self._release(total)

    def _is_foreign(self, text: str) -> bool:
        """Whether ``text`` is a plain word, or the rest of one, that no run begins with: most tokens are."""
        if self._others or self._aside is not None:
            return False
        if text.isalnum():
            return self._main.word == _DEAD and text.isascii()
        word = text[1:]
        return text[:1] == " " and word.isalnum() and word.isascii() and self._automaton.depth_held(0, word.lower()) < 0

    def _read(self, text: str, position: int) -> None:
        """Take the words of ``text``, which begins at ``position``; the last one is incomplete."""
        main = self._main
        word, end = main.word, self._word_end
        for piece in _PIECES(text):
            letters = piece.lower() if piece[0] in _PLAIN else FOLD[piece]
            if letters and letters[0] != SOLO:
                if not word:
                    main.word_start = position
                word += letters
                end = position + len(piece)
                for reading in self._others:
                    reading.word_start = reading.word_start if reading.word else position
                    reading.word += letters
            else:
                if word and (letters != "" or position - end >= _MAX_INVISIBLE):
                    self._end_word(word, end, position)
                    word = ""
                if piece != " " or self._aside is not None:
                    word, end = self._read_between(piece, letters, word, end, position)
            position += len(piece)
        main.word, self._word_end = word, end

    def _read_between(self, char: str, letters: str | None, word: str, end: int, position: int) -> tuple[str, int]:
        """Take what is in no plain word; gives the word that goes on after it, and where the last letter was."""
        if letters:
            for reading in (self._main, *self._others):
                reading.word, reading.word_start = letters, position
            self._end_word(letters, position + 1, position)
            return "", position + 1
        if char == ":":
            self._colon(position)
        elif letters is None:
            if self._aside is not None or char in _ASIDES:
                self._around(char, position)
        elif word and may_separate(char):
            word = word if len(word) <= self._automaton.longest_word else _DEAD
            self._border(word, end, position)
        return word, end

    def finish(self) -> str:
        """The rest, at the end of the text."""
        total = self._held_start + len(self._held)
        if self._main.word:
            self._end_word(self._main.word, self._word_end, total)
        self._main, self._others, self._aside = _Reading(), [], None
        return self._release(total)

    def _end_word(self, word: str, end: int, position: int) -> None:
        """Take a complete word, which ends at ``end`` and is known to at ``position``."""
        main = self._main
        main.word = word
        if self._others or self._aside is not None or (main.node and word.isdigit()):
            self._end_words(end, position)
        elif main.node or word in self._first:
            self._advance(main, end, position)
        main.word = ""

    def _end_words(self, end: int, position: int) -> None:
        """Take the complete word of each reading; a number makes one more, in which it does not count."""
        if self._aside is not None:
            self._aside.words_left -= 1
            if self._aside.words_left < 0:
                self._aside = None
        readings = [self._main, *self._others]
        others = [*self._others, *(each.without_word() for each in readings if each.node and is_number(each.word))]
        for reading in readings:
            if reading.word:
                self._advance(reading, end, position)
                reading.word = ""
        self._others = self._distinct(others)

    def _advance(self, reading: _Reading, end: int, position: int) -> None:
        """Go on in ``reading`` with its word, which is complete."""
        automaton = self._automaton
        node = automaton.next(reading.node, reading.word) if len(reading.word) <= automaton.longest_word else 0
        if not node:
            reading.node = 0
            reading.starts.clear()
            return
        reading.starts.append(reading.word_start)
        if length := automaton.length[node]:
            self._replace(max(reading.starts[-length], position - MAX_HELD_WORDS), end, automaton.rule[node])
        reading.node = node = automaton.open(node)
        reading.starts = reading.starts[-automaton.depth[node] :] if node else []

    def _distinct(self, readings: Iterable[_Reading]) -> list[_Reading]:
        """Those of ``readings`` that may find what the plain one does not; of several that are alike the first."""
        automaton, plain = self._automaton, self._main
        found = {(plain.node, plain.word): plain}
        for each in readings:
            if (each.node or each.word) and (not each.word or automaton.depth_held(each.node, each.word) >= 0):
                found.setdefault((each.node, each.word), each)
        others = list(found.values())[1:]
        if len(others) > _MAX_OTHERS:
            others.sort(key=lambda each: automaton.depth[each.node], reverse=True)
        return others[:_MAX_OTHERS]

    def _border(self, word: str, end: int, position: int) -> None:
        """Take an invisible character inside ``word``: in other readings the word ends here."""
        plain = self._main
        plain.word = word
        forks = []
        for reading in (plain, *self._others):
            if reading.word in self._first or (reading.node and reading.word):
                fork = _Reading(reading.node, reading.starts.copy(), reading.word, reading.word_start)
                self._advance(fork, end, position)
                fork.word = ""
                forks.append(fork)
        self._others = self._distinct([*self._others, *forks])
        self._others.append(_Reading())

    def _around(self, char: str, position: int) -> None:
        """Take a character that may begin or end an aside."""
        aside = self._aside
        if char == "<" or (char == "&" and aside is None):
            before = [each.without_word() for each in (self._main, *self._others) if each.node]
            self._aside = _Aside(position, *_ASIDES[char], before) if before else None
        elif aside is None:
            return
        elif char == aside.closer:
            self._aside = None
            self._others = self._distinct([*self._others, *aside.before])
        elif char.isspace() and (aside.closer == ";" or position == aside.begin + 1):
            self._aside = None

    def _colon(self, position: int) -> None:
        """Take the colon that some openers need."""
        main = self._main
        if 0 < main.node <= self._automaton.last_opener and ":" in self._automaton.children[main.node]:
            main.word, main.word_start = ":", position
            self._advance(main, position + 1, position)
            main.word = ""

    def _replace(self, start: int, end: int, rule: str) -> None:
        if start > self._replaced_to:
            self._out.append(self._held[self._done - self._held_start : start - self._held_start])
            self._out.append(MARK)
            self._found[rule] += 1
        self._done = self._replaced_to = end

    def _release(self, total: int) -> str:
        """What may go out of all up to ``total``."""
        main, hold = self._main, total
        if main.word or main.node:
            hold = self._held_from(main, total)
            if hold < 0:
                hold, main.word, main.node = total, _DEAD, 0
                main.starts.clear()
        if self._others or self._aside is not None:
            hold = min(hold, self._held_for_others(total))
        hold = max(hold, total - MAX_HELD_WORDS, self._done)
        out, text, start = self._out, self._held, self._held_start
        if hold == total:
            self._held = ""
            rest = text[self._done - start :]
        else:
            self._held = text[hold - start :]
            rest = text[self._done - start : hold - start]
        self._held_start = self._done = hold
        if not out:
            return rest
        out.append(rest)
        self._out = []
        return "".join(out)

    def _held_from(self, reading: _Reading, total: int) -> int:
        """Where the run that ``reading`` is in begins; ``total`` if there is none, -1 if its word ends them all."""
        node, word = reading.node, reading.word
        begun = reading.starts[0] if node and node != self._automaton.start else total
        if not word:
            return begun
        if node and is_number(word):
            return min(begun, reading.word_start)
        depth = self._automaton.depth_held(node, word)
        if depth > 0:
            return reading.starts[-depth]
        return depth or reading.word_start

    def _held_for_others(self, total: int) -> int:
        held = [(reading, self._held_from(reading, total)) for reading in self._others]
        self._others = [reading for reading, begin in held if begin >= 0]
        before = [self._held_from(reading, total) for reading in self._aside.before] if self._aside else []
        return min((begin for begin in (*(begin for _, begin in held), *before) if begin >= 0), default=total)
