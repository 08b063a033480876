"""Which tool, or which agent, a sentence asks for."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from attrs import frozen

from adiuva.llm.offline.schema import enum_values, values_in
from adiuva.llm.offline.text import STOP_WORDS, Sentence, Span, stem, stems
from adiuva.llm.offline.verbs import VERB_CLASS, verb_of
from adiuva.llm.protocol import ToolSpec

_AGENT_LINE = re.compile(r"^\s*[-*] ([\w.-]+): (.+)$", re.MULTILINE)
_CLAUSE = re.compile(r"\b(?:and then|and also|then|and)\b|[;.]\s", re.IGNORECASE)
_AFTER = frozenset({"about", "for", "from", "in", "inside", "of", "on", "to", "within"})
_ENOUGH = 2.9


@frozen
class ToolName:
    """A tool's name taken apart: ``list_tasks_due_today`` reads, and is about task, due, today."""

    verb: str
    kind: str
    nouns: tuple[str, ...]

    @classmethod
    def of(cls, tool: ToolSpec) -> "ToolName":
        first, *rest = re.findall(r"[a-z]+|[A-Z][a-z]*|\d+", tool.name) or [tool.name]
        kind = VERB_CLASS.get(stem(first), "")
        return cls(stem(first), kind, tuple(stem(word) for word in rest if word.lower() not in STOP_WORDS - {"all"}))


def choose_tool(sentence: Sentence, tools: Sequence[ToolSpec]) -> tuple[ToolSpec, Sentence] | None:
    """The tool whose name, description and enums match best, and the clause that they match; None where none does well.

    Of "summarise this in a note and add its open points as tasks" one agent has tools for the one clause, one for the
    other.
    """
    scored = [
        (chooser.score(tool), -place, tool, clause)
        for clause in clauses_of(sentence)
        for chooser in [_Chooser.of(clause, tools)]
        for place, tool in enumerate(tools)
    ]
    best = max(scored, default=None, key=lambda item: item[:2])
    return best[2:] if best and best[0] >= _ENOUGH else None


def lookup_tool(noun: str, tools: Sequence[ToolSpec], known: AbstractSet[str] = frozenset()) -> ToolSpec | None:
    """The tool that lists things of a kind, and needs to be told nothing but ``known`` parameters."""
    found = []
    for place, tool in enumerate(tools):
        name = ToolName.of(tool)
        if name.kind == "read" and noun in name.nouns and set(tool.parameters.get("required", ())) <= known:
            # All of a kind rather than some of them.
            found.append(("all" not in name.nouns, len(name.nouns), place, tool))
    return min(found, key=lambda item: item[:3])[3] if found else None


def agents_in(prompt: str) -> dict[str, str]:
    """The agents that a router's prompt lists: name and description."""
    return dict(_AGENT_LINE.findall(prompt))


def choose_agents(sentence: Sentence, agents: Mapping[str, str]) -> list[str]:
    """The agents that a sentence asks for, several where its clauses want different ones; none where it is unclear."""
    clauses = clauses_of(sentence)
    picked = [name for name in (_best_agent(clause, agents) for clause in clauses) if name]
    if len(clauses) > 1 and len(picked) == len(clauses):
        return list(dict.fromkeys(picked))
    best = _best_agent(sentence, agents)
    return [best] if best else []


@frozen
class _Chooser:
    sentence: Sentence
    kind: str
    verb: str
    weights: Mapping[str, float]  # of each noun outside of quotes
    common: frozenset[str]  # nouns that most tools have: they tell nothing apart
    rarity: Counter[str]  # in how many tools' descriptions a word stands

    @classmethod
    def of(cls, sentence: Sentence, tools: Sequence[ToolSpec]) -> "_Chooser":
        nouns = Counter(noun for tool in tools for noun in set(ToolName.of(tool).nouns))
        common = frozenset(noun for noun, count in nouns.items() if count * 2 > len(tools))
        rarity = Counter(word for tool in tools for word in stems(tool.description))
        kind, verb = verb_of(sentence)
        into = sentence.search(r"\b(?:in|into|as) an? (?:new )?(\w+)")
        if kind == "read" and into and stem(into[1]) in nouns:
            kind = "create"  # summarise this in a note
        return cls(sentence, kind, verb, noun_weights(sentence), common, rarity)

    def score(self, tool: ToolSpec) -> float:
        name = ToolName.of(tool)
        score = 0.0
        if self.kind == "read" and not self._is_about(tool, name):
            return score
        if name.kind and name.kind == self.kind:
            score += 4 + (name.verb == self.verb) * 0.5
        elif not name.kind and name.verb in self.weights:
            score += 4.5  # a verb of its own, such as water_plant
        elif name.kind and self.kind:
            score -= 3
        for noun in name.nouns:
            missing = 0.0 if noun in self.common else -1.0
            score += 3 * self.weights[noun] if noun in self.weights else missing
        score += min(2.0, sum(0.5 / self.rarity[word] for word in stems(tool.description) & self.weights.keys()))
        score += sum(0.5 for values in enum_values(tool) if values_in(self.sentence, values))
        return score + self._one_or_many(tool, name)

    def _is_about(self, tool: ToolSpec, name: ToolName) -> bool:
        """Whether a question has anything to do with a tool: "tell me a joke" has not."""
        if self.sentence.quotes or self.weights.keys() & set(name.nouns):
            return True
        return any(values_in(self.sentence, values) for values in enum_values(tool))

    def _one_or_many(self, tool: ToolSpec, name: ToolName) -> float:
        """Reading one thing wants a tool that is given its id; reading many wants one that is not."""
        if name.kind != "read":
            return 0.0
        needs = any(wanted == "id" or wanted.endswith("_id") for wanted in tool.parameters.get("required", ()))
        plural = any(word.stem in name.nouns and word.text.lower().endswith("s") for word in self.sentence.words)
        one = bool(self.sentence.quotes or self.sentence.search(r"\b(called|named|titled|about)\b")) and not plural
        return 1.0 if needs == one else -1.0


def noun_weights(sentence: Sentence) -> dict[str, float]:
    """How much each word counts: less after a preposition, where it says of what or for what, not what."""
    weights: dict[str, float] = {}
    before: list[Span] = []
    for place, word in enumerate(sentence.words):
        after = any(earlier.text.lower() in _AFTER for earlier in before[-2:]) or _has_name(sentence, word)
        if word.text.lower() not in STOP_WORDS:
            weight = (0.5 if after else 1.0) - min(place, 20) / 200
            weights[word.stem] = max(weights.get(word.stem, 0.0), weight)
        before.append(word)
    return weights


def _has_name(sentence: Sentence, word: Span) -> bool:
    """Whether a name follows: in ``project Apollo`` the project is told by it, and seldom what is asked for."""
    return re.match(r"\s+[A-Z]", sentence.text[word.end :]) is not None


def clauses_of(sentence: Sentence) -> list[Sentence]:
    """The parts of a sentence, each of which begins with a verb; else the whole."""
    if sentence.quotes:
        masked = "".join("\0" if _quoted(sentence, at) else letter for at, letter in enumerate(sentence.text))
    else:
        masked = sentence.text
    parts, begin = [], 0
    for cut in _CLAUSE.finditer(masked):
        parts.append(sentence.text[begin : cut.start()])
        begin = cut.end()
    found = [Sentence(part) for part in (*parts, sentence.text[begin:]) if part.strip()]
    begins = [clause.words[0].stem in VERB_CLASS if clause.words else False for clause in found]
    return found if all(begins) else [sentence]


def _quoted(sentence: Sentence, at: int) -> bool:
    return any(quote.start <= at < quote.end for quote in sentence.quotes)


def _best_agent(sentence: Sentence, agents: Mapping[str, str]) -> str | None:
    words = {name: stems(description) for name, description in agents.items()}
    rarity = Counter(word for known in words.values() for word in known)
    weights = noun_weights(sentence)
    verb = verb_of(sentence)[1]
    if rarity[verb] != 1:  # all of them create and delete
        weights.pop(verb, None)
    scores: dict[str, float] = {}
    for name, known in words.items():
        own = stems(name) - {"agent"}
        scores[name] = sum(3 * weights.get(word, 0.0) for word in own)
        scores[name] += sum(weights[word] / rarity[word] for word in (known - own) & weights.keys())
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best is not None and scores[best] >= 0.4 else None
