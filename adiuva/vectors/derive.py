"""Vectors of unit length: the one that is derived from a blob, and those that clients give."""

import hashlib
import math
from collections.abc import Sequence

DERIVED_DIMENSIONS = 32


def derive_vector(blob: bytes, dimensions: int) -> list[float]:
    """A vector of ``blob`` that is the same every time: 32 numbers from its SHA-256, then zeros up to ``dimensions``.

    Equal blobs have equal vectors; different ones have vectors that say nothing of how much they differ.
    """
    # The digest's bytes lie around zero and never on it, so however few of them are kept, there is a direction.
    digest = [byte - 127.5 for byte in hashlib.sha256(blob).digest()[:dimensions]]
    return [*unit(digest), *[0.0] * (dimensions - DERIVED_DIMENSIONS)]


def unit(vector: Sequence[float]) -> list[float]:
    """``vector`` at length 1. It is finite and not all zeros, but may be too long or short for the stores' 32 bits."""
    peak = max(map(abs, vector))
    scaled = [number / peak for number in vector]
    length = math.hypot(*scaled)
    return [number / length for number in scaled]
