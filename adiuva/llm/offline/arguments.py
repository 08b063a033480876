"""A tool's arguments, filled from the user's sentence by what the tool's JSON schema says of each."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import define, field, frozen

from adiuva.llm.offline.choice import ToolName, lookup_tool
from adiuva.llm.offline.dates import FoundDate, find_date, find_time
from adiuva.llm.offline.schema import fallback, properties, values_in
from adiuva.llm.offline.text import STOP_WORDS, Sentence, Span, blanked, stem, stems
from adiuva.llm.offline.verbs import verb_of
from adiuva.llm.protocol import ToolSpec

_TITLES = ("title", "name", "subject", "headline", "summary", "label")
_CONTENTS = ("content", "body", "text", "markdown", "comment", "message", "note", "description", "details")
_SEARCHES = ("query", "q", "search", "keyword", "term")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_NAMED = r"(?:called|named|titled|entitled)\s+"
_SAYING = r"(?:\b(?:saying|that says|regarding|concerning)\b|:)\s*(?P<rest>.+)"
# Repetitions are bounded where a pattern is tried at every place: else the time grows with the square of the text.
_TAIL = re.compile(
    r"(?:[\s.,;:!?-]|\b(?:to|for|in|on|of|my|our|the|an?|as|with|please|say|says)\b){1,20}$", re.IGNORECASE
)
_ABOUT_IT = rf"\b(?:about|on|{_NAMED})\s*(?P<rest>.+)"
_LEADING = re.compile(
    r"^(?:(?:(?:can|could|would|will) you|please|kindly|hey|hi|ok|and|also|to|for|that|of|the|an?|my|me|i|need|have"
    r"|want|is|as|with|about|new)\b[\s,:]*)+",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"^(?:it|that|this|them)\b.*", re.IGNORECASE)
_RENAME = r"\b(?:rename|retitle|call it|change the (?:title|name))\b"


@frozen(kw_only=True)
class Reference:
    """A thing that the sentence names, and whose id the tool wants."""

    parameter: str
    noun: str  # a stem; "" where the tool's name does not say it
    text: str
    required: bool


@define(kw_only=True)
class Filler:
    """Fills the arguments of ``tool``. ``references`` are the ids that have to be looked up first."""

    sentence: Sentence
    tool: ToolSpec
    tools: Sequence[ToolSpec]  # all there are
    now: datetime
    mentioned: str = ""  # what the conversation was about before: it, that
    arguments: dict[str, Any] = field(factory=dict)
    references: list[Reference] = field(factory=list)
    _used: list[Span] = field(factory=list)  # what has gone into an argument, and is no part of a title
    _quotes: list[Span] = field(factory=list)

    def fill(self) -> None:
        self._quotes = list(self.sentence.quotes)
        schemas = properties(self.tool)
        required = set(self.tool.parameters.get("required", ()))
        later: list[tuple[str, dict[str, Any]]] = []
        for name, schema in schemas.items():
            if not self._fill_plain(name, schema):
                later.append((name, schema))
        ids = [name for name, schema in later if _is_id(name) and schema.get("type", "string") in {"string", "integer"}]
        # Things named by a word of their own ("project Apollo") first, then what the tool is about.
        for name in sorted(ids, key=lambda name: _noun(name, self.tool) in self._kind_nouns()):
            self._refer(name, required=name in required)
        texts = [name for name, schema in later if name not in ids and schema.get("type", "string") == "string"]
        for name in sorted(texts, key=lambda name: not _like(name, _TITLES)):
            self._fill_text(name, required=name in required)
        for name in required - self.arguments.keys() - {reference.parameter for reference in self.references}:
            if (value := fallback(schemas.get(name, {}))) is not None:
                self.arguments[name] = value

    def _kind_nouns(self) -> tuple[str, ...]:
        return ToolName.of(self.tool).nouns

    # Values that the schema tells by itself

    def _fill_plain(self, name: str, schema: dict[str, Any]) -> bool:
        if values := schema.get("enum"):
            return self._fill_enum(name, values)
        if schema.get("format") in {"date", "date-time"}:
            return self._fill_date(name, schema["format"])
        match schema.get("type"):
            case "boolean":
                if stems(name) & self.sentence.stems:
                    self.arguments[name] = True
                return True
            case "integer" | "number" if not _is_id(name):
                return self._fill_number(name, whole=schema["type"] == "integer")
            case "array":
                return self._fill_list(name, schema)
            case "object":
                return True
        return False

    def _fill_enum(self, name: str, values: Sequence[Any]) -> bool:
        if found := values_in(self.sentence, values):
            self.arguments[name], span = found
            beside = self.sentence.search(
                rf"(?:\b(?:with|at|of|as|to)\s+)?(?:\ba\s+)?{re.escape(span.text)}(?:[\s-]+{name})?"
            )
            self._used.append(Span(beside[0], *beside.span()) if beside else span)
            if around := self.sentence.search(rf"\b{name}\s+(?:(?:to|is|of|as)\s+)?(?={re.escape(span.text)})"):
                self._used.append(Span(around[0], *around.span()))
        return True

    def _fill_date(self, name: str, form: str) -> bool:
        found = self._date()
        if found is None or name in self.arguments:
            return True
        taken = any(isinstance(value, str) and value.startswith(str(found.day)) for value in self.arguments.values())
        if taken:
            return True
        self._used.append(found.span)
        value = found.day.isoformat()
        if form == "date-time":
            at = find_time(blanked(self.sentence.text, self.sentence.quotes))
            moment = datetime.combine(found.day, at[0] if at else datetime.min.time(), self.now.tzinfo)
            value = moment.isoformat()
            self._used.extend([at[1]] if at else [])
        self.arguments[name] = value
        return True

    def _date(self) -> FoundDate | None:
        return find_date(blanked(self.sentence.text, self.sentence.quotes), self.now.date())

    def _fill_number(self, name: str, *, whole: bool) -> bool:
        words = "|".join(re.escape(word) for word in name.lower().split("_"))
        number = r"(?P<{}>\d+(?:\.\d+)?)"
        found = self.sentence.search(
            rf"{number.format('before')}\s*(?:{words})|\b(?:{words})\s+(?:(?:to|of|is|=)\s+)?{number.format('after')}"
        )
        if found:
            text = found["before"] or found["after"]
            self.arguments[name] = int(float(text)) if whole else float(text)
            self._used.append(Span(found[0], *found.span()))
        return True

    def _fill_list(self, name: str, schema: dict[str, Any]) -> bool:
        if schema.get("items", {}).get("type", "string") != "string":
            return True
        words = stem(name)
        if len(self._quotes) > 1 and words in self.sentence.stems:
            self.arguments[name] = [quote.text for quote in self._quotes]
            self._quotes.clear()
        elif words in {"tag", "label"} and (tags := re.findall(r"#([\w-]+)", self.sentence.text)):
            self.arguments[name] = tags
        return True

    # Things that have an id

    def _refer(self, name: str, *, required: bool) -> None:
        noun = _noun(name, self.tool)
        if found := _UUID.search(self.sentence.text):
            if required:
                self.arguments[name] = found[0]
            return
        kinds = self._kind_nouns()
        text = self._named_thing(noun)
        if not text and required and (noun in kinds or not noun):
            text = self._take_quote() or self._after(_ABOUT_IT) or _PRONOUN.sub("", self._rest()) or self.mentioned
        elif not text and required:
            text = self._take_quote()
        if not required and ToolName.of(self.tool).kind == "read" and lookup_tool(noun, self.tools) is None:
            return  # a name would filter everything away
        if text or required:
            self.references.append(Reference(parameter=name, noun=noun, text=text, required=required))

    def _named_thing(self, noun: str) -> str:
        """What stands after a noun: ``the project Apollo``, ``project called "Apollo"``."""
        for place, word in enumerate(self.sentence.words):
            if not noun or word.stem != noun:
                continue
            for quote in self._quotes:
                between = self.sentence.text[word.end : quote.start]
                if quote.start > word.end and re.fullmatch(rf"\s*(?:{_NAMED})?", between):
                    self._use_phrase(word.start, quote.end)
                    self._quotes.remove(quote)
                    return quote.text
            rest = self.sentence.text[word.end :]
            if match := re.match(rf"\s+(?:{_NAMED})?((?:[A-Z0-9][\w&.'-]*)(?:\s+[A-Z0-9][\w&.'-]*)*)", rest):
                self._use_phrase(word.start, word.end + match.end())
                return _TAIL.sub("", match[1])
            before = self.sentence.words[place - 1] if place else None
            if before and before.text[:1].isupper() and place > 1 and before.text.lower() not in STOP_WORDS:
                self._use_phrase(before.start, word.end)  # the Apollo project
                return before.text
        return ""

    def _use_phrase(self, start: int, end: int) -> None:
        lead = re.search(
            r"(?:\b(?:for|in|of|on|to|from|under|the|my|a)\s+){1,8}$", self.sentence.text[:start], re.IGNORECASE
        )
        start = lead.start() if lead else start
        self._used.append(Span(self.sentence.text[start:end], start, end))

    # Texts

    def _fill_text(self, name: str, *, required: bool) -> None:
        updates = verb_of(self.sentence)[0] == "update"
        if stated := self._stated(name):
            self.arguments[name] = stated
        elif _like(name, _TITLES):
            if updates and self.references:
                if self.sentence.search(_RENAME) and (
                    text := self._take_quote() or self._after(r"\bto\s+(?P<rest>.+)")
                ):
                    self.arguments[name] = text
            elif required:
                self.arguments[name] = self._title()
        elif _like(name, _CONTENTS) and (required or name in {"content", "body", "markdown"}) and not updates:
            if (text := self._content()) and (required or text not in self.arguments.values()):
                self.arguments[name] = text
        elif (_like(name, _SEARCHES) or required) and (text := self._take_quote() or self._rest()):
            self.arguments[name] = text

    def _stated(self, name: str) -> str:
        """A value given by the parameter's own name: ``with description "…"``."""
        words = name.replace("_", " ")
        for quote in self._quotes:
            before = self.sentence.text[: quote.start]
            if re.search(rf"\b{re.escape(words)}\s*(?:to|is|of|as|:|=)?\s*$", before, re.IGNORECASE):
                self._quotes.remove(quote)
                return quote.text
        return ""

    def _title(self) -> str:
        if self._quotes:
            return self._take_quote()
        if text := self._after(rf"\b{_NAMED}(?P<rest>.+)"):
            return text
        rest = self._rest()
        if rest:
            return rest[0].upper() + rest[1:]
        kind = " ".join(word for word in re.findall(r"[A-Za-z]+", self.tool.name)[1:]) or "entry"
        about = next((reference.text for reference in self.references if reference.text), "")
        return f"{kind.capitalize()} for {about}" if about else f"New {kind}"

    def _content(self) -> str:
        if text := self._take_quote():
            return text
        if about := self._after(r"\babout\s+(?P<rest>.+)"):
            return f"About {about}."
        if text := self._after(_SAYING):
            return text[0].upper() + text[1:]
        title: str = next((value for name, value in self.arguments.items() if _like(name, _TITLES)), "")
        return title or self._rest()

    def _take_quote(self) -> str:
        return self._quotes.pop(0).text if self._quotes else ""

    def _after(self, pattern: str) -> str:
        date = self._date()
        text = blanked(self.sentence.text, [*self._used, *([date.span] if date else [])])
        match = re.search(pattern, text, re.IGNORECASE)
        return _TAIL.sub("", " ".join(match["rest"].split())) if match else ""

    def _rest(self) -> str:
        """What is left of the sentence without the command, and without what other arguments hold."""
        kind, verb = verb_of(self.sentence)
        nouns = self._kind_nouns()
        used = list(self._used) + list(self.sentence.quotes)
        for word in self.sentence.words:
            if word.stem == (verb if kind else ToolName.of(self.tool).verb):
                used.append(word)
                break
        for word in self.sentence.words:
            if word.stem in nouns:
                used.append(word)
                break
        if date := self._date():
            used.append(date.span)
        rest = _LEADING.sub("", _TAIL.sub("", self.sentence.without(used)).lstrip(" ,.:;!?-"))
        return "" if rest.lower() in STOP_WORDS else rest


def _is_id(name: str) -> bool:
    return name == "id" or name.endswith("_id")


def _noun(name: str, tool: ToolSpec) -> str:
    if name != "id":
        return stem(name.removesuffix("_id").rpartition("_")[2])
    nouns = ToolName.of(tool).nouns
    return nouns[-1] if nouns else ""


def _like(name: str, kinds: tuple[str, ...]) -> bool:
    return name in kinds or name.rpartition("_")[2] in kinds
