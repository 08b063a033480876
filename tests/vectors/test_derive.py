import hashlib
import math
import random

import pytest

from adiuva.vectors.derive import derive_vector, unit


def test_a_derived_vector_is_the_bytes_of_the_digest_around_zero_at_length_one() -> None:
    vector = derive_vector(b"sealed", 32)
    digest = hashlib.sha256(b"sealed").digest()
    assert len(vector) == 32
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-12)
    ratios = {round((byte - 127.5) / number, 6) for byte, number in zip(digest, vector, strict=True)}
    assert len(ratios) == 1


def test_it_is_the_same_every_time_and_on_every_machine() -> None:
    assert derive_vector(b"", 32) == derive_vector(b"", 32)
    assert derive_vector(b"", 32)[:3] == pytest.approx([0.253645, 0.123636, 0.174620], abs=1e-6)


@pytest.mark.parametrize("dimensions", [1, 31, 32, 33, 384])
def test_it_has_unit_length_in_any_number_of_dimensions(dimensions: int) -> None:
    for number in range(100):
        vector = derive_vector(str(number).encode(), dimensions)
        assert len(vector) == dimensions
        assert math.hypot(*vector) == pytest.approx(1.0)


def test_different_blobs_are_told_apart() -> None:
    rng = random.Random(3)
    vectors = {tuple(derive_vector(rng.randbytes(50), 32)) for _ in range(1000)}
    assert len(vectors) == 1000


@pytest.mark.parametrize("numbers", [[3.0, 4.0], [3e307, 4e307], [3e-310, 4e-310], [1.7e308, 1.7e308]])
def test_any_vector_but_zero_can_be_brought_to_length_one(numbers: list[float]) -> None:
    vector = unit(numbers)
    assert math.hypot(*vector) == pytest.approx(1.0)
    assert vector[0] / vector[1] == pytest.approx(numbers[0] / numbers[1])
