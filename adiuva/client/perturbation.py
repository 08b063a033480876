"""Scale-and-perturb: vectors that a server can compare, approximately, without being shown the embeddings.

The scheme is that of Fuchsbauer, Ghosal, Hauke and O'Neill, "Approximate Distance-Comparison-Preserving Symmetric
Encryption" (2021), on unit vectors that a secret rotation has turned first: it changes no distance, and takes away what
a coordinate by itself tells. What such vectors leak stands in docs/client.md.
"""

import numpy as np
from nacl.encoding import RawEncoder
from nacl.hash import blake2b
from nacl.utils import randombytes_deterministic
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]
APPROXIMATION = 0.75
LARGEST_SCALE_BITS = 8


class Perturbation:
    """The scheme with one key, for embeddings of one length."""

    def __init__(self, secret: bytes, dimensions: int, *, approximation: float = APPROXIMATION) -> None:
        """``approximation`` is the scheme's beta: the larger, the less a vector tells, and the less a search finds."""
        self._secret = secret
        self._beta = approximation
        self._scale = 2.0 ** (LARGEST_SCALE_BITS * _uniforms(self._derived(b"scale"), 1)[0])
        self._rotation = _orthogonal(self._derived(b"rotation"), dimensions)

    def apply(self, embedding: ArrayLike, context: str = "") -> Vector:
        """What the server sees of an embedding.

        The noise follows from embedding and context (the vector's id, nothing for a search), so that doing the same
        thing again does not let anyone average it away.
        """
        unit = normalised(embedding)
        seed = self._derived(b"noise", unit.astype("<f4").tobytes() + context.encode())
        direction = normalised(_gaussians(seed, len(unit)))
        radius = self._scale * self._beta / 4 * _uniforms(self._derived(b"radius", seed), 1)[0] ** (1 / len(unit))
        perturbed: Vector = self._scale * (self._rotation @ unit) + radius * direction
        return perturbed

    def _derived(self, person: bytes, data: bytes = b"") -> bytes:
        derived: bytes = blake2b(data, digest_size=32, key=self._secret, person=person, encoder=RawEncoder)
        return derived


def normalised(vector: ArrayLike) -> Vector:
    """The vector with length 1; one of zeros as it is."""
    array: Vector = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(array))
    return array / (length or 1.0)


def _uniforms(seed: bytes, count: int) -> Vector:
    """Numbers over 0 up to 1, from libsodium's deterministic stream: the same ones on every machine."""
    bits = np.frombuffer(randombytes_deterministic(8 * count, seed), dtype="<u8") >> np.uint64(11)
    uniforms: Vector = (bits.astype(np.float64) + 1.0) / 2.0**53
    return uniforms


def _gaussians(seed: bytes, count: int) -> Vector:
    """Standard normal numbers, by Box and Muller; ``count`` of them."""
    first, second = np.split(_uniforms(seed, 2 * ((count + 1) // 2)), 2)
    distance = np.sqrt(-2.0 * np.log(first))
    angle = 2.0 * np.pi * second
    return np.concatenate([distance * np.cos(angle), distance * np.sin(angle)])[:count]


def _orthogonal(seed: bytes, size: int) -> NDArray[np.float64]:
    """A rotation, all alike likely: the Q of a Gaussian matrix, made unique by a positive diagonal of R."""
    q, r = np.linalg.qr(_gaussians(seed, size * size).reshape(size, size))
    rotation: Vector = q * np.sign(np.diag(r))
    return rotation
