"""What the sanitizer lets out, and what not. Words run together, base64 and the like are out of its scope."""

import copy
import itertools
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adiuva.chat.registry import AgentRegistry
from adiuva.chat.sanitizer import MARK, MAX_HELD, Sanitizer
from adiuva.chat.sanitizer_automaton import _easy_words, words_of
from adiuva.chat.sanitizer_words import MAX_HELD_WORDS

AGENTS = {agent.name: agent.instructions for agent in AgentRegistry.load(set()).list_agents()}
ROUTER = (
    "You route messages of an app. Choose one agent; choose several only where the message asks for things of\n"
    'different agents. The agents:\n- {agents}\nAnswer with JSON alone: {{"agents": ["name"]}}'
)
GARDEN = "alpha beta gamma delta epsilon zeta eta theta iota kappa\nalpha beta gamma mu nu xi omicron pi rho sigma tau"
SHORT = "Always sing the truth loudly."
TINY = "Be very brief."
JAPANESE = "あなたは庭の手入れを計画する助手です。天気を見て、水やりの時期を教えてください zzz"
GERMAN = "Du gießt die Kübel: „Größe“ und Fülle, für Äcker – über Höhen; nie’s Öl. Übe früh, süße Früchte zu ernten!"  # noqa: RUF001
RUSSIAN = "Ты помогаешь с садом: ёлки, берёзы и ёжики; никогда не говори о погоде, если её нет. Отвечай коротко и ясно…"  # noqa: RUF001
PROMPTS = AGENTS | {
    "router": ROUTER,
    "garden_agent": GARDEN,
    "short": SHORT,
    "tiny": TINY,
    "japanese": JAPANESE,
    "german": GERMAN,
    "russian": RUSSIAN,
}
SANITIZER = Sanitizer(PROMPTS)
ORDINARY = (Path(__file__).parent / "ordinary_answers.txt").read_text("utf-8").rstrip("\n").split("\n%%\n")


def plain_words(text: str) -> list[str]:
    """The words of a text; a second opinion, which shares no code with the sanitizer."""
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", visible).casefold())


def runs(text: str) -> set[tuple[str, ...]]:
    words = plain_words(text)
    return {tuple(words[first : first + 8]) for first in range(len(words) - 7)}


LEAKS = set[tuple[str, ...]]().union(*(runs(prompt) for prompt in PROMPTS.values()))


CYRILLIC, LIKE_CYRILLIC = "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0455", "aeopcyxis"
CYRILLIC_TO_LATIN = str.maketrans(CYRILLIC, LIKE_CYRILLIC)
LATIN_TO_CYRILLIC = str.maketrans(LIKE_CYRILLIC, CYRILLIC)
LATIN_TO_GREEK = str.maketrans("aovpiktx", "\u03b1\u03bf\u03bd\u03c1\u03b9\u03ba\u03c4\u03c7")


def as_shown(text: str) -> str:
    """About what a reader makes of it where HTML is shown; numbers, which may be a list's, are left out."""
    text = re.sub(r"<[^<>]*>|&#?\w+;|\u200b", " ", text).translate(CYRILLIC_TO_LATIN)
    return re.sub(r"\b\d+\b", " ", text)


LEAKS_AS_SHOWN = set[tuple[str, ...]]().union(*(runs(as_shown(prompt)) for prompt in PROMPTS.values()))


def streamed(pieces: Iterable[str], sanitizer: Sanitizer = SANITIZER) -> str:
    stream = sanitizer.stream()
    return "".join([*map(stream.feed, pieces), stream.finish()])


def cut(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


DISGUISES: dict[str, Callable[[str], str]] = {
    "verbatim": lambda text: text,
    "upper case": str.upper,
    "title case": str.title,
    "double spaced": lambda text: text.replace(" ", "  "),
    "one line": lambda text: " ".join(text.split()),
    "a word a line": lambda text: "\r\n\t".join(text.split()),
    "exotic spaces": lambda text: "\u00a0\u3000\u2009".join(text.split()),
    "bold words": lambda text: " ".join(f"**{word}**" for word in text.split()),
    "emphasis": lambda text: " ".join(f"_{word}_" for word in text.split()),
    "snake case": lambda text: "_".join(text.split()),
    "quoted": lambda text: "".join(f"> {line}\n" for line in text.splitlines()),
    "code words": lambda text: " ".join(f"`{word}`" for word in text.split()),
    "table": lambda text: "| " + " | ".join(text.split()) + " |",
    "list": lambda text: "".join(f"- {word}\n" for word in text.split()),
    "no punctuation": lambda text: re.sub(r"[^\w\s'-]", "", text),
    "more punctuation": lambda text: ", ".join(text.split()),
    "no apostrophes": lambda text: text.replace("'", " "),
    "curly apostrophes": lambda text: text.replace("'", "\u2019"),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "mathematical bold": lambda text: "".join(chr(0x1D41A + ord(c) - ord("a")) if "a" <= c <= "z" else c for c in text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "accents": lambda text: re.sub(r"([aeiou])", "\\1\u0301", text),
    "zero width spaces": lambda text: re.sub(r"(\w)", "\\1\u200b", text),
    "soft hyphens": lambda text: re.sub(r"(\w)(?=\w)", "\\1\u00ad", text),
    "a flood of zero width spaces": lambda text: ("\u200b" * 900 + " ").join(text.split()[:20]),
    "fenced": lambda text: f"Sure, here it is:\n```text\n{text}\n```\nAnything else?",
    "wide gaps": lambda text: (" " * 40).join(text.split()),
    "very wide gaps": lambda text: ("\n" * 700).join(text.split()[:20]),
}
SHOWN_DISGUISES: dict[str, Callable[[str], str]] = {
    "line breaks": lambda text: "<br>".join(text.split()),
    "closed line breaks": lambda text: "<br />\n".join(text.split()),
    "bold tags": lambda text: " ".join(f"<b>{word}</b>" for word in text.split()),
    "nested tags": lambda text: "".join(f'<li><span style="color: red">{word}</span></li>' for word in text.split()),
    "comments": lambda text: "<!-- and -->".join(text.split()),
    "a tag here and there": lambda text: re.sub(r" (\w+) (\w+) ", r" \1 <i>\2</i> ", text),
    "tags after a smaller-than": lambda text: "Given x <5 " + "<br>".join(text.split()),
    "entities": lambda text: "&nbsp;".join(text.split()),
    "numeric entities": lambda text: " &#8203;".join(text.split()),
    "numbered": lambda text: "\n".join(f"{at}. {word}" for at, word in enumerate(text.split(), 1)),
    "numbered in brackets": lambda text: " ".join(f"{word} [{at}]" for at, word in enumerate(text.split(), 1)),
    "a numbered table": lambda text: "\n".join(f"| {at} | {word} |" for at, word in enumerate(text.split(), 1)),
    "zero width spaces for spaces": lambda text: "\u200b".join(text.split()),
    "zero width spaces in and between words": lambda text: re.sub(r"(\w|\s+)", "\\1\u200b", text).replace(" ", ""),
    "Cyrillic letters": lambda text: text.translate(LATIN_TO_CYRILLIC),
    "Greek letters": lambda text: text.translate(LATIN_TO_GREEK),
    "all at once": lambda text: "<br>".join(
        f"{at}) <em>{word}</em>" for at, word in enumerate(text.replace("e", "\u0435").split())
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("rule", sorted(PROMPTS.keys() - {"tiny", "short"}))
def test_no_eight_words_of_a_prompt_get_out_however_it_is_leaked_and_cut(rule: str, disguise: str) -> None:
    leak = f"Well: {DISGUISES[disguise](PROMPTS[rule])} So much for that."
    clean = SANITIZER.text(leak)
    assert MARK in clean
    assert not runs(clean) & LEAKS
    assert clean.startswith("Well: ")
    assert clean.endswith(" So much for that.")
    for size in (1, 3, 8, 40):
        assert streamed(cut(leak, size)) == clean
    words = re.findall(r"\s*\S+|\s+", leak)
    assert streamed(words) == clean


@pytest.mark.parametrize("disguise", SHOWN_DISGUISES)
@pytest.mark.parametrize("rule", sorted(PROMPTS.keys() - {"tiny", "short", "japanese"}))
def test_what_is_not_seen_where_the_answer_is_shown_hides_no_prompt(rule: str, disguise: str) -> None:
    leak = f"Well: {SHOWN_DISGUISES[disguise](PROMPTS[rule])} So much for that."
    clean = SANITIZER.text(leak)
    assert MARK in clean
    assert not runs(clean) & LEAKS
    assert not runs(as_shown(clean)) & LEAKS_AS_SHOWN
    for size in (1, 3, 8, 40):
        assert streamed(cut(leak, size)) == clean
    assert streamed(re.findall(r"\s*\S+|\s+", leak)) == clean


@pytest.mark.parametrize(
    "text, clean",
    [
        ("alpha <beta> gamma delta <epsilon zeta> eta theta!", "[REDACTED]!"),  # the words inside count as well
        ("alpha <x> beta gamma delta (epsilon zeta eta theta", "[REDACTED]"),
        ("x <b>alpha</b> <b>beta gamma delta epsilon zeta eta</b> theta.", "x <b>[REDACTED]."),
        ("alpha 1 beta 2 gamma 34 delta epsilon zeta eta theta 5", "[REDACTED] 5"),
        ("alpha <x beta gamma <br> delta epsilon zeta eta theta", None),  # "x" is in no tag
        ("beta <b> x <a gamma <alpha beta gamma delta epsilon zeta eta theta>", "beta <b> x <a gamma <[REDACTED]>"),
        ("1. You are the task agent of Adiuva.", "1. [REDACTED] of Adiuva."),
        ("<b>You are the task agent</b>", "<b>[REDACTED]</b>"),
        ("a < alpha beta > gamma delta epsilon zeta eta theta", "a < [REDACTED]"),
        ("alpha < 5 beta gamma delta epsilon zeta eta theta", "[REDACTED]"),
        ("alpha beta & gamma delta epsilon zeta eta theta", "[REDACTED]"),
        ("alpha beta gamma " + "9" * 17 + " delta epsilon zeta eta theta", None),
        ("alpha beta gamma <" + "x " * 17 + "> delta epsilon zeta eta theta", None),
        ("alpha beta gamma &x y; delta epsilon zeta eta theta", None),
        ("x\u200balpha beta\u200bgam\u200bma delta epsilon zeta eta theta", "x\u200b[REDACTED]"),
        ("alpha beta gam\u200bma delta epsilon zeta eta the\u200bta\u200bx", "[REDACTED]\u200bx"),
    ],
)
def test_words_in_tags_and_numbers_may_count_and_may_not(text: str, clean: str | None) -> None:
    assert SANITIZER.text(text) == (clean or text)
    for size in range(1, 9):
        assert streamed(cut(text, size)) == (clean or text)


@pytest.mark.parametrize("rule", sorted(PROMPTS.keys() - {"tiny"}))
def test_a_leaked_prompt_leaves_one_mark(rule: str) -> None:
    assert streamed(PROMPTS[rule]).count(MARK) == (2 if rule == "router" else 1)  # the JSON is a leak of its own
    assert len(SANITIZER.text(PROMPTS[rule])) < 30


@pytest.mark.parametrize("rule", AGENTS)
def test_every_two_cuts_of_a_leak_come_to_the_same(rule: str) -> None:
    leak = "I was told this. " + AGENTS[rule][:150] + " That was it."
    clean = SANITIZER.text(leak)
    assert not runs(clean) & LEAKS
    for first, second in itertools.combinations(range(0, len(leak), 2), 2):
        assert streamed((leak[:first], leak[first:second], leak[second:])) == clean


@pytest.mark.parametrize("rule", sorted(PROMPTS.keys() - {"tiny", "short"}))
def test_a_leak_inside_an_actions_parameters_is_found_in_values_and_keys(rule: str) -> None:
    params: dict[str, Any] = {
        "title": "Note",
        "content": f"# Mine\n{PROMPTS[rule]}",
        "tags": ["a", PROMPTS[rule]],
        "n": [1, None, True],
    }
    params[PROMPTS[rule]] = {"deep": [{"deeper": PROMPTS[rule].upper()}]}
    before = copy.deepcopy(params)
    clean = SANITIZER.value(params)
    assert params == before
    assert not runs(repr(clean)) & LEAKS
    assert clean["title"] == "Note"
    assert clean["content"].startswith("# Mine\n[REDACTED]")
    assert clean["n"] == [1, None, True]
    assert len(clean) == 5


def test_seven_words_pass_and_eight_do_not() -> None:
    assert (
        SANITIZER.text("So beta gamma delta epsilon zeta eta theta, no")
        == "So beta gamma delta epsilon zeta eta theta, no"
    )
    assert SANITIZER.text("So beta gamma delta epsilon zeta eta theta iota, no") == "So [REDACTED], no"


@pytest.mark.parametrize(
    "text",
    [
        "alpha beta gamma delta epsilon zeta eta thetas",  # the eighth word goes on
        "alpha beta gamma delta epsilon zeta eta\u200b x8 theta iota",
        "alpha beta gamma delta and epsilon zeta eta theta iota kappa",
        "theta eta zeta epsilon delta gamma beta alpha",
        "iota kappa alpha beta gamma mu nu",
        "alphabeta gamma delta epsilon zeta eta theta",
        "Be very brief.",  # too short a prompt to be known by
        "Always sing the truth",
        "あなたは庭の手入れを計画しました。",
    ],
)
def test_near_misses_pass(text: str) -> None:
    assert SANITIZER.text(text) == text
    assert streamed(text) == text


def test_a_word_with_an_apostrophe_counts_for_two() -> None:
    sanitizer = Sanitizer({"rule": "You look after the user's tasks in Adiuva and nothing else."})
    assert sanitizer.text("You look after the user's tasks in") == MARK
    assert sanitizer.text("Well, look after the users tasks in Adiuva!") == f"Well, {MARK}!"
    assert sanitizer.text("Look after the user's tasks in") == "Look after the user's tasks in"


def test_a_short_prompt_is_found_as_a_whole() -> None:
    assert SANITIZER.text("Rule one: ALWAYS *sing* the\ntruth loudly!") == "Rule one: [REDACTED]!"


def test_runs_that_overlap_or_go_on_leave_one_mark() -> None:
    over = "x alpha beta gamma delta epsilon zeta eta theta iota kappa alpha beta gamma mu nu y"
    assert SANITIZER.text(over) == "x [REDACTED] y"
    twice = "x beta gamma delta epsilon zeta eta theta iota; beta gamma delta epsilon zeta eta theta iota y"
    assert SANITIZER.text(twice) == "x [REDACTED]; [REDACTED] y"


def test_a_run_is_found_after_a_beginning_that_broke_off() -> None:
    assert (
        SANITIZER.text("alpha beta gamma alpha beta gamma delta epsilon zeta eta theta!")
        == "alpha beta gamma [REDACTED]!"
    )


def test_what_follows_a_mark_goes_out_as_it_was() -> None:
    leak = "alpha beta gamma delta epsilon zeta eta theta"
    assert SANITIZER.text(f"({leak}) and “more”.") == "([REDACTED]) and “more”."
    assert SANITIZER.text(f"**{leak}**\n") == "**[REDACTED]**\n"


def test_ordinary_answers_stay_as_they_are_and_are_not_marked() -> None:
    assert len(set(ORDINARY)) >= 300
    sanitizer = Sanitizer(PROMPTS)
    for answer in ORDINARY:
        assert sanitizer.text(answer) == answer
        assert streamed(re.findall(r"\s?\w+|\s|[^\w\s]", answer), sanitizer) == answer
        assert sanitizer.value({"content": answer}) == {"content": answer}
    assert not sanitizer.redactions


def test_most_tokens_of_ordinary_answers_go_out_at_once_and_the_rest_soon() -> None:
    waits, sanitizer = [], Sanitizer(AGENTS)
    for answer in ORDINARY:
        stream, fed, out = sanitizer.stream(), 0, 0
        for token in re.findall(r"\s?\w+|\s|[^\w\s]", answer):
            fed += len(token)
            out += len(stream.feed(token))
            waits.append(fed - out)
    assert sum(wait == 0 for wait in waits) / len(waits) > 0.5
    assert max(waits) < 50


def test_a_token_that_no_prompt_has_is_never_held() -> None:
    stream = SANITIZER.stream()
    for token in ("Zebras", " zigzag", "ging", " (zoo)", ",", " xylo", "phones", "!\n", "タ", "🎉", " zoom"):
        assert stream.feed(token) == token


def test_text_is_held_only_while_it_may_become_a_leak() -> None:
    stream = SANITIZER.stream()
    assert stream.feed("so alpha beta gam") == "so "
    assert not stream.feed("ma")
    assert stream.feed(" omega") == "alpha beta gamma omega"
    assert stream.feed(" epsi") == " "
    assert stream.feed("lo") == ""
    assert stream.feed("g") == "epsilog"
    assert stream.feed(" rho sigma tau") == " rho sigma tau"  # the end of a prompt: too few words are left
    assert stream.feed(" <thi") == " "
    assert stream.feed("ck>") == "<thick>"


@pytest.mark.parametrize(
    "text, clean",
    [
        ("a<thinking>secret</thinking>b", "a[REDACTED]b"),
        ("<think>\nsecret\n</think>\n\nHi", "[REDACTED]\n\nHi"),
        ("a <Thinking>secret <b>x</b> </ thinking >b", "a [REDACTED]b"),
        ("a<thinking>secret, to the end", "a[REDACTED]"),
        ("a</thinking>b</think>c", "a[REDACTED]b[REDACTED]c"),
        ("a [INST] b [/INST] c", "a [REDACTED] b [REDACTED] c"),
        ("<<SYS>>\na<</SYS>>", "[REDACTED]\na[REDACTED]"),
        ("a<|im_start|>system<|im_end|>", "a[REDACTED]system[REDACTED]"),
        ("a <|bb> c", "a <|bb> c"),
        ("<\uff5cend▁of▁sentence\uff5c>", "[REDACTED]"),
        ('I pick {"agents": ["task_agent", "note_agent"]} now', "I pick [REDACTED] now"),
        ("{ 'agents' :\n [ 'task_agent' ] }.", "[REDACTED]."),
        ('{"agents":["task_agent"],"why":"a } in a string"} x', "[REDACTED] x"),
        ('[{"type": "function", "function": {"name": "f", "parameters": {}}}]', "[[REDACTED]]"),
        ('{"type":"function","function":{"name":"f", cut off', "[REDACTED]"),
        (
            '{"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}, "b": 1}',
            '{"name": "f", [REDACTED], "b": 1}',
        ),
        (r"{\"type\": \"function\", \"function\": {\"name\": \"f\"}} x", "[REDACTED] x"),
        ("You are the task agent of Adiuva.", "[REDACTED] of Adiuva."),
        ("**You are a garden agent**", "**[REDACTED]**"),
        ("# System prompt: act", "# [REDACTED] act"),
        ("My instructions are simple.", "[REDACTED] simple."),
        ("<think>Hm.</think>\nYou are Adiuva's project agent.", "[REDACTED]\n[REDACTED]."),
    ],
)
def test_fixed_patterns_are_found_however_they_are_cut(text: str, clean: str) -> None:
    assert SANITIZER.text(text) == clean
    for size in range(1, 8):
        assert streamed(cut(text, size)) == clean


def test_openers_count_only_at_the_start_of_an_answer() -> None:
    assert SANITIZER.text("Remember: you are the task agent.") == "Remember: you are the task agent."
    assert SANITIZER.value(["System prompt: my notes on them"]) == ["System prompt: my notes on them"]


def test_a_pattern_blown_up_with_white_space_is_found_too() -> None:
    text = 'a {"agents":' + " " * 5000 + '["task_agent"]} b'
    assert SANITIZER.text(text) == "a [REDACTED] b"
    assert streamed(text) == "a [REDACTED] b"


PIECES = st.one_of(
    st.sampled_from([word for prompt in (GARDEN, SHORT, JAPANESE, ROUTER) for word in re.findall(r"\w+|\W", prompt)]),
    st.sampled_from([" ".join(GARDEN.split()[at : at + size]) for at in range(0, 18, 3) for size in (5, 8, 11)]),
    st.sampled_from(
        [
            " ",
            " ",
            "\n",
            "'",
            "\u2019",
            "**",
            "_",
            ":",
            "\u200b",
            "\u200b" * 17,
            "\u200b" * 600,
            "<br>",
            "<b",
            ">",
            "&nbsp;",
            "&",
            " 1 ",
            "12",
            "\u0430",
            " " * 300,
            "-" * 600,
            "x",
            "é",
            "e\u0301",
            "ﬁ",
        ]
    ),
    st.sampled_from(
        [
            "<",
            "<think",
            "<thinking>",
            "</thinking>",
            "</",
            "[INST]",
            "[/",
            "[",
            "{",
            "}",
            '"',
            "'",
            "\\",
            "<|",
            "|>",
            "<|im|>",
        ]
    ),
    st.sampled_from(
        ['{"agents": ["a', '{"type":"function","function":{', '"parameters": {"type": "object", "properties"']
    ),
    st.sampled_from(["You are the ", "task agent", "System prompt", "[REDACTED]", " " * 260]),
    st.sampled_from([word for prompt in (GERMAN, RUSSIAN) for word in re.findall(r"\w+|\W", prompt)]),
    st.sampled_from([" ".join(prompt.split()[at : at + 8]) for prompt in (GERMAN, RUSSIAN) for at in range(0, 12, 3)]),
    st.sampled_from(
        [
            "ŉ",
            "¼",
            "²",
            "€",
            "🪴",
            "…",
            "\u2019\u2019",
            "\u0301",
            "ΐ",
            "ǅ",
            "İ",
            "ẞ",
            "ﬃ",
            "½x",
            "№",
            "Ⅷ",
            "❶",
            "\u00ad",
        ]
    ),
    st.text(max_size=8),
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def test_words_that_are_quickly_told_are_those_that_a_prompt_has() -> None:
    quick = 0
    for char in map(chr, range(0x20000)):
        for text in (char, f"x{char}y z", f"{char}{char} {char}'s", f"e{char}\u00e9"):
            words = _easy_words(text)
            assert words is None or words == [word for word, _ in words_of(text)], (ascii(text), words)
            quick += words is not None
    assert quick > 4 * 4_000


@settings(max_examples=600, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 2**32))
@example(text="zebra\u200balpha beta gamma delta epsilon zeta eta theta", seed=1)
def test_what_gets_out_depends_on_the_text_alone_and_what_is_held_is_bounded(text: str, seed: int) -> None:
    clean = SANITIZER.text(text)
    assert streamed(text) == clean
    chance = random.Random(seed)
    stream, at, out = SANITIZER.stream(), 0, ""
    while at < len(text):
        size = chance.choice((0, 1, 1, 2, 3, 7, 30, 200))
        out += stream.feed(text[at : at + size])
        at += size
        assert clean.startswith(out)
        assert len(stream._patterns._held) + len(stream._words._held) <= MAX_HELD
    assert out + stream.finish() == clean


@settings(max_examples=400, deadline=None)
@given(words=st.lists(st.tuples(PIECES, st.sampled_from([" ", "\n", ", ", " " * 600, "\u00a0"])), max_size=40))
def test_no_eight_words_of_a_prompt_get_out_of_any_text(words: list[tuple[str, str]]) -> None:
    text = "".join(word + gap for word, gap in words)
    assert not runs(SANITIZER.text(text)) & LEAKS


@settings(max_examples=300, deadline=None)
@given(data=st.data(), words=st.lists(st.sampled_from(["a", "b", "ab", "bs", "c"]), min_size=4, max_size=24))
def test_runs_of_prompts_that_repeat_themselves_are_found(data: st.DataObject, words: list[str]) -> None:
    sanitizer = Sanitizer({"loop": " ".join(words)})
    text = data.draw(
        st.lists(st.sampled_from(["a", "b", "ab", "b's", "c", "B\u2019s", "-"]), max_size=40).map(" ".join)
    )
    clean = sanitizer.text(text)
    assert clean == reference(words, text)
    assert streamed(text, sanitizer) == clean


def reference(prompt: list[str], text: str) -> str:
    """The rule for runs, said plainly and slowly."""
    size = min(8, len(prompt))
    wanted = {tuple(prompt[at : at + size]) for at in range(len(prompt) - size + 1)}
    found = list(re.finditer(r"[\w'\u2019]+", text))
    leaked = [False] * len(text)
    for first in range(len(found) - size + 1):
        last = first + size - 1
        if tuple(re.sub("['\u2019]", "", word[0]).lower() for word in found[first : last + 1]) in wanted:
            leaked[found[first].start() : found[last].end()] = [True] * (found[last].end() - found[first].start())
    return "".join(
        MARK if leak else "".join(text[at] for at, _ in stretch)
        for leak, stretch in itertools.groupby(enumerate(leaked), key=lambda pair: pair[1])
    )


def test_a_word_that_began_in_an_earlier_piece_goes_on_after_invisible_characters() -> None:
    text = "z" * 20 + "\u200baalpha beta gamma delta epsilon zeta eta theta"
    assert SANITIZER.text(text) == text
    for size in (1, 4, 10, 20):
        assert streamed(cut(text, size)) == text


def test_a_run_longer_than_what_may_be_held_is_cut_at_its_start_only() -> None:
    gap = " " * (MAX_HELD_WORDS // 2)
    words = GARDEN.split()[:8]
    clean = SANITIZER.text(f"x {gap.join(words)} y")
    assert not runs(clean) & LEAKS
    assert "theta" not in clean
    assert clean.endswith("[REDACTED] y")
    assert streamed(f"x {gap.join(words)} y") == clean


@pytest.mark.proof
@pytest.mark.parametrize(
    "text",
    [
        "I moved the task to your project and set the date. " * 21_000,
        ROUTER * 4_500,
        "alpha beta gamma delta epsilon zeta eta " * 26_000,
        "a" * 2**20,
        "the " * 2**18,
        "{" * 2**20,
        ("{" + " " * 250) * 4_000,
        "<think>" * 150_000,
        "<|a" * 350_000,
        '"pa' * 350_000,
        "\u200b" * 2**20,
        "a\u200b" * 2**18,
        "alpha <x " * 120_000,
        "alpha 1 beta " * 80_000,
        "alpha <b>beta</b>" * 60_000,
        "\\" * 2**20,
        '{"agents":["a' + '\\"{' * 350_000,
        "タスクを作成しました。" * 90_000,
    ],
    ids=lambda text: text[:12],
)
def test_a_mebibyte_takes_seconds_of_cpu_at_most_and_small_pieces_not_much_more(text: str) -> None:
    begun = time.process_time()
    clean = SANITIZER.text(text)
    assert time.process_time() - begun < 6
    tenth = text[: len(text) // 10]
    begun = time.process_time()
    assert clean.startswith(streamed(tenth)[:-MAX_HELD])
    assert time.process_time() - begun < 6


def test_redactions_are_counted_and_logged_by_rule_without_the_text() -> None:
    sanitizer = Sanitizer(PROMPTS)
    with capture_logs() as logs:
        stream = sanitizer.stream()
        stream.feed(f"{GARDEN} then <think>no</think> and {GARDEN} [INST]")
        stream.finish()
    counts = {"thinking": 1, "special_token": 1, "garden_agent": 2}
    assert logs == [
        {"event": "redacted", "log_level": "warning", "rule": rule, "count": count} for rule, count in counts.items()
    ]
    assert stream.redactions == counts
    assert sanitizer.redactions == counts
    with capture_logs() as logs:
        sanitizer.value({"a": [GARDEN, "b"]})
        sanitizer.text("Nothing to see.")
    assert logs == [{"event": "redacted", "log_level": "warning", "rule": "garden_agent", "count": 1}]
    assert sanitizer.redactions["garden_agent"] == 3


def test_finishing_twice_gives_and_reports_nothing_more() -> None:
    sanitizer = Sanitizer(PROMPTS)
    stream = sanitizer.stream()
    assert stream.feed(f"{GARDEN} alpha beta") == f"{MARK} "
    assert stream.finish() == "alpha beta"
    assert stream.finish() == ""
    assert sanitizer.redactions == {"garden_agent": 1}


def test_without_prompts_there_are_still_the_patterns() -> None:
    assert Sanitizer({}).text("Hi [INST] You there") == "Hi [REDACTED] You there"


SPREAD: dict[str, Callable[[list[str]], Any]] = {
    "a list of words": lambda words: words,
    "nested lists": lambda words: [[words[0], [words[1]]], *([word] for word in words[2:])],
    "keys": lambda words: dict.fromkeys(words, 1),
    "keys and values": lambda words: dict(zip(words[::2], words[1::2], strict=False)),
    "fields": lambda words: {"a": " ".join(words[:7]), "b": " ".join(words[7:14]), "c": " ".join(words[14:])},
    "the same field of many": lambda words: [{"title": word, "n": at} for at, word in enumerate(words)],
    "keys with other values": lambda words: {word: f"v{at}" for at, word in enumerate(words)},
    "numbered": lambda words: [f"{at}. {word}" for at, word in enumerate(words)],
    "in tags": lambda words: [f"<b>{word}</b>" for word in words],
}


@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("rule", ["garden_agent", "task_agent"])
def test_a_prompt_that_is_spread_over_a_value_is_found(rule: str, spread: str) -> None:
    # Once each: a key that comes twice is one.
    words = list(dict.fromkeys(re.findall(r"\w+", PROMPTS[rule])))[:21]
    sanitizer = Sanitizer({"rule": " ".join(words)})
    value = {"kept": "So.", "spread": SPREAD[spread](words), "n": [1, None, True, 2.5]}
    before = copy.deepcopy(value)
    clean = sanitizer.value(value)
    assert value == before
    assert (clean["kept"], clean["n"]) == ("So.", [1, None, True, 2.5])
    left = [word for word in plain_words(repr(clean["spread"])) if word in set(words)]
    assert not left
    assert sanitizer.redactions == {"rule": 1}


def test_of_a_spread_run_only_its_own_words_are_replaced() -> None:
    value = {"a": "So: alpha beta gamma", "b": ["- delta, epsilon;", "", "zeta eta"], "c": "(theta) is it", "d": "iota"}
    assert SANITIZER.value(value) == {
        "a": "So: [REDACTED]",
        "b": ["[REDACTED]", "", "[REDACTED]"],
        "c": "[REDACTED]) is it",
        "d": "iota",
    }


def test_seven_words_that_are_spread_pass() -> None:
    value = {"a": ["alpha beta", "gamma"], "b": {"c": "delta epsilon zeta eta"}, "d": "no more"}
    assert SANITIZER.value(value) == value


def test_what_is_spread_over_the_values_of_one_answer_is_found_in_its_last() -> None:
    values = SANITIZER.values()
    words = GARDEN.split()[:10]
    assert [values.clean({"title": word, "n": 1})["title"] for word in words] == [*words[:7], MARK, *words[8:]]
    assert SANITIZER.values().clean([*words[7:]]) == words[7:]  # another answer


def any_value(chance: random.Random, depth: int = 0) -> Any:
    """A JSON value most of whose words are a prompt's, in its order for a while."""
    kind = chance.choice(("text", "list", "object")) if depth < 4 else "text"
    if kind == "text":
        return any_text(chance)
    size = chance.choice((0, 1, 3, 8))
    if kind == "list":
        return [any_value(chance, depth + 1) for _ in range(size)]
    return {any_text(chance): any_value(chance, depth + 1) for _ in range(size)}


def any_text(chance: random.Random) -> str:
    words = GARDEN.split()
    at = chance.randrange(len(words))
    pieces = [chance.choice((*words, "x", "<br>", "7.", "\u200b", "")), *words[at : at + chance.choice((0, 1, 2, 5))]]
    return chance.choice((" ", "\n", ", ")).join(pieces)


@pytest.mark.parametrize("seed", range(4))
def test_of_no_value_eight_words_of_a_prompt_get_out_in_a_row(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(200):
        value = any_value(chance)
        before = copy.deepcopy(value)
        clean = SANITIZER.value(value)
        assert value == before
        keys, values = list(strings_of(clean, keys=True)), list(strings_of(clean, keys=False))
        for together in (keys, values):
            assert not runs(" ".join(together)) & LEAKS


def strings_of(value: Any, *, keys: bool) -> Iterator[str]:
    """Its keys alone, or its values alone, in their order."""
    if isinstance(value, dict):
        for key, item in value.items():
            if keys:
                yield key
            yield from strings_of(item, keys=keys)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item, keys=keys)
    elif not keys:
        yield value


@pytest.mark.proof
def test_a_value_of_a_quarter_mebibyte_takes_a_second_of_cpu_at_most() -> None:
    words = (GARDEN + " zebra").split()
    for strings in (
        [words[at % len(words)] for at in range(40_000)],
        [words[at % 7] for at in range(40_000)],
        ["ä"] * 80_000,
    ):
        begun = time.process_time()
        assert len(SANITIZER.value(strings)) == len(strings)
        assert time.process_time() - begun < 2
