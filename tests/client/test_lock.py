"""The lock of the key ring."""

from typing import Any

import orjson
import pytest

from adiuva.client.errors import DecryptionError, UnsafeKeyHeaderError, WrongPassphraseError
from adiuva.client.keyring import Keyring
from adiuva.client.lock import LEAST, MOST, Cost, Lock

RING = Keyring.new()


@pytest.fixture(scope="module")
def header() -> bytes:
    return Lock.new("a passphrase", LEAST).wrap(RING, "a user")


def changed(header: bytes, **kdf: Any) -> bytes:
    content = orjson.loads(header)
    content["kdf"] |= kdf
    return orjson.dumps(content)


def test_the_passphrase_opens_it(header: bytes) -> None:
    assert Lock.of(header, "a passphrase").unwrap(header, "a user") == RING


def test_another_passphrase_does_not(header: bytes) -> None:
    with pytest.raises(WrongPassphraseError):
        Lock.of(header, "another passphrase")


def test_it_is_no_other_user_s(header: bytes) -> None:
    with pytest.raises(DecryptionError):
        Lock.of(header, "a passphrase").unwrap(header, "another user")


def test_a_lock_opens_what_it_has_locked_before_and_since() -> None:
    lock = Lock.new("a passphrase", LEAST)
    more = RING.rotated()
    first, second = lock.wrap(RING, "a user"), lock.wrap(more, "a user")
    assert Lock.of(first, "a passphrase").unwrap(second, "a user") == more
    with pytest.raises(WrongPassphraseError):
        lock.unwrap(Lock.new("a passphrase", LEAST).wrap(RING, "a user"), "a user")


@pytest.mark.parametrize(
    "kdf",
    [
        {"passes": LEAST.passes - 1},
        {"passes": MOST.passes + 1},
        {"memory_bytes": LEAST.memory_bytes - 1},
        {"memory_bytes": MOST.memory_bytes + 1},
        {"passes": -1},
    ],
)
def test_the_server_cannot_ask_for_a_weak_lock_or_for_all_memory(header: bytes, kdf: dict[str, int]) -> None:
    with pytest.raises(UnsafeKeyHeaderError):
        Lock.of(changed(header, **kdf), "a passphrase")


@pytest.mark.parametrize("kdf", [{"name": "scrypt"}, {"salt": "AA=="}, {"salt": 7}, {"passes": None}])
def test_a_header_that_is_none_is_told_so(header: bytes, kdf: dict[str, Any]) -> None:
    with pytest.raises(DecryptionError):
        Lock.of(changed(header, **kdf), "a passphrase")


@pytest.mark.parametrize("header", [b"", b"[]", b"{}", b"null", b'{"version": 2}', b"\xff"])
def test_anything_else_is_told_so(header: bytes) -> None:
    with pytest.raises(DecryptionError):
        Lock.of(header, "a passphrase")


def test_a_changed_ring_is_noticed(header: bytes) -> None:
    content = orjson.loads(header)
    content["keyring"] = content["keyring"][:-8] + "AAAAAAA="
    with pytest.raises(DecryptionError):
        Lock.of(header, "a passphrase").unwrap(orjson.dumps(content), "a user")


def test_the_default_is_libsodium_s_moderate_one() -> None:
    assert Cost() == Cost(passes=3, memory_bytes=256 * 2**20)


def test_no_key_shows_in_what_is_printed(header: bytes) -> None:
    shown = repr((RING, Lock.of(header, "a passphrase")))
    assert repr(RING.keys[1]) not in shown
    assert "key=" not in shown
    assert "commitment=" not in shown


def test_a_rotated_ring_keeps_the_old_key_until_it_is_told_to_forget_it() -> None:
    rotated = RING.rotated()
    assert rotated.current == 2
    assert rotated.keys[1] == RING.keys[1] != rotated.keys[2]
    assert rotated.without_old_keys().keys == {2: rotated.keys[2]}
    assert rotated.without_old_keys().rotated().current == 3
