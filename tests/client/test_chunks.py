"""Envelopes of streams."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adiuva.client.chunks import CHUNK_BYTES, StreamOpener, StreamSealer
from adiuva.client.envelope import place, seal
from adiuva.client.errors import DecryptionError, UnknownKeyError

KEYS = {1: b"1" * 32, 2: b"2" * 32}
HERE = place("backup", "a user", "7", "2026-11-22T20:00:00Z")
START = 9 + 24
SEALED = CHUNK_BYTES + 17


def sealed(data: bytes, pieces: list[int] | None = None) -> bytes:
    sealer = StreamSealer(HERE, KEYS, 1)
    return b"".join(map(sealer.feed, _cut(data, pieces or []))) + sealer.finish()


def opened(envelope: bytes, pieces: list[int] | None = None, where: bytes = HERE) -> bytes:
    opener = StreamOpener(where, KEYS)
    return b"".join([*map(opener.feed, _cut(envelope, pieces or [])), opener.finish()])


def _cut(data: bytes, pieces: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(min(piece, len(data)) for piece in pieces)})
    return [data[start:end] for start, end in pairwise(edges)]


EDGES = st.lists(st.integers(0, 4 * CHUNK_BYTES), max_size=5)


@given(size=st.integers(0, 3 * CHUNK_BYTES), one=EDGES, other=EDGES)
@settings(deadline=None)
def test_it_comes_back_however_it_is_cut(size: int, one: list[int], other: list[int]) -> None:
    data = bytes(size)
    assert opened(sealed(data, one), other) == data


@pytest.mark.parametrize("chunks", [0, 1, 2, 3])
def test_the_length_follows_from_the_data_s(chunks: int) -> None:
    data = bytes(chunks * CHUNK_BYTES)
    envelope = sealed(data)
    assert len(envelope) == START + len(data) + 17 * max(1, chunks)
    assert opened(envelope) == data


@pytest.mark.parametrize("cut", [0, 8, START, START + 10, START + SEALED, START + 2 * SEALED - 1, START + 2 * SEALED])
def test_a_cut_is_noticed(cut: int) -> None:
    with pytest.raises(DecryptionError):
        opened(sealed(bytes(2 * CHUNK_BYTES + 5))[:cut])


def test_chunks_do_not_change_places_or_come_twice_or_go() -> None:
    envelope = sealed(bytes(3 * CHUNK_BYTES + 5))
    start, *chunks = _cut(envelope, [START, START + SEALED, START + 2 * SEALED, START + 3 * SEALED])
    a, b, c, last = chunks
    assert opened(start + a + b + c + last)
    for wrong in ([b, a, c, last], [a, a, b, c, last], [a, c, last], [a, b, c, last, last], [a, b, c, c]):
        with pytest.raises(DecryptionError):
            opened(start + b"".join(wrong))


def test_what_follows_the_end_is_noticed() -> None:
    with pytest.raises(DecryptionError):
        opened(sealed(b"data") + b"more")


@pytest.mark.parametrize("position", [0, 3, 4, 8, 9, 32, START, START + 100, START + SEALED, -1])
def test_a_flipped_bit_is_noticed(position: int) -> None:
    changed = bytearray(sealed(bytes(CHUNK_BYTES + 5)))
    changed[position] ^= 1
    with pytest.raises(DecryptionError):
        opened(bytes(changed))


def test_what_belongs_elsewhere_is_not_opened() -> None:
    with pytest.raises(DecryptionError):
        opened(sealed(b"data"), where=place("backup", "a user", "8", "2026-11-22T20:00:00Z"))


def test_another_kind_is_not_opened() -> None:
    with pytest.raises(DecryptionError):
        opened(seal(b"data" * 20, HERE, KEYS, 1))


def test_a_key_that_is_not_there_has_a_name_of_its_own() -> None:
    with pytest.raises(UnknownKeyError):
        StreamOpener(HERE, {2: KEYS[2]}).feed(sealed(b"data"))
