"""Which keys a blob may have."""

import re

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}"
_KEY = re.compile(rf"{_SEGMENT}(/{_SEGMENT}){{0,7}}")


def checked(key: str) -> str:
    """``key``, fit for any store: segments that begin with no dot, so that none leads out of where blobs are kept.

    Raises:
        ValueError: It is not. Keys are made here and never by clients, so this is a mistake of ours.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"no key of a blob: {key[:100]!r}")
    return key
