"""Server-sent events, however their bytes are cut."""

import pytest

from adiuva.llm.sse import SseParser, SseTooLargeError

STREAM = (
    b": a comment\n\n"
    b'data: {"a": 1}\n\n'
    b"event: x\nid: 7\ndata:no space\n\n"
    b"data: two\ndata: lines\n\n"
    b"data: caf\xc3\xa9\r\n\r\n"
    b"data: old\r\r"
    b"data: [DONE]\n\n"
)
EVENTS = [b'{"a": 1}', b"no space", b"two\nlines", b"caf\xc3\xa9", b"old", b"[DONE]"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 16, 1000])
def test_events_are_the_same_however_they_are_cut(size: int) -> None:
    parser = SseParser()

    events = [event for at in range(0, len(STREAM), size) for event in parser.feed(STREAM[at : at + size])]

    assert events == EVENTS
    assert parser.end() == []


def test_an_event_without_its_last_empty_line_comes_at_the_end() -> None:
    parser = SseParser()

    assert parser.feed(b"data: [DONE]") == []
    assert parser.end() == [b"[DONE]"]


def test_an_event_that_does_not_end_is_refused() -> None:
    parser = SseParser()

    parser.feed(b"data: " + b"x" * 3 * 2**20 + b"\n")

    with pytest.raises(SseTooLargeError):
        parser.feed(b"data: " + b"x" * 2**20)


def test_an_event_of_nothing_but_lines_is_refused_too() -> None:
    parser = SseParser()

    for _ in range(400):
        parser.feed(b"data:\n" * 10_000)

    with pytest.raises(SseTooLargeError):
        parser.feed(b"data:\n" * 200_000)
