"""Replaces runs of words of the loaded prompts in text that arrives in pieces."""

import re
from collections import Counter
from string import ascii_letters, digits
from typing import Final

from adiuva.chat.sanitizer_automaton import FOLD, SOLO, Automaton

MARK: Final = "[REDACTED]"
MAX_HELD_WORDS: Final = 512
"""No more characters than this are held. What a longer run has beyond them at its start goes out: that is less than
a leak, for the word that completes a run never does."""

_MAX_INVISIBLE = 16  # so many invisible characters in a row end a word: without an end, it could not be held in bounds
_DEAD = "\0"  # stands for an incomplete word that no prompt has; no word contains it
_UNHELD = frozenset(("", _DEAD))
_PLAIN = frozenset(ascii_letters + digits)
_PIECES = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]").findall  # what is no plain word is looked at by the character


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
        self._node = automaton.start if answer else 0
        self._starts = [0] if answer else []  # where each word of the current node begins
        self._word, self._word_start, self._word_end = "", 0, 0
        self._held, self._held_start = "", 0
        self._done = 0  # all before this is out or replaced
        self._replaced_to = -1
        self._out: list[str] = []

    def feed(self, text: str) -> str:
        """Take the next piece; gives what can go out."""
        if self._word in _UNHELD and not self._node and not self._held and self._is_foreign(text):
            self._word = _DEAD
            self._held_start = self._done = self._word_end = self._done + len(text)
            return text
        self._held = self._held + text if self._held else text
        total = self._held_start + len(self._held)
        return self._release(self._read(text, total - len(text)), total)

    def _is_foreign(self, text: str) -> bool:
        """Whether ``text`` is a plain word, or the rest of one, that no run begins with: most tokens are."""
        if text.isalnum():
            return self._word == _DEAD and text.isascii()
        word = text[1:]
        return text[:1] == " " and word.isalnum() and word.isascii() and self._automaton.depth_held(0, word.lower()) < 0

    def _read(self, text: str, position: int) -> str:
        """Take the words of ``text``, which begins at ``position``; gives the last one, incomplete."""
        word, end = self._word, self._word_end
        for piece in _PIECES(text):
            letters = piece.lower() if piece[0] in _PLAIN else FOLD[piece]
            if letters and letters[0] != SOLO:
                if not word:
                    self._word_start = position
                word += letters
                end = position + len(piece)
            else:
                if word and (letters != "" or position - end >= _MAX_INVISIBLE):
                    self._end_word(word, end, position)
                    word = ""
                if letters:
                    self._word_start, end = position, position + 1
                    self._end_word(letters, end, position)
                elif piece == ":":
                    self._colon(position)
            position += len(piece)
        self._word_end = end
        return word

    def finish(self) -> str:
        """The rest, at the end of the text."""
        total = self._held_start + len(self._held)
        if self._word:
            self._end_word(self._word, self._word_end, total)
        self._node = 0
        return self._release("", total)

    def _end_word(self, word: str, end: int, position: int) -> None:
        """Take a complete word, which ends at ``end`` and is known to at ``position``."""
        if not self._node and word not in self._first:
            return
        automaton = self._automaton
        node = automaton.next(self._node, word)
        if not node:
            self._node = 0
            self._starts.clear()
            return
        self._starts.append(self._word_start)
        if length := automaton.length[node]:
            self._replace(self._starts[-length], end, position, automaton.rule[node])
        self._node = node = automaton.open(node)
        self._starts = self._starts[-automaton.depth[node] :] if node else []

    def _colon(self, position: int) -> None:
        """Take the colon that some openers need."""
        if 0 < self._node <= self._automaton.last_opener and ":" in self._automaton.children[self._node]:
            self._word_start = position
            self._end_word(":", position + 1, position)

    def _replace(self, start: int, end: int, position: int, rule: str) -> None:
        start = max(start, position - MAX_HELD_WORDS)
        if start > self._replaced_to:
            self._out.append(self._held[self._done - self._held_start : start - self._held_start])
            self._out.append(MARK)
            self._found[rule] += 1
        self._done = self._replaced_to = end

    def _release(self, word: str, total: int) -> str:
        """What may go out of all up to ``total``, given the incomplete last word."""
        hold, node = total, self._node
        if word:
            depth = self._automaton.depth_held(node, word)
            if depth < 0:
                word, self._node = _DEAD, 0
                self._starts.clear()
            else:
                hold = self._starts[-depth] if depth else self._word_start
        elif node and node != self._automaton.start:
            hold = self._starts[0]
        self._word = word
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
