"""How memory is kept: by the C library, where that is glibc, and by Python's collector of cyclic garbage."""

import ctypes
import gc
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
TRIM_BYTES: Final = 16 * 2**20
MMAP_BYTES: Final = 4 * 2**20
# How many objects come to be before the youngest are looked through for cyclic garbage, and how many such rounds before
# the older ones are. Python's 700, 10 and 10 took an eighth of a chat's CPU and doubled its 99th percentile; 50,000
# objects took as much, in cache misses.
THRESHOLDS: Final = (5_000, 20, 50)


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


def settle() -> None:
    """Start-up is over: what there is lives as long as the process, and new garbage is looked for less often."""
    gc.collect()
    gc.freeze()  # a full collection need not walk it again and stop the loop
    gc.set_threshold(*THRESHOLDS)
