"""Archives as authors make them, and as no author should."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from hashlib import sha256

MODULE = b'"""Plans garden work."""\n\nfrom adiuva.sdk import Agent\n' * 20


def archive(files: dict[str, bytes] | None = None) -> bytes:
    """A plain archive of ``files``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in (files or {"adiuva_garden/__init__.py": MODULE}).items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def checksum(data: bytes) -> str:
    return sha256(data).hexdigest()


def _linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        link = zipfile.ZipInfo("adiuva_garden/data")
        link.create_system = 3
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def _duplicate() -> bytes:
    """Two files of one name; ``zipfile`` would warn, so the second one's name is changed afterwards."""
    return archive({"module_a.py": b"a = 1\n", "module_b.py": b"a = 2\n"}).replace(b"module_b.py", b"module_a.py")


def _encrypted() -> bytes:
    data = bytearray(archive())
    data[6] |= 1  # in the header of its own
    data[data.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    return bytes(data)


def _with_sizes(data: bytes, size: int) -> bytes:
    """The first entry says another size, in both places."""
    changed = bytearray(data)
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", changed, 22, size)
    struct.pack_into("<L", changed, at + 24, size)
    return bytes(changed)


def _lying_in_the_directory_only() -> bytes:
    data = bytearray(archive())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, len(MODULE) - 1)
    return bytes(data)


def _lying_with_a_matching_checksum() -> bytes:
    """What is unpacked is longer than it says, and its checksum is that of the part that it tells of."""
    short = MODULE[:-10]
    data = bytearray(_with_sizes(archive(), len(short)))
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, 14, zlib.crc32(short))
    struct.pack_into("<L", data, at + 16, zlib.crc32(short))
    return bytes(data)


def _overlapping() -> bytes:
    """Two entries of the directory for one file, as in a bomb that needs no nesting."""
    data = archive({"module_a.py": MODULE})
    at, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    directory = data[at:end]
    twice = directory + directory.replace(b"module_a.py", b"module_b.py")
    closing = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(twice), at, 0)
    return data[:at] + twice + closing


def _bomb() -> bytes:
    return archive({"data.txt": b"\0" * (32 * 2**20)})


def _many() -> bytes:
    return archive({f"module_{number}.py": b"" for number in range(10_000)})


def _huge_directory() -> bytes:
    """A directory of 200,000 entries, of which it says that there are few."""
    data = archive({"a": b""})
    at, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    directory = data[at:end] * 200_000
    return data[:at] + directory + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), at, 0)


def _two_names() -> bytes:
    """The entry is called one thing in the directory and another in its own header."""
    data = bytearray(archive({"module_a.py": MODULE}))
    data[30:41] = b"module_b.py"
    return bytes(data)


def _native() -> bytes:
    return archive({"adiuva_garden/core.txt": b"\x7fELF\x02\x01\x01" + bytes(100)})


def _beginning_late() -> bytes:
    """Compiled code, packed so that its first byte comes out alone: many empty blocks follow it."""
    name, content = b"adiuva_garden/core.txt", b"\x7fELF" + bytes(1000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content[:1]) + packer.flush(zlib.Z_SYNC_FLUSH)
    packed += b"\x00\x00\x00\xff\xff" * 20_000
    packed += packer.compress(content[1:]) + packer.flush()
    about = struct.pack("<5H3L2H", 20, 0, 8, 0, 33, zlib.crc32(content), len(packed), len(content), len(name), 0)
    file = b"PK\x03\x04" + about + name + packed
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + about + struct.pack("<3H2L", 0, 0, 0, 0, 0) + name
    return file + entry + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(file), 0)


def _two_directories(*, in_comment: bool = False) -> bytes:
    """Records of ZIP64 name one directory, the last record another, whose entry lies within the first's file.

    ``in_comment``: the first, with those records, is the comment of the second's entry, so that no byte is left over.
    """
    hidden = {"../../evil.so": b"\x7fELF" + bytes(30)}
    evil = _stored(hidden)
    inner = evil[: evil.index(b"PK\x01\x02")]
    shown = {"notes.txt": b"harmless text\n" + inner}
    outer = _stored(shown)
    at = outer.index(b"PK\x01\x02")
    plain, second = outer[at:-22], bytearray(evil[len(inner) : -22])
    struct.pack_into("<L", second, 42, outer.index(inner))
    directories = bytes(second) + plain
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(plain), at + len(second))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(directories), 1)
    size = len(directories) + len(record) + len(locator)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, at, 0)
    packed = bytearray(outer[:at] + directories + record + locator + end)
    if in_comment:
        struct.pack_into("<H", packed, at + 32, size - len(second))
    return bytes(packed)


def _stored(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "traversal": lambda: archive({"../../etc/cron.d/garden": b"x"}),
    "traversal inside": lambda: archive({"adiuva_garden/../../x.py": b"x"}),
    "absolute": lambda: archive({"/etc/passwd": b"x"}),
    "a drive": lambda: archive({"C:/Windows/x.py": b"x"}),
    "backslashes": lambda: archive({"..\\..\\x.py": b"x"}),
    "a symbolic link": _linked,
    "a case clash": lambda: archive({"README.md": b"a", "readme.md": b"b"}),
    "a clash of widths": lambda: archive({"ｓetup.py": b"a", "setup.py": b"b"}),
    "a file as a folder": lambda: archive({"a": b"x", "a/b": b"y"}),
    "a duplicate": _duplicate,
    "10,000 entries": _many,
    "a directory without end": _huge_directory,
    "a ratio over 50": _bomb,
    "an archive in it": lambda: archive({"vendor/other.whl": archive()}),
    "an archive under another name": lambda: archive({"vendor/other.txt": archive()}),
    "a tar under another name": lambda: archive({"x": bytes(257) + b"ustar\x0000" + b"abc" * 100}),
    "a lying size": lambda: _with_sizes(archive(), 10),
    "a size beyond reason": lambda: _with_sizes(archive(), 2**31),
    "a size that lies in the directory": _lying_in_the_directory_only,
    "a size that lies with a checksum to it": _lying_with_a_matching_checksum,
    "overlapping entries": _overlapping,
    "an encrypted entry": _encrypted,
    "two names": _two_names,
    "two directories": _two_directories,
    "a directory in a comment": lambda: _two_directories(in_comment=True),
    "a name with NUL": lambda: archive({"module_a.py": b"x"}).replace(b"module_a.py", b"mod\0le_a.py"),
    "a name without end": lambda: archive({"a" * 300: b"x"}),
    "a device": lambda: archive({"adiuva_garden/aux.py": b"x"}),
    "compiled code": lambda: archive({"adiuva_garden/core.cpython-311-x86_64-linux-gnu.so": b"x"}),
    "compiled code under another name": _native,
    "compiled code that begins late": _beginning_late,
    "something before it": lambda: b"#!/bin/sh\nexit\n" + archive(),
    "something behind it": lambda: archive() + b"PK",
    "no archive": lambda: b"x" * 1000,
    "no bytes": lambda: b"",
    "half an archive": lambda: archive()[:100],
    "no entries": lambda: archive()[archive().rindex(b"PK\x05\x06") :],
}
