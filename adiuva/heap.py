"""How the C library keeps memory that was freed, where that is glibc; other systems are left as they are."""

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
TRIM_BYTES: Final = 16 * 2**20
MMAP_BYTES: Final = 4 * 2**20


def keep_freed_memory() -> None:
    """Keep up to 16 MiB of what was freed, instead of giving it back at once and asking for it anew.

    A blob goes through in pieces of a quarter MiB, a few of which are held at a time. By itself glibc gives each back
    to the system, and every page that comes again is a fault: they cost more than all else that is done to a blob.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has none, or one that does nothing
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, TRIM_BYTES)
        mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
