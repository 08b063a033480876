"""What the files of a package may be called, and what none of them may be."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from adiuva.marketplace.packages.refusal import RefusedError

MAX_NAME_LENGTH: Final = 240  # characters, so that any system can unpack it
MAX_DEPTH: Final = 20

_ARCHIVE: Final = "must not have archives in it"
_COMPILED: Final = "must not have compiled code in it, which nobody can review"

# fmt: off
_REFUSED_ENDINGS: Final = {
    **dict.fromkeys(
        ("zip", "whl", "egg", "jar", "war", "apk", "tar", "tgz", "tbz2", "txz", "gz", "bz2", "xz", "zst", "lz4", "lzma",
         "7z", "rar", "cab", "iso", "dmg", "deb", "rpm"), _ARCHIVE
    ),
    **dict.fromkeys(
        ("pyc", "pyo", "pyd", "so", "dll", "dylib", "exe", "com", "o", "a", "lib", "class", "wasm"), _COMPILED
    ),
}
# fmt: on
_REFUSED_BEGINNINGS: Final = {
    b"PK\x03\x04": _ARCHIVE,
    b"PK\x05\x06": _ARCHIVE,
    b"\x1f\x8b": _ARCHIVE,
    b"BZh": _ARCHIVE,
    b"\xfd7zXZ\x00": _ARCHIVE,
    b"\x28\xb5\x2f\xfd": _ARCHIVE,
    b"7z\xbc\xaf\x27\x1c": _ARCHIVE,
    b"Rar!\x1a\x07": _ARCHIVE,
    b"\x7fELF": _COMPILED,
    b"MZ": _COMPILED,
    b"\xca\xfe\xba\xbe": _COMPILED,
    b"\xcf\xfa\xed\xfe": _COMPILED,
    b"\xfe\xed\xfa\xcf": _COMPILED,
    b"\x00asm": _COMPILED,
}
_TAR, _TAR_AT = b"ustar", 257
HEAD_BYTES: Final = 512
"""How much of a file's beginning tells what it is."""
# Names of devices, and characters that stand for something else: Microsoft, "Naming Files, Paths, and Namespaces".
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)
_SPECIAL: Final = re.compile(r'[\\:*?"<>|]')


def check_names(names: Sequence[str]) -> None:
    """Hold the names of all entries against the rules; those of folders end with a slash.

    Raises:
        RefusedError: one leads out of the folder it is unpacked into, is no name everywhere, or is there twice.
    """
    seen: set[str] = set()
    files: set[str] = set()
    parents: set[str] = set()
    for name in names:
        _check_name(name)
        folded = unicodedata.normalize("NFKC", name.removesuffix("/")).casefold()
        if folded in seen:
            raise RefusedError("has two entries of one name, where capitals make no difference")
        seen.add(folded)
        if not name.endswith("/"):
            files.add(folded)
        parts = folded.split("/")
        parents.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if not files.isdisjoint(parents):
        raise RefusedError("has a file where a folder has to be")


def check_file(name: str, head: bytes) -> None:
    """Refuse a file by its name's ending or by ``head``, its first `HEAD_BYTES`.

    Raises:
        RefusedError: it is an archive itself, or compiled code.
    """
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    if dot and (fault := _REFUSED_ENDINGS.get(ending.casefold())):
        raise RefusedError(fault)
    for beginning, fault in _REFUSED_BEGINNINGS.items():
        if head.startswith(beginning):
            raise RefusedError(fault)
    if head.startswith(_TAR, _TAR_AT):
        raise RefusedError(_ARCHIVE)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_LENGTH or not name.isprintable() or _SPECIAL.search(name):
        raise RefusedError("has an entry with a name that is too long, or has characters that no name has")
    parts = name.removesuffix("/").split("/")
    if len(parts) > MAX_DEPTH:
        raise RefusedError("has folders in folders beyond reason")
    if any(part in {"", ".", ".."} for part in parts):
        raise RefusedError("has an entry that leads out of the package's folder")
    if any(part[-1] in ". " or part[0] == " " or _DEVICE.fullmatch(part) for part in parts):
        raise RefusedError("has an entry with a name that not every system has")
