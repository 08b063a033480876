"""Scale-and-perturb."""

import numpy as np
import pytest

from adiuva.client.perturbation import APPROXIMATION, Perturbation, normalised

SECRET = b"s" * 32
RANDOM = np.random.default_rng(7)
EMBEDDINGS = RANDOM.normal(size=(200, 64))


@pytest.fixture(scope="module")
def perturbation() -> Perturbation:
    return Perturbation(SECRET, 64)


def test_the_same_again_is_the_same_so_that_no_noise_is_averaged_away(perturbation: Perturbation) -> None:
    again = Perturbation(SECRET, 64)
    assert np.array_equal(perturbation.apply(EMBEDDINGS[0], "id"), again.apply(EMBEDDINGS[0], "id"))


def test_each_id_has_noise_of_its_own_and_each_secret_vectors_of_its_own(perturbation: Perturbation) -> None:
    one = perturbation.apply(EMBEDDINGS[0], "id")
    assert not np.allclose(one, perturbation.apply(EMBEDDINGS[0], "another id"))
    assert abs(normalised(one) @ normalised(Perturbation(b"t" * 32, 64).apply(EMBEDDINGS[0], "id"))) < 0.6


def test_the_noise_stays_within_the_scheme_s_ball(perturbation: Perturbation) -> None:
    exact = Perturbation(SECRET, 64, approximation=0)
    scale = np.linalg.norm(exact.apply(EMBEDDINGS[0]))
    radii = [np.linalg.norm(perturbation.apply(embedding) - exact.apply(embedding)) / scale for embedding in EMBEDDINGS]
    assert max(radii) <= APPROXIMATION / 4
    assert np.mean(radii) == pytest.approx(APPROXIMATION / 4 * 64 / 65, rel=0.01)


def test_distances_are_kept_but_for_the_noise(perturbation: Perturbation) -> None:
    exact = Perturbation(SECRET, 64, approximation=0)
    one, other = EMBEDDINGS[0], EMBEDDINGS[1]
    scale = np.linalg.norm(exact.apply(one))
    distance = np.linalg.norm(normalised(one) - normalised(other))
    assert np.linalg.norm(exact.apply(one) - exact.apply(other)) / scale == pytest.approx(distance)
    assert np.linalg.norm(perturbation.apply(one) - perturbation.apply(other)) / scale == pytest.approx(
        distance, abs=APPROXIMATION / 2
    )


def test_the_length_of_an_embedding_does_not_show(perturbation: Perturbation) -> None:
    exact = Perturbation(SECRET, 64, approximation=0)
    assert np.allclose(exact.apply(EMBEDDINGS[0]), exact.apply(5 * EMBEDDINGS[0]))


def test_no_coordinate_tells_of_the_embedding_s_own(perturbation: Perturbation) -> None:
    units = np.eye(64)
    turned = np.array([normalised(perturbation.apply(unit)) for unit in units])
    assert np.max(np.abs(turned)) < 0.75


def test_an_embedding_of_zeros_is_no_fault(perturbation: Perturbation) -> None:
    assert np.all(np.isfinite(perturbation.apply(np.zeros(64))))
