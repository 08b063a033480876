"""What the words of a text are, and an Aho-Corasick automaton that finds runs of words in it.

A word is a run of letters and digits in their compatibility form, without case, accents, apostrophes and invisible
characters, where letters that look like Latin ones are these; everything else (white space, punctuation, Markdown) only
separates words. Scripts without spaces, such as Japanese, make each character a word of its own, which counts for half
a one after the first of a run.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

RUN_WORDS: Final = 8
"""So many consecutive words of a prompt are a leak."""
SHORTEST_PROMPT: Final = 4
"""A prompt of fewer than `RUN_WORDS` words, but at least so many, is a leak as a whole."""
SOLO: Final = "\n"
"""Leads a character that is a word of its own."""

# Text of which the words are quickly told: of ASCII, all that is visible or white space, but for what begins a tag or
# an entity; then also Latin, Greek and Cyrillic letters as one character each, punctuation, signs and emoji.
_ASCII: Final = r"\t-\r\x1c-%'-;=-~"
_EASY_ASCII: Final = re.compile(f"[{_ASCII}]*").fullmatch
_EASY: Final = re.compile(
    rf"[{_ASCII}\u00a0-\u00ac\u00ae-\u00bb\u00bf-\u013e\u0141-\u024f\u0370-\u0379\u037b-\u0482\u048a-\u052f\u1e00-\u1fff"
    r"\u2010-\u2027\u2030-\u2043\u2045-\u205e\u20a0-\u20bf\u2190-\u21ff\u2500-\u2775\u2794-\u27bf\U0001f300-\U0001faff]*"
).fullmatch
_WORDS_OF_ASCII: Final = re.compile(r"[a-z0-9]+").findall
_WORDS: Final = re.compile(r"[^\W_]+").findall
_ACCENTS: Final = re.compile(r"[\u0300-\u036f]+").sub
_LONGEST_NUMBER: Final = 16  # digits; more of them are a word like others

_START = "\x02"  # the word before the first of an answer
_APOSTROPHES = "'\u2018\u2019\u02bc\uff07"
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # letters that cannot be seen
_JOINING = _FILLERS.union(_APOSTROPHES)
_APART = dict.fromkeys(map(ord, _APOSTROPHES), " ")  # "it's" is "its", and "it s" as well
# The small letters of Greek, Cyrillic, Armenian and Latin itself that Unicode's list of confusables (UTS #39) has for
# a Latin one, and Cyrillic ones whose capitals it has.
_LOOKALIKES = str.maketrans(
    "αγικνορστυχϲϳавгекмнорстухѕіјһԁԛԝѵҽӏցհոսօզıɑɡɩʏᴄᴏᴜᴠᴡᴢ",
    "ayikvopotuxcjabrekmhopctyxsijhdqwvelghnuoqiagiycouvwz",
)
_PLAIN = _LOOKALIKES | dict.fromkeys((0x2018, 0x2019), ord("'"))  # the apostrophes of `_EASY`
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3040, 0x30FF),
    (0x3105, 0x312F), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip


class _Fold(dict[str, str | None]):
    """Maps a character to the letters it stands for, to "" if it is invisible, to None if it separates words."""

    def __missing__(self, char: str) -> str | None:
        folded = _fold(char)
        if len(self) < 20_000:
            self[char] = folded
        return folded


def _fold(char: str) -> str | None:
    if char in _JOINING:
        return ""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", char).casefold())
    letters = "".join(filter(str.isalnum, plain)).translate(_LOOKALIKES)
    if letters:
        return SOLO + letters if any(low <= ord(letters[0]) <= high for low, high in _UNSPACED) else letters
    invisible = unicodedata.category(char) in {"Cc", "Cf", "Mn", "Mc", "Me"} and not char.isspace()
    return "" if invisible else None


FOLD: Final = _Fold()


def is_number(word: str) -> bool:
    """Whether a word may stand there to number something, and not count."""
    return word.isdigit() and len(word) <= _LONGEST_NUMBER


def may_separate(char: str) -> bool:
    """Whether an invisible character may be meant as a border of words."""
    return unicodedata.category(char) in {"Cc", "Cf"} or char in _FILLERS


def _easy_words(text: str) -> list[str] | None:
    """The words of ``text``, as `words_of` has them; None if they are not quickly told."""
    if text.isascii():
        if not _EASY_ASCII(text) or "''" in text:
            return None
        return _WORDS_OF_ASCII(text.replace("'", "").lower())
    if not _EASY(text):
        return None
    # As in `_fold`, but at once. Composed characters have few accents, so this takes no time out of proportion.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = _ACCENTS("", plain).translate(_PLAIN)
    return None if "''" in plain else _WORDS(plain.replace("'", ""))


def words_of(text: str) -> Iterator[tuple[str, float]]:
    """The words of ``text``, each with how many it counts for: "it's" for two, to be on the safe side."""
    word, count, joined, apostrophe = "", 1.0, False, False
    for char in text:
        letters = FOLD[char]
        if letters is None or letters[:1] == SOLO:
            if word:
                yield word, count
            if letters:
                yield letters, 0.5 if joined else 1
            word, count, joined = "", 1, letters is not None
        elif letters:
            count += bool(word) and apostrophe
            word += letters
        apostrophe = char in _JOINING
    if word:
        yield word, count


class Automaton:
    """All the runs to look for; built once, shared by all streams. A node is a run's beginning, node 0 the empty one.

    ``openers`` are runs that count only as the first words of an answer; a last word ":" is the character after them.
    """

    def __init__(self, prompts: Mapping[str, str], openers: Iterable[str] = ()) -> None:
        self.children: list[dict[str, int]] = [{}]
        self.depth = [0]
        self.fail = [0]
        self.length = [0]  # how many of the last words are a leak
        self.rule = [""]
        self.start = self._insert((_START,), "", 0)
        for opener in openers:
            words = opener.split()
            self._insert((_START, *words), "opener", len(words))
            self._insert((_START, "redacted", *words), "opener", len(words))
        self.last_opener = len(self.depth) - 1
        for rule, prompt in prompts.items():
            for text in {prompt, prompt.translate(_APART)}:
                for run in _runs(list(words_of(text))):
                    self._insert(run, rule, len(run))
        self._link()
        self.longest_word = max((len(word) for children in self.children for word in children), default=0)
        self.prefixes = {
            node: frozenset(word[:end] for word in children for end in range(1, len(word) + 1))
            for node, children in enumerate(self.children)
            if len(children) > 3
        }

    def _insert(self, run: Sequence[str], rule: str, length: int) -> int:
        node = 0
        for word in run:
            following = self.children[node].get(word)
            if following is None:
                following = len(self.depth)
                self.children[node][word] = following
                self.children.append({})
                self.depth.append(self.depth[node] + 1)
                self.fail.append(0)
                self.length.append(0)
                self.rule.append("")
            node = following
        if length > self.length[node]:
            self.length[node], self.rule[node] = length, rule
        return node

    def _link(self) -> None:
        """Point each node at the longest other one that ends with the same words."""
        queue = deque(self.children[0].values())
        while queue:
            node = queue.popleft()
            for word, following in self.children[node].items():
                shorter = self.fail[following] = self.next(self.fail[node], word)
                if self.length[shorter] > self.length[following]:
                    self.length[following], self.rule[following] = self.length[shorter], self.rule[shorter]
                queue.append(following)

    def next(self, node: int, word: str) -> int:
        """The node of the longest run that the words up to ``node`` and ``word`` end with."""
        children, fail = self.children, self.fail
        while node and word not in children[node]:
            node = fail[node]
        return children[node].get(word, 0)

    def finds_nothing(self, text: str, *, answer: bool) -> bool:
        """Whether no run is in the whole of ``text``; False also where only a `WordStream` can tell.

        ``answer``: whether openers count. Most texts have no run, and this costs a tenth of streaming them.
        """
        words = _easy_words(text)
        if words is None:
            return False
        children, fail, length, first = self.children, self.fail, self.length, self.children[0]
        node = self.start if answer else 0
        others: set[int] = set()  # where the run may be if a number before does not count
        for word in words:
            if not node and not others and word not in first:
                continue
            before = node
            while (following := children[node].get(word)) is None and node:
                node = fail[node]
            node = following or 0
            if length[node] or (0 < node <= self.last_opener and ":" in children[node]):
                return False
            if not children[node]:
                node = self.open(node)
            if others or (before and word < ":" and is_number(word)):
                passed_over = {before, *others} if is_number(word) else set()
                others = {self.next(other, word) for other in others}
                if any(length[other] for other in others):
                    return False
                others = {self.open(other) for other in others}.union(passed_over) - {0, node}
        return True

    def open(self, node: int) -> int:
        """The longest run, of those that the words up to ``node`` end with, that can go on."""
        while node and not self.children[node]:
            node = self.fail[node]
        return node

    def depth_held(self, node: int, prefix: str) -> int:
        """How many words of ``node`` may be part of a run that goes on with a word of this ``prefix``; -1 if none."""
        while True:
            prefixes = self.prefixes.get(node)
            if prefixes is not None:
                if prefix in prefixes:
                    return self.depth[node]
            elif any(word.startswith(prefix) for word in self.children[node]):
                return self.depth[node]
            if not node:
                return -1
            node = self.fail[node]


def _runs(words: list[tuple[str, float]]) -> Iterator[tuple[str, ...]]:
    plain = tuple(word for word, _ in words)
    if SHORTEST_PROMPT <= sum(weight for _, weight in words) < RUN_WORDS:
        yield plain
        return
    for first in range(len(words)):
        weight = 0.0
        for end in range(first, len(words)):
            weight += words[end][1]
            if weight >= RUN_WORDS:
                yield plain[first : end + 1]
                break
