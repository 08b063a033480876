"""Envelopes of whole pieces of data."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import orjson
import pytest

from adiuva.client.chunks import StreamOpener
from adiuva.client.envelope import HEADER_BYTES, place, seal, subkey, unseal
from adiuva.client.errors import DecryptionError, UnknownKeyError
from adiuva.client.keyring import Keyring
from adiuva.client.lock import Lock
from adiuva.client.perturbation import Perturbation

DOCUMENT = Path(__file__).parents[2] / "docs" / "client.md"
KEYS = {1: b"1" * 32, 2: b"2" * 32}
HERE = place("record", "a user", "tasks", "an id")


@pytest.fixture(scope="module")
def documented() -> Any:
    """The test vectors of the document, for whoever writes another client."""
    (block,) = re.findall(r"```json\n(\{\s*\"keys\".*?)```", DOCUMENT.read_text(), re.DOTALL)
    return orjson.loads(block)


def _keys(documented: Any) -> dict[int, bytes]:
    return {int(key_id): bytes.fromhex(key) for key_id, key in documented["keys"].items()}


def test_a_place_is_written_as_documented(documented: Any) -> None:
    for vector in (documented["record"], documented["backup"]):
        assert place(*vector["place"]).hex() == vector["associated_data"]


def test_a_record_is_sealed_as_documented(documented: Any) -> None:
    vector, keys = documented["record"], _keys(documented)
    where, nonce = bytes.fromhex(vector["associated_data"]), bytes.fromhex(vector["nonce"])
    assert subkey(keys[2], "adiuva whole").hex() == vector["subkey"]
    assert seal(vector["data"].encode(), where, keys, 2, nonce=nonce).hex() == vector["envelope"]
    assert unseal(bytes.fromhex(vector["envelope"]), where, keys) == vector["data"].encode()


def test_a_stream_is_opened_as_documented(documented: Any) -> None:
    vector, keys = documented["backup"], _keys(documented)
    opener = StreamOpener(bytes.fromhex(vector["associated_data"]), keys)
    assert opener.feed(bytes.fromhex(vector["envelope"])) + opener.finish() == vector["data"].encode()


def test_a_key_header_is_unlocked_as_documented(documented: Any) -> None:
    vector = documented["key_header"]
    header = orjson.dumps(vector["header"])
    lock = Lock.of(header, vector["passphrase"])
    assert lock.key.hex() == vector["wrapping_key"]
    assert lock.unwrap(header, vector["user_id"]) == Keyring(
        keys=_keys(documented), current=2, search_secret=b64decode(vector["search_secret"])
    )


def test_a_vector_is_perturbed_as_documented(documented: Any) -> None:
    vector = documented["vector"]
    perturbation = Perturbation(bytes.fromhex(vector["search_secret"]), len(vector["embedding"]))
    assert perturbation.apply(vector["embedding"], vector["id"]).tolist() == pytest.approx(vector["perturbed"])
    assert perturbation.apply(vector["embedding"]).tolist() == pytest.approx(vector["perturbed_as_a_search"])


def test_the_same_data_is_sealed_differently_each_time() -> None:
    assert seal(b"data", HERE, KEYS, 1) != seal(b"data", HERE, KEYS, 1)


def test_any_flipped_bit_is_noticed() -> None:
    envelope = seal(b"data", HERE, KEYS, 1)
    for bit in range(8 * len(envelope)):
        changed = bytearray(envelope)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            unseal(bytes(changed), HERE, KEYS)


def test_any_cut_is_noticed() -> None:
    envelope = seal(b"data", HERE, KEYS, 1)
    for length in range(len(envelope)):
        with pytest.raises(DecryptionError):
            unseal(envelope[:length], HERE, KEYS)


@pytest.mark.parametrize(
    "elsewhere",
    [
        place("record", "another user", "tasks", "an id"),
        place("record", "a user", "notes", "an id"),
        place("record", "a user", "tasks", "another id"),
        place("vector", "a user", "tasks", "an id"),
        place("record", "a user", "tasksan", " id"),
    ],
)
def test_what_belongs_elsewhere_is_not_opened(elsewhere: bytes) -> None:
    with pytest.raises(DecryptionError):
        unseal(seal(b"data", elsewhere, KEYS, 1), HERE, KEYS)


def test_a_key_that_is_not_there_has_a_name_of_its_own() -> None:
    with pytest.raises(UnknownKeyError):
        unseal(seal(b"data", HERE, KEYS, 2), HERE, {1: KEYS[1]})


def test_nothing_shows_but_the_key_s_number_and_the_length() -> None:
    one, other = seal(b"data", HERE, KEYS, 2), seal(b"DATA", HERE, KEYS, 2)
    assert one[:HEADER_BYTES] == other[:HEADER_BYTES]
    assert len(one) == len(other) == HEADER_BYTES + 24 + len(b"data") + 16
