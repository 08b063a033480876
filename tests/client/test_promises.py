"""Nothing that a user writes, and no key of theirs, is anywhere at the server: in what it keeps, or in what it says.

A server runs as its operator runs it, at the log level that tells most. 50 marked texts go through the client, by
every way there is; then it is stopped, and all its files and lines are searched, in every encoding that came to mind.
"""

import base64
import codecs
import secrets
import string
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from attrs import frozen

from adiuva.client import Client, ServerError, Vault
from adiuva.client.connection import Call
from adiuva.client.lock import LEAST
from adiuva.client.vectors import Item
from adiuva.testing.serving import Served

pytestmark = pytest.mark.proof

EMAIL = "ada@example.com"
DIMENSIONS = 16
TEXTS = 50


@frozen
class Marks:
    """What is in every text, and something that the server may well see: that one has to be found."""

    secret: str
    seen: str

    def text(self, number: int) -> str:
        """A text that nobody else has."""
        return f"A thought {self.secret} number {number}, über alles"


@pytest.fixture
def marks() -> Marks:
    secret, seen = ("".join(secrets.choice(string.ascii_lowercase) for _ in range(24)) for _ in range(2))
    return Marks(secret, seen)


def encodings(text: str) -> dict[str, bytes]:
    """How it might be written down."""
    plain = text.encode()
    found = {
        "as it is": plain,
        "reversed": plain[::-1],
        "upper case": plain.upper(),
        "rot13": codecs.encode(text, "rot13").encode(),
        "UTF-16": text.encode("utf-16-le"),
        "UTF-16, big-endian": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32-le"),
        "hex": plain.hex().encode(),
        "upper-case hex": plain.hex().upper().encode(),
        "hex of UTF-16": text.encode("utf-16-le").hex().encode(),
        "escapes": "".join(f"\\u{ord(letter):04x}" for letter in text).encode(),
        "percent": "".join(f"%{byte:02X}" for byte in plain).encode(),
        "numbers": ", ".join(map(str, plain)).encode(),
        "numbers, close": ",".join(map(str, plain)).encode(),
        "base85": base64.b85encode(plain[: len(plain) // 4 * 4]),
        "quoted": quote(text).encode(),
    }
    found |= dict(_base64("base64", plain)) | dict(_base64("base64 of UTF-16", text.encode("utf-16-le")))
    # PostgreSQL's compression leaves eight letters together at least somewhere in so many.
    found |= {f"letters {start} to {start + 8}": plain[start : start + 8] for start in range(len(plain) - 7)}
    return found


def of_bytes(data: bytes) -> dict[str, bytes]:
    """How a key might be written down."""
    found = {"raw": data, "hex": data.hex().encode(), "upper-case hex": data.hex().upper().encode()}
    return found | dict(_base64("base64", data)) | {"numbers": ",".join(map(str, data)).encode()}


def _base64(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """At each of the three places where it may begin within a longer text."""
    for skipped in range(3):
        whole = data[skipped:]
        encoded = base64.b64encode(whole[: len(whole) // 3 * 3])
        yield f"{name} from {skipped}", encoded
        yield f"URL-safe {name} from {skipped}", encoded.replace(b"+", b"-").replace(b"/", b"_")


def everything(folder: Path, served: Served) -> Iterator[tuple[str, bytes]]:
    """All that the server has left, and all that it has said; what is compressed also as it was."""
    lines = "".join(served.lines).encode()
    yield "the log", lines
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield str(path.relative_to(folder)), content
            yield from ((f"{path.relative_to(folder)}, unpacked", found) for found in _unpacked(content))


def _unpacked(content: bytes) -> Iterator[bytes]:
    for magic in (b"\x1f\x8b\x08", b"\x78\x9c", b"\x78\x01", b"\x78\xda"):
        start = content.find(magic)
        while start != -1:
            with suppress(zlib.error):
                yield zlib.decompressobj(wbits=47).decompress(content[start:], 1 << 20)
            start = content.find(magic, start + 1)


def found(patterns: dict[str, bytes], places: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(name, place) for place, content in places for name, pattern in patterns.items() if pattern in content]


async def plant(client: Client, vault: Vault, marks: Marks, folder: Path) -> None:
    """50 texts, each somewhere else."""
    texts = [marks.text(number) for number in range(TEXTS)]
    await vault.records.create_many("notes", [text.encode() for text in texts[:5]])
    for text in texts[5:15]:
        record = await vault.records.create("notes", text.encode())
        await vault.records.replace("notes", record.id, text[::-1].encode())
        await vault.records.replace("notes", record.id, text.encode())
    deleted = await vault.records.create("notes", texts[15].encode())
    await vault.records.delete(deleted.id)
    for text in texts[16:20]:
        (folder / "plain").write_text(text * 5000)
        await vault.records.create_from_file("files", folder / "plain")
    for text in texts[20:25]:
        (folder / "plain").write_text(text * 5000)
        await vault.backups.create(folder / "plain", f"{marks.seen}7")
    await vault.vectors.add(
        Item(id=f"{marks.seen}{number}", embedding=EMBEDDING, payload=text.encode())
        for number, text in enumerate(texts[25:35])
    )
    assert len(await vault.vectors.search(EMBEDDING, top=50)) == 10
    await vault.rotate()
    await vault.reencrypt("notes", "files")
    assert len([change async for changes in vault.sync.since() for change in changes.items]) == 20
    for text in texts[35:]:
        await talk(client, text)


async def talk(client: Client, text: str) -> None:
    """A text in every part of a chat message, over the socket, and over HTTP with a wrong field."""
    tasks = [{"id": "4b1ff0b2-6b0e-4b3e-9d2f-0e1f3b0c9a11", "title": text, "status": "todo"}]
    history = [{"role": "user", "content": text}]
    frames = [frame async for frame in client.chat(f"Add a task '{text}'", context={"tasks": tasks}, history=history)]
    assert frames[-1]["type"] == "done", frames
    with pytest.raises(ServerError):
        await client.call("POST", "/chat", {"message": text, "mode": text, "history": text})
    with pytest.raises(ServerError):
        await client.call("POST", "/chat", {"message": text, "agents": [text]})


EMBEDDING = [secrets.SystemRandom().gauss() for _ in range(DIMENSIONS)]


async def test_nothing_that_a_user_writes_is_anywhere_at_the_server(
    serve: Callable[..., Served], tmp_path: Path, marks: Marks
) -> None:
    served = serve(
        DEFAULT_TIER="team",
        VECTOR_DIMENSIONS=str(DIMENSIONS),
        LLM_MODEL="offline/rules",
        RATE_LIMITS="free=100000,pro=100000,power=100000,team=100000",
        TMPDIR=str(tmp_path),
    )
    passphrase = f"passphrase {marks.secret}"
    outside = tmp_path.with_name(f"{tmp_path.name}-outside")
    outside.mkdir()
    async with Client(served.url) as client:
        await client.register(EMAIL, f"password {marks.secret}")
        vault = await client.unlock(passphrase, cost=LEAST)
        first = vault._keys.ring
        await plant(client, vault, marks, outside)
        await client.send(Call(method="GET", path="/auth/me", headers={"X-Request-ID": marks.seen}))
        ring, lock = vault._keys.ring, vault._keys._lock
    assert served.stop() == 0

    places = list(everything(tmp_path, served))
    seen = [place for _, place in found({"": marks.seen.encode()}, places)]
    assert {"the log"} < set(seen), "the search itself does not find what is there"
    assert any("qdrant" in place or "vectors" in place for place in seen), seen
    assert any("postgres" in place for place in seen), seen

    assert first.keys[1] == ring.keys[1]
    keys = {"first": ring.keys[1], "second": ring.keys[2], "search": ring.search_secret, "wrapping": lock.key}
    patterns = {f"a text, {name}": pattern for name, pattern in encodings(marks.secret).items()}
    for key, value in keys.items():
        patterns |= {f"the {key} key, {name}": pattern for name, pattern in of_bytes(value).items()}
    for kind in ("<f", "<d", ">f", ">d"):
        packed = struct.pack(f"{kind[0]}{DIMENSIONS}{kind[1]}", *EMBEDDING)
        patterns[f"an embedding, {kind}"] = packed
    patterns |= {f"a number of an embedding: {value}": str(value)[:10].encode() for value in EMBEDDING}
    assert found(patterns, places) == []


@pytest.mark.parametrize(
    "stored",
    [
        lambda text: base64.b64encode(f"x{text}".encode()),
        lambda text: base64.urlsafe_b64encode(f"xy{text}".encode()),
        lambda text: zlib.compress(f"xyz{text}".encode() * 3),
        lambda text: b"bytea \\x" + text.encode().hex().encode(),
        lambda text: text.encode("utf-16"),
    ],
)
def test_the_search_finds_what_it_should(stored: Callable[[str], bytes], marks: Marks) -> None:
    content = b"\0" * 100 + stored(marks.text(1)) + b"\0" * 100
    places = [("a file", content), *(("unpacked", found) for found in _unpacked(content))]
    assert found(encodings(marks.secret), places)
