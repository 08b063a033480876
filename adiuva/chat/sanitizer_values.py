"""Takes prompts out of JSON values: out of single strings, and where one is spread over several."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from adiuva.chat.sanitizer_automaton import Automaton
from adiuva.chat.sanitizer_patterns import begins_no_pattern
from adiuva.chat.sanitizer_words import MARK, MAX_HELD_WORDS, WordStream

_BETWEEN: Final = "\n"  # strings, where they are read as one text
_ALL: Final = (False, True)
_WAYS: Final = (_ALL, (False,), (True,))  # of reading them: all, what is no key, and keys


class ValueCleaner:
    """Cleans the values of one answer, in their order.

    Strings are read one after the other, in three ways: keys and values as they stand, values alone, keys alone. What
    makes up a run in one of these is replaced in each string that it touches, the last strings of the values before
    included: those are out, but the word that completes a run is not.
    """

    def __init__(
        self, automaton: Automaton, clean_string: Callable[[str], str], found: Callable[[Counter[str]], None]
    ) -> None:
        """``clean_string`` is for each string alone; ``found`` is told of what was replaced beyond it, by rule."""
        self._automaton = automaton
        self._clean_string = clean_string
        self._found = found
        self._before = dict.fromkeys(_WAYS, "")  # the last text of the values before

    def clean(self, value: Any) -> Any:
        """``value`` as it may go out: itself, or a copy; openers of prompts pass here."""
        strings: list[str] = []
        keys: list[bool] = []
        _gather(value, strings, keys)
        if not strings or self._finds_nothing(strings, keys):
            return value
        texts = [self._clean_string(text) for text in strings]
        for way in _WAYS:
            chosen = [at for at, is_key in enumerate(keys) if is_key in way]
            for at, text in zip(chosen, self._together(way, [texts[at] for at in chosen]), strict=True):
                texts[at] = text
        return _rebuilt(value, iter(texts))

    def _finds_nothing(self, strings: list[str], keys: list[bool]) -> bool:
        """Whether nothing is to be replaced, which is quickly seen of most values."""
        whole = {
            way: _BETWEEN.join((self._before[way], *chosen))
            for way in _WAYS
            if (chosen := [text for text, is_key in zip(strings, keys, strict=True) if is_key in way])
        }
        if not begins_no_pattern(whole[_ALL]):
            return False
        if not all(self._automaton.finds_nothing(text, answer=False) for text in whole.values()):
            return False
        for way, text in whole.items():
            self._before[way] = text[-MAX_HELD_WORDS:]
        return True

    def _together(self, way: tuple[bool, ...], texts: list[str]) -> list[str]:
        """What is left of ``texts`` if they are one."""
        before = self._before[way]
        whole = _BETWEEN.join((before, *texts))
        finder = _Finder(self._automaton)
        finder.feed(whole)
        finder.finish()
        if finder.stretches:
            self._found(finder.counts)
            texts = list(_without(texts, finder.stretches, len(before) + len(_BETWEEN)))
            whole = _BETWEEN.join((before, *texts))
        self._before[way] = whole[-MAX_HELD_WORDS:]
        return texts


class _Finder(WordStream):
    """Notes where runs are, in place of replacing them."""

    def __init__(self, automaton: Automaton) -> None:
        self.counts: Counter[str] = Counter()
        self.stretches: list[tuple[int, int]] = []
        super().__init__(automaton, self.counts, answer=False)

    def _replace(self, start: int, end: int, rule: str) -> None:
        known = len(self.stretches)
        while self.stretches and start <= self.stretches[-1][1]:
            start = min(start, self.stretches.pop()[0])
        self.stretches.append((start, end))
        self.counts[rule] += len(self.stretches) > known


def _without(texts: Iterable[str], stretches: list[tuple[int, int]], begin: int) -> Iterator[str]:
    """``texts``, the first of which begins at ``begin``, with `MARK` for what each has of the stretches."""
    rest = deque(stretches)
    for text in texts:
        end = begin + len(text)
        clean, done = "", begin
        while rest and rest[0][0] < end:
            first, last = max(rest[0][0], begin), min(rest[0][1], end)
            if first < last:
                clean += text[done - begin : first - begin] + MARK
                done = last
            if rest[0][1] > end:
                break
            rest.popleft()
        yield clean + text[done - begin :]
        begin = end + len(_BETWEEN)


def _gather(value: Any, strings: list[str], keys: list[bool]) -> None:
    """Append the strings of ``value`` in their order, and whether each is a key."""
    if isinstance(value, str):
        strings.append(value)
        keys.append(False)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                strings.append(key)
                keys.append(True)
            _gather(item, strings, keys)
    elif isinstance(value, list | tuple):
        for item in value:
            _gather(item, strings, keys)


def _rebuilt(value: Any, texts: Iterator[str]) -> Any:
    """``value`` with ``texts`` for its strings."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, Mapping):
        return {(next(texts) if isinstance(key, str) else key): _rebuilt(item, texts) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rebuilt(item, texts) for item in value]
    return value
