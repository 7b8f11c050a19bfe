"""The rig's geometry: papers.md 2.1, and the symmetries on which augmentation relies."""

import numpy as np
import pytest

from dataio.format.clip import EARS
from dataio.ingest.scenes.rig import CUBE, FORWARD, MICROPHONES, ear_axes, ear_positions, mirrored_channels, turned_channels


def _faces(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal of the microphone's face and direction of its half, from the figure (front y, right x)."""
    front, right = np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])
    return {
        3: (front, -right), 4: (front, right), 7: (-front, right), 8: (-front, -right),
        2: (-right, front), 1: (-right, -front), 5: (right, front), 6: (right, -front),
    }[number]  # fmt: skip


@pytest.mark.parametrize("channel", range(8))
def test_every_ear_is_on_its_half_of_its_face(channel: int) -> None:
    normal, half = _faces(MICROPHONES[channel])
    np.testing.assert_allclose(ear_positions()[channel], normal * CUBE / 2 + half * FORWARD, atol=1e-12)


def test_left_ears_are_the_even_microphones() -> None:
    assert [number % 2 for number in MICROPHONES] == [0, 1] * 4
    assert EARS[0] == "front.L" and MICROPHONES[:2] == (2, 5)


def test_ears_open_outwards_and_to_where_their_head_looks() -> None:
    axes, positions = ear_axes(), ear_positions()
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1.0)
    assert (np.einsum("ec,ec->e", axes, positions) > 0.0).all()
    assert axes[0, 1] > 0.0 and axes[1, 1] > 0.0  # the front head's ears lean to the front


def test_no_pair_is_a_permutation_of_another() -> None:
    assert len({tuple(position.round(6)) for position in ear_positions()}) == 8


@pytest.mark.parametrize("vectors", [ear_positions(), ear_axes()], ids=["positions", "axes"])
@pytest.mark.parametrize("quarters", range(-4, 5))
def test_a_quarter_turn_maps_the_rig_onto_itself(vectors: np.ndarray, quarters: int) -> None:
    """What channel c hears of the turned scene, channel p[c] hears of the scene: ear c turned back is ear p[c]."""
    back = vectors.copy()
    for _ in range(quarters % 4):
        back = np.stack([-back[:, 1], back[:, 0], back[:, 2]], 1)  # anticlockwise
    np.testing.assert_allclose(back, vectors[turned_channels(quarters)], atol=1e-12)


@pytest.mark.parametrize("vectors", [ear_positions(), ear_axes()], ids=["positions", "axes"])
def test_a_mirror_maps_the_rig_onto_itself(vectors: np.ndarray) -> None:
    np.testing.assert_allclose(vectors * (-1.0, 1.0, 1.0), vectors[mirrored_channels()], atol=1e-12)


def test_the_permutations_in_words() -> None:
    assert turned_channels(1) == [6, 7, 0, 1, 2, 3, 4, 5]  # after a turn to the right, the right pair hears the front's sound
    assert mirrored_channels() == [1, 0, 7, 6, 5, 4, 3, 2]
