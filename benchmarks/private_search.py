"""What a private search finds: ``python -m benchmarks.private_search``.

40,000 embeddings of 384 numbers, made here, are perturbed as the client does it; the server's part, cosine over what it
was sent, is done exactly. Recall@10 is the share of the 10 truly nearest that are among the candidates, which the
client then ranks exactly. The queries are further embeddings of the same kind.

- *topics*: 400 topics around a common centre, the strength of the directions falling off, as with embeddings of texts.
- *no structure*: directions drawn at random; nothing is near anything, which is the hardest case.
"""

import time

import numpy as np
from numpy.typing import NDArray

from adiuva.client.perturbation import APPROXIMATION, Perturbation
from adiuva.vectors.derive import DERIVED_DIMENSIONS, derive_vector

Matrix = NDArray[np.float32]
ITEMS, QUERIES, DIMENSIONS, TOP = 40_000, 500, 384, 10
CANDIDATES = (10, 50, 100)
RANDOM = np.random.default_rng(20211666)


def units(vectors: NDArray[np.float64]) -> Matrix:
    """Each row with length 1."""
    unit: Matrix = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def topics() -> Matrix:
    """As embeddings of texts are spread."""
    strength = 1 / np.sqrt(1 + np.arange(DIMENSIONS) / 16)
    centre = 0.8 * RANDOM.normal(size=DIMENSIONS)
    topic = (RANDOM.normal(size=(400, DIMENSIONS)) * strength)[RANDOM.integers(400, size=ITEMS + QUERIES)]
    return units(centre + topic + 0.7 * strength * RANDOM.normal(size=(ITEMS + QUERIES, DIMENSIONS)))


def no_structure() -> Matrix:
    """All directions alike."""
    return units(RANDOM.normal(size=(ITEMS + QUERIES, DIMENSIONS)))


def perturbed(embeddings: Matrix, beta: float, *, ids: bool) -> Matrix:
    """What the server is sent."""
    perturbation = Perturbation(b"benchmark".ljust(32), DIMENSIONS, approximation=beta)
    sent = [perturbation.apply(row, str(number) if ids else "") for number, row in enumerate(embeddings)]
    return units(np.array(sent).round(4))


def hashed(embeddings: Matrix) -> Matrix:
    """What a server makes of a ciphertext where it is sent no vector; a ciphertext is as good as random."""
    return np.array([derive_vector(RANDOM.bytes(64), DERIVED_DIMENSIONS) for _ in embeddings], dtype=np.float32)


def nearest(queries: Matrix, items: Matrix, count: int) -> NDArray[np.int64]:
    """The nearest items of each query, in no order."""
    return np.argpartition(-(queries @ items.T), count, axis=1)[:, :count]


def recalls(truth: NDArray[np.int64], queries: Matrix, items: Matrix) -> list[float]:
    """Recall@10 by the number of candidates."""
    found = []
    for count in CANDIDATES:
        pairs = zip(nearest(queries, items, count), truth, strict=True)
        found.append(float(np.mean([np.isin(true, candidates).mean() for candidates, true in pairs])))
    return found


def main() -> None:
    """Print the table."""
    print(f"| embeddings | vectors | {' | '.join(f'{count} candidates' for count in CANDIDATES)} |")
    print(f"|---|---|{'---:|' * len(CANDIDATES)}")
    took = 0.0
    for name, embeddings in (("topics", topics()), ("no structure", no_structure())):
        items, queries = embeddings[:ITEMS], embeddings[ITEMS:]
        truth = nearest(queries, items, TOP)
        for beta in (0.5, APPROXIMATION, 1.0, 1.5):
            begun = time.process_time()
            sent = perturbed(items, beta, ids=True)
            took = time.process_time() - begun
            row(name, f"perturbed, β = {beta}", recalls(truth, perturbed(queries, beta, ids=False), sent))
        row(name, "derived from a hash", recalls(truth, hashed(queries), hashed(items)))
    print(f"\nTo perturb an embedding takes {took / ITEMS * 1e3:.2f} ms of CPU.")


def row(name: str, vectors: str, found: list[float]) -> None:
    """Print one line of the table."""
    print(f"| {name} | {vectors} | {' | '.join(f'{value:.4f}' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
