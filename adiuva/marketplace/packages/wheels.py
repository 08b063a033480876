"""What a package is called as a file, so that pip installs it: the name of a wheel tells what it is (PEP 427)."""

import io
import re
import zipfile
from typing import Final

_WHEEL: Final = re.compile(r"([A-Za-z0-9_.]+-[A-Za-z0-9_.!+]+)\.dist-info/WHEEL")
_TAG: Final = re.compile(r"^Tag: *([A-Za-z0-9_]+)-([A-Za-z0-9_]+)-([A-Za-z0-9_]+) *$", re.MULTILINE)


def file_name(data: bytes, otherwise: str) -> str:
    """The name of an archive that was looked through; ``otherwise`` where it is no wheel."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            match = _WHEEL.fullmatch(name)
            tags = _TAG.findall(archive.read(name).decode(errors="replace")) if match else []
            if match and tags:
                # Several tags are written as one, each part of which lists what it may be.
                parts = (".".join(dict.fromkeys(tag[part] for tag in tags)) for part in range(3))
                return f"{match[1]}-{'-'.join(parts)}.whl"
    return otherwise
