"""`offline/rules`: answers model calls by rules, so that everything works on a machine without any model."""

import re
from collections.abc import Iterable
from itertools import pairwise
from time import monotonic
from typing import Any

import orjson
from attrs import define, field, frozen

from adiuva import clock
from adiuva.llm.offline import answers
from adiuva.llm.offline.arguments import Filler, Reference
from adiuva.llm.offline.choice import agents_in, choose_agents, choose_tool, lookup_tool
from adiuva.llm.offline.dates import stated_now
from adiuva.llm.offline.text import Sentence, stems
from adiuva.llm.protocol import Message, ModelCall, ModelTurn, OnText, ToolCall, ToolSpec, Usage
from adiuva.llm.reports import CallReport, OnReport

NAME = "offline/rules"
_WHO = re.compile(
    r"\b(?:who|what) are you\b|\bwhat(?:'s| is) (?:this|your) (?:model|name)\b|\b(?:which|what) (?:\w+ )?model\b"
    r"|\bare you (?:an?|the|really|chatgpt|claude|gemini)\b|\boffline (?:model|stand-in)\b",
    re.IGNORECASE,
)
_LONGEST = 1000  # characters of a message that are read: who writes more does not write commands
_WORDS = re.compile(r"\S+\s*|\s+")
_PRONOUN = re.compile(r"\b(?:it|that|this|them)\b", re.IGNORECASE)


@frozen
class OfflineModel:
    """A deterministic stand-in for a language model: it works from the schemas of tools alone, whosever they are."""

    on_report: OnReport | None = None  # told of every call

    async def run(self, call: ModelCall, on_text: OnText | None = None) -> ModelTurn:
        """Answer by rules, word by word where it is streamed."""
        started = monotonic()
        turn = _Turn(call=call)
        answer = turn.decide()
        text = answer if isinstance(answer, str) else ""
        tool_calls = () if isinstance(answer, str) else tuple(answer)
        if on_text is not None:
            for word in _WORDS.findall(text):
                await on_text(word)
        spent = text.split() if text else [part for tool_call in tool_calls for part in tool_call.arguments.split()]
        prompt = sum(len(message.content.split()) for message in call.messages)
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(spent))
        if self.on_report is not None:
            self.on_report(
                CallReport(
                    model=NAME,
                    lane="offline",
                    outcome="ok",
                    retry=False,
                    seconds=monotonic() - started,
                    first_text_seconds=None,
                    usage=usage,
                )
            )
        return ModelTurn(text=text, tool_calls=tool_calls, usage=usage, model=NAME)

    async def close(self) -> None:
        """There is nothing to close."""


@frozen
class _Wish:
    tool: str
    arguments: dict[str, Any]


@frozen
class _Step:
    """A tool that has run since the user's last message."""

    wish: _Wish
    result: Any


@define(kw_only=True)
class _Turn:
    call: ModelCall
    sentence: Sentence = field(init=False)
    steps: list[_Step] = field(init=False)
    known: list[dict[str, Any]] = field(init=False)  # every record that a tool has shown

    def __attrs_post_init__(self) -> None:
        messages = self.call.messages
        last = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
        self.sentence = Sentence(messages[last].content[:_LONGEST] if last >= 0 else "")
        self.steps = _steps(messages[last + 1 :])
        self.known = [record for step in self.steps for record in answers.records_in(step.result) or ()]

    def decide(self) -> str | list[ToolCall]:
        """What to say, or which tools to run first."""
        if not self.call.tools:
            return self._without_tools()
        if _WHO.search(self.sentence.text):
            return answers.IDENTITY
        chosen = choose_tool(self.sentence, self.call.tools)
        if chosen is None:
            return answers.can_do(self.call.tools)
        tool, self.sentence = chosen
        results = [step.result for step in self.steps if step.wish.tool == tool.name]
        if len(results) > 1 and answers.records_in_error(results[0]):
            results = results[1:]  # the first was only asked for the ids
        elif self._offered(results):
            results = []
        if results:
            names = {str(record["id"]): answers.label(record) for record in self.known if "id" in record}
            return " ".join(answers.done(tool, result, names) for result in results)
        return self._use(tool)

    def _offered(self, results: list[Any]) -> list[dict[str, Any]]:
        """What the tool said that an id could be, after it was given a name in its place, once."""
        return answers.records_in_error(results[0]) if len(results) == 1 else []

    def _without_tools(self) -> str:
        """As a router, as the one who joins several agents' answers, or just spoken to."""
        prompt = "\n".join(message.content for message in self.call.messages if message.role == "system")
        if agents := agents_in(prompt):
            return orjson.dumps({"agents": choose_agents(self.sentence, agents)}).decode()
        results = _results_in(prompt)
        told = [str(result.get("response") or result.get("error") or "") for result in results]
        return " ".join(filter(None, told)) or answers.IDENTITY

    def _use(self, tool: ToolSpec) -> str | list[ToolCall]:
        """Run the tool, or first those that tell the ids of what the sentence names."""
        fillers = [self._filled(tool, sentence) for sentence in _one_each(self.sentence)]
        lookups: list[_Wish] = []
        for filler in fillers:
            references = sorted(filler.references, key=lambda one: lookup_tool(one.noun, self.call.tools) is None)
            for reference in references:
                lookup = self._lookup(reference, filler)
                if lookup is not None and lookup.tool != tool.name and not self._results(lookup):
                    lookups.extend([] if lookup in lookups else [lookup])
                    break
                if problem := self._resolve(filler, reference, lookup):
                    return problem
        return self._calls(lookups or [_Wish(tool.name, filler.arguments) for filler in fillers])

    def _filled(self, tool: ToolSpec, sentence: Sentence) -> Filler:
        now = stated_now([message.content for message in self.call.messages]) or clock.now()
        filler = Filler(sentence=sentence, tool=tool, tools=self.call.tools, now=now, mentioned=self._mentioned())
        filler.fill()
        return filler

    def _lookup(self, reference: Reference, filler: Filler) -> _Wish | None:
        tool = lookup_tool(reference.noun, self.call.tools, filler.arguments.keys())
        if tool is None:
            return None
        needed = tool.parameters.get("required", ())
        return _Wish(tool.name, {name: filler.arguments[name] for name in needed})

    def _results(self, wish: _Wish) -> list[Any]:
        return [step.result for step in self.steps if step.wish == wish]

    def _resolve(self, filler: Filler, reference: Reference, lookup: _Wish | None) -> str:
        """Put the id of what is meant into the arguments; else say why not."""
        if lookup is None:
            shown = [step.result for step in self.steps if step.wish.tool == filler.tool.name]
            records = self._offered(shown) if shown else []
            if not records and reference.text:
                # Some tools answer a name with the ids that there are; where nobody knows, a name is as good.
                filler.arguments[reference.parameter] = reference.text
                return ""
        else:
            shown = self._results(lookup)
            for result in shown:
                if isinstance(result, dict) and "error" in result:
                    return f"That did not work: {result['error']}"
            records = [record for result in shown for record in answers.records_in(result) or () if "id" in record]
        found = _named(reference.text, records)
        if found is None:
            kind = filler.tool.name.split("_")
            noun = reference.parameter.removesuffix("_id").removesuffix("id") or (kind[-1] if len(kind) > 1 else "")
            return answers.not_found(noun, reference.text, records)
        filler.arguments[reference.parameter] = found["id"]
        return ""

    def _mentioned(self) -> str:
        """What ``it`` means: the last thing that was named in quotes before."""
        if not _PRONOUN.search(self.sentence.text):
            return ""
        for message in reversed(self.call.messages[:-1]):
            if message.role in {"user", "assistant"} and (quotes := Sentence(message.content[:_LONGEST]).quotes):
                return quotes[-1].text
        return ""

    def _calls(self, wishes: Iterable[_Wish]) -> list[ToolCall]:
        place = len(self.call.messages)
        return [
            ToolCall(id=f"call_{place}_{number}", name=wish.tool, arguments=orjson.dumps(wish.arguments).decode())
            for number, wish in enumerate(wishes)
        ]


def _steps(messages: Iterable[Message]) -> list[_Step]:
    wishes: dict[str, _Wish] = {}
    steps = []
    for message in messages:
        wishes.update({call.id: _Wish(call.name, _json(call.arguments)) for call in message.tool_calls})
        if message.role == "tool" and message.tool_call_id in wishes:
            steps.append(_Step(wishes[message.tool_call_id], _json(message.content)))
    return steps


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _results_in(prompt: str) -> list[dict[str, Any]]:
    """The agents' results that a prompt for a closing answer holds as a JSON array."""
    results: Any = next((_json(line) for line in prompt.splitlines() if line.startswith("[")), [])
    return [result for result in results if isinstance(result, dict)] if isinstance(results, list) else []


def _one_each(sentence: Sentence) -> list[Sentence]:
    """``Add tasks 'A', 'B' and 'C'`` is three sentences; any other sentence is one."""
    quotes = sentence.quotes
    between = [sentence.text[one.end : two.start] for one, two in pairwise(quotes)]
    if not between or not all(re.fullmatch(r"\s*(?:,|and|, and|&|;)\s*", gap) for gap in between):
        return [sentence]
    before, after = sentence.text[: quotes[0].start], sentence.text[quotes[-1].end :]
    return [Sentence(f"{before}{sentence.text[quote.start : quote.end]}{after}") for quote in quotes]


def _named(text: str, records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The record that ``text`` names; None where there is none, or more than one."""
    wanted = text.casefold().strip()
    if not wanted:
        return None
    same = [record for record in records if answers.label(record).casefold() == wanted or str(record["id"]) == text]
    if len(same) == 1:
        return same[0]
    words = stems(text)
    ranked = sorted(
        ((len(words & stems(answers.label(record))), place) for place, record in enumerate(records)), reverse=True
    )
    if not ranked or same or ranked[0][0] * 2 <= len(words) or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
        return None
    return records[ranked[0][1]]
