"""Flow is what was done to the picture, also across ±180°; masks are what moves, and nothing else, whatever the light does."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.ingest.encode.foreground import MEMORY, MovingForeground
from dataio.ingest.encode.motion import POLE, flow, flow_frames
from dataio.ingest.scenes.background import background
from dataio.ingest.scenes.motion import locate
from dataio.ingest.scenes.picture import Camera
from dataio.ingest.scenes.world import draw_scene

SIZE = HEIGHT, WIDTH = 128, 256
FRAMES, FPS, SECONDS = 8, 4, 2
AT = 4
INNER = np.abs(90 - (np.arange(HEIGHT) + 0.5) * 180 / HEIGHT) < 60
Clip = list[np.ndarray]


def _noisy(picture: np.ndarray, seed: int, level: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, level, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def _error(found: np.ndarray, u: float | np.ndarray, v: float | np.ndarray) -> np.ndarray:
    return np.hypot(found[..., 0] - u, found[..., 1] - v)


def _shifted(picture: np.ndarray, u: float, v: float) -> np.ndarray:
    """The picture moved to the right, around, and down, by fractions of pixels."""
    wide = np.hstack([picture] * 3)
    moved = cv2.warpAffine(
        wide, np.array([[1, 0, u], [0, 1, v]], float), wide.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.ascontiguousarray(moved[:, WIDTH : 2 * WIDTH])


@given(frames=st.integers(2, 1000))
def test_flow_runs_from_the_frame_of_the_classes_to_the_next(frames: int) -> None:
    first, second = flow_frames(frames)
    assert second == first + 1 < frames
    assert first == (frames // 2 if frames > 2 else 0)


@pytest.mark.parametrize("frames", [1, 0])
def test_one_frame_does_not_move(frames: int) -> None:
    with pytest.raises(ValueError, match=f"needs two frames a clip, not {frames}"):
        flow_frames(frames)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("u", "v"), [(0, 0), (0.5, 0), (-3, 1), (5.3, -2.6), (WIDTH / 16, 0), (-WIDTH / 16, 3), (WIDTH / 12, 0)])
def test_a_shift_is_found_everywhere_even_across_the_edge(seed: int, u: float, v: float) -> None:
    picture = background(SIZE, seed)
    found, valid = flow(picture, _shifted(picture, u, v))
    assert (found.shape, found.dtype, valid.shape, valid.dtype) == ((*SIZE, 2), np.float32, SIZE, np.bool_)
    error = _error(found, u, v)[INNER]
    margin = round(WIDTH / 16)
    assert np.median(error) < 0.1
    assert np.median(np.hstack([error[:, :margin], error[:, -margin:]])) < 0.15
    assert valid[INNER].mean() > 0.98
    assert np.percentile(error[valid[INNER]], 99) < 0.5


@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 0, 0), (0, 1, 0), (0.5, -0.4, 0.7)])
def test_a_turn_of_the_camera_is_found_on_the_sphere(axis: tuple[float, float, float]) -> None:
    """The picture turned about any axis by four degrees: u and v are those of equirectangular pixels, large near the poles."""
    picture = background(SIZE, 3)
    turn, _ = cv2.Rodrigues(np.array(axis, float) / np.linalg.norm(axis) * np.radians(4.0))
    columns, rows = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    azimuth, elevation = np.radians((columns + 0.5) / WIDTH * 360 - 180), np.radians(90 - (rows + 0.5) / HEIGHT * 180)
    towards = np.stack([np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)], -1)

    def pixels(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y, z = np.moveaxis(directions, -1, 0)
        return ((np.arctan2(x, y) / np.pi + 1) / 2 * WIDTH - 0.5), (0.5 - np.arcsin(np.clip(z, -1, 1)) / np.pi) * HEIGHT - 0.5

    x, y = pixels(towards @ turn)  # what a pixel of the turned picture shows: turned back
    wide = np.hstack([picture] * 3)
    second = cv2.remap(wide, (x + WIDTH).astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    found, valid = flow(picture, second)
    ahead, down = pixels(towards @ turn.T)  # where what a pixel of the first picture shows has gone
    u, v = (ahead - columns + WIDTH / 2) % WIDTH - WIDTH / 2, down - rows
    error = _error(found, u, v)
    assert np.median(error[INNER]) < 0.25
    assert valid[INNER].mean() > 0.85
    assert np.median(error[valid]) < 0.25


def test_where_something_is_hidden_next_and_near_the_poles_flow_is_not_valid() -> None:
    behind = background(SIZE, 4)
    patch = 255 - background((32, 32), 9)
    first, second = behind.copy(), behind.copy()
    first[48:80, 100:132] = patch
    second[48:80, 110:142] = patch
    found, valid = flow(first, second)
    assert np.median(_error(found, 10, 0)[52:76, 104:128]) < 0.25
    assert valid[52:76, 104:128].mean() > 0.65
    assert valid[52:76, 134:140].mean() < 0.3  # the patch will be here
    elevation = np.abs(90 - (np.arange(HEIGHT) + 0.5) * 180 / HEIGHT)
    assert not valid[elevation > POLE].any()
    assert valid[INNER].mean() > 0.9


def test_things_of_scenes_move_as_they_do() -> None:
    """What passes before a standing background, up to 13 pixels a frame; but for trams, whose long plain sides do not show it."""
    size = 256, 512
    errors = []
    for seed in range(6):
        camera, things = _camera(seed, size, apart=True)
        time = seed * SECONDS + AT / FPS
        (a, classes), (b, _) = camera.shoot(time), camera.shoot(time + 1 / FPS)
        found, valid = flow(_noisy(a, 1), _noisy(b, 2))
        for thing, number in things:
            seen = (classes == number) & valid
            if thing.kind != "tram" and (classes == number).sum() >= 60 and seen.any():
                before, after = (locate(thing.path.row(), t) for t in (time, time + 1 / FPS))
                u = ((after[0] - before[0] + 180) % 360 - 180) / 360 * size[1]
                errors.append(np.median(_error(found, u, (before[1] - after[1]) / 180 * size[0])[seen]))
        assert np.median(_error(found, 0, 0)[(classes == 0) & valid]) < 0.2
    assert len(errors) >= 12
    assert np.median(errors) < 0.8


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (107, 213)])
def test_odd_sizes_have_flow_and_masks(size: tuple[int, int]) -> None:
    picture = background(size, 0)
    found, valid = flow(picture, np.roll(picture, 2, 1))
    assert found.shape == (*size, 2)
    assert np.median(_error(found, 2, 0)[valid]) < 0.25
    assert MovingForeground().update([picture, picture], 1).shape == size


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    clip = _clips(_camera(0, SIZE)[0], 1)[0][0]
    before = cv2.getNumThreads()
    expected = flow(clip[4], clip[5])[0].tobytes(), MovingForeground().update(clip, AT).tobytes()
    try:
        cv2.setNumThreads(threads)
        assert (flow(clip[4], clip[5])[0].tobytes(), MovingForeground().update(clip, AT).tobytes()) == expected
        assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((64, 64, 3), np.uint8), np.zeros((64, 65, 3), np.uint8), "not .*64, 64, 3.* and .*64, 65, 3"),
        (np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8), "two .H, W, 3. uint8 pictures"),
        (np.zeros((64, 64, 3), np.float32), np.zeros((64, 64, 3), np.float32), "two .H, W, 3. uint8 pictures"),
        (np.zeros((16, 64, 3), np.uint8), np.zeros((16, 64, 3), np.uint8), "32 pixels a side or more, not 16x64"),
    ],
)
def test_what_has_no_flow_is_refused(first: np.ndarray, second: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flow(first, second)


# masks


def _camera(seed: int, size: tuple[int, int], apart: bool = False) -> tuple[Camera, list]:
    """A camera whose classes are 1 for everything that moves (or a number for each such thing), 0 for what is parked."""
    scene = draw_scene(seed, 0)
    numbers = [(i + 1 if apart else 1) if thing.moving else 0 for i, thing in enumerate(scene.things)]
    things = tuple(replace(thing, class_id=number) for thing, number in zip(scene.things, numbers, strict=True))
    return Camera(replace(scene, things=things), size), [(thing, thing.class_id) for thing in things if thing.moving]


def _clips(camera: Camera, count: int) -> list[tuple[Clip, np.ndarray]]:
    """Clips with noise, and where something moves in frame `AT`."""
    clips = []
    for clip in range(count):
        shot = [camera.shoot(clip * SECONDS + i / FPS) for i in range(FRAMES)]
        clips.append(([_noisy(picture, clip * FRAMES + i) for i, (picture, _) in enumerate(shot)], shot[AT][1] > 0))
    return clips


def _masks(clips: list[Clip]) -> list[np.ndarray]:
    foreground = MovingForeground()
    masks = [foreground.update(clip, AT) for clip in clips]
    assert all(mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 255} for mask in masks)
    return [mask > 0 for mask in masks]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def _still(change: Callable[[np.ndarray, int], np.ndarray], count: int = 2 * MEMORY) -> Iterator[float]:
    """Shares of the picture that masks cover in a scene where nothing moves, but `change(picture, number of the frame)` happens."""
    picture = background(SIZE, 7)
    clips = [[_noisy(change(picture, clip * FRAMES + i), clip * FRAMES + i) for i in range(FRAMES)] for clip in range(count)]
    return (float(mask.mean()) for mask in _masks(clips))


@pytest.mark.parametrize("seed", range(4))
def test_masks_of_scenes_are_what_moves_in_them(seed: int) -> None:
    clips = _clips(_camera(seed, SIZE)[0], 12)
    scores = [_iou(mask, truth) for mask, (_, truth) in zip(_masks([clip for clip, _ in clips]), clips, strict=True)]
    assert np.median(scores[5:]) > 0.8
    assert min(scores[5:]) > 0.6


def test_masks_of_scenes_are_no_others_when_the_light_changes_at_once() -> None:
    clips = _clips(_camera(0, SIZE)[0], 9)
    lit = [
        [_noisy(frame * (0.6 if clip < 6 else 0.95), i) for i, frame in enumerate(frames)] for clip, (frames, _) in enumerate(clips)
    ]
    scores = [_iou(mask, truth) for mask, (_, truth) in zip(_masks(lit), clips, strict=True)]
    assert min(scores[5:]) > 0.6


def test_a_thing_on_the_edge_is_one_piece() -> None:
    picture, columns = background(SIZE, 2), np.arange(24)
    clips, truths = [], []
    for clip in range(10):
        frames = []
        for i in range(FRAMES):
            frame = _noisy(picture, clip * FRAMES + i)
            here = (columns - 8 + 14 * (i - AT)) % WIDTH  # in frame AT it hangs over the edge: 8 columns of it before, 16 behind
            frame[60:76, here] = (210, 40, 40)
            frames.append(frame)
        truth = np.zeros(SIZE, bool)
        truth[60:76, (columns - 8) % WIDTH] = True
        clips.append(frames)
        truths.append(truth)
    masks = _masks(clips)
    for mask, truth in itertools.islice(zip(masks, truths, strict=True), 1, None):
        assert _iou(mask, truth) > 0.85
        assert mask[64:72, 0].all()
        assert mask[64:72, -1].all()


@pytest.mark.parametrize("columns", [64, 128, 200])
def test_a_turned_recording_has_turned_masks(columns: int) -> None:
    clips = [clip for clip, _ in _clips(_camera(1, SIZE)[0], 8)]
    turned = _masks([[np.roll(frame, columns, 1) for frame in clip] for clip in clips])
    for mask, other in zip(_masks(clips), turned, strict=True):
        assert np.array_equal(np.roll(mask, columns, 1), other)


LIGHTS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "nothing": lambda picture, k: picture,
    "dusk": lambda picture, k: picture * (1.3 - 0.004 * k),
    "haze": lambda picture, k: picture * 0.7 + 0.4 * k,
    "a cloud": lambda picture, k: picture * (1 - 0.25 * np.sin(k / 12) ** 2),
    "a lamp switched on": lambda picture, k: picture * (1.4 if k > 77 else 1.0),
    "an overexposed flash": lambda picture, k: picture * (2.5 if k in (45, 50) else 1.0),
    "a camera pushed once": lambda picture, k: np.roll(picture, 6 if k >= 72 else 0, 1),
    "a camera that trembles": lambda picture, k: np.roll(picture, (k * 7) % 3 - 1, (k * 5) % 2),
    "a camera that turns": lambda picture, k: np.roll(picture, 2 * k, 1),
    "a camera that turns slowly": lambda picture, k: np.roll(picture, k // 5, 1),
    "darkness": lambda picture, k: picture * 0,
    "light": lambda picture, k: picture * 0 + 255,
}


@pytest.mark.parametrize("light", LIGHTS)
def test_where_nothing_moves_masks_are_nearly_empty(light: str) -> None:
    assert max(_still(LIGHTS[light])) < 0.005


def test_a_light_that_passes_in_the_dark_is_found_and_the_noise_is_not() -> None:
    clips = [[_noisy(np.zeros((*SIZE, 3)), clip * FRAMES + i, 6.0) for i in range(FRAMES)] for clip in range(6)]
    for clip in clips:
        for i, frame in enumerate(clip):
            frame[50:70, 30 * i : 30 * i + 45] = (250, 240, 200)
    for mask in _masks(clips):
        truth = np.zeros(SIZE, bool)
        truth[50:70, 30 * AT : 30 * AT + 45] = True
        assert _iou(mask, truth) > 0.85


def test_what_parks_and_what_it_leaves_behind_is_no_moving_foreground() -> None:
    """A box stands in the way of the first clips, leaves during clip 12, and parks elsewhere."""
    picture = background(SIZE, 6)

    def frame(k: int) -> np.ndarray:
        shot = _noisy(picture, k)
        x = 40 + min(96, max(0, k - 12 * FRAMES) * 12)
        shot[50:74, x : x + 20] = (30, 60, 200)
        return shot

    masks = _masks([[frame(clip * FRAMES + i) for i in range(FRAMES)] for clip in range(18)])
    assert not any(mask.any() for mask in masks[:12])
    assert masks[12][52:72, 90:106].all()  # on its way in frame AT: 40 + 4 · 12 to 60 + 4 · 12
    assert not any(mask.any() for mask in masks[14:])  # neither the box nor the gap that it left, while the memory still knows both


@pytest.mark.parametrize(
    ("row", "side", "seen"),
    [(62, 2, False), (62, 4, True), (8, 4, False), (8, 9, True)],
    ids=["thin", "small", "small at a pole", "wide there"],
)
def test_a_speck_is_what_is_small_on_the_sphere(row: int, side: int, seen: bool) -> None:
    picture = background(SIZE, 8)
    clips = [[_noisy(picture, clip * FRAMES + i) for i in range(FRAMES)] for clip in range(4)]
    for clip in clips:
        for i, frame in enumerate(clip):
            frame[row : row + side, 20 + 20 * i : 20 + 20 * i + side] = 255
    for mask in _masks(clips):
        assert mask[row + 1 : row + side - 1, 101 : 100 + side - 1].all() == seen or side == 2
        assert mask.any() == seen
        assert mask.sum() <= (side + 2) ** 2


def test_a_walker_is_found_while_the_camera_turns() -> None:
    picture = background(SIZE, 9)
    texture = 255 - background((40, 24), 5)
    scores = []
    for number in range(5):
        frames, truth = [], np.zeros(SIZE, bool)
        for i in range(FRAMES):
            frame = picture.copy()
            x = 60 + 30 * number - 5 * i
            frame[50:90, x : x + 24] = texture
            if i == AT:
                truth[50:90, x : x + 24] = True
            frames.append(_noisy(np.roll(frame, 3 * i, 1), i))
        (mask,) = _masks([frames])
        scores.append(_iou(mask, np.roll(truth, 3 * AT, 1)))
    assert np.median(scores) > 0.5


def test_large_pictures_are_looked_at_smaller_in_bounded_memory() -> None:
    small = [clip for clip, _ in _clips(_camera(2, SIZE)[0], 3)]
    large = [[cv2.resize(frame, (2048, 1024), interpolation=cv2.INTER_LINEAR) for frame in clip] for clip in small]
    foreground = MovingForeground()
    for clip in large:
        mask = foreground.update(clip, AT)
    assert mask.shape == (1024, 2048)
    expected = cv2.resize(_masks(small)[-1].view(np.uint8), (2048, 1024), interpolation=cv2.INTER_NEAREST) > 0
    assert _iou(mask > 0, expected) > 0.7
    assert sum(picture.nbytes for picture in foreground._past) <= 3 * MEMORY * 1024 * 512


def test_a_mask_depends_on_its_clip_and_those_before_it_alone() -> None:
    clips = [clip for clip, _ in _clips(_camera(3, SIZE)[0], 6)]
    copies = [[frame.copy() for frame in clip] for clip in clips]
    masks = _masks(clips)
    assert all(np.array_equal(a, b) for a, b in zip(masks[:4], _masks(clips[:4]), strict=True))
    assert all(np.array_equal(a, b) for clip, copy in zip(clips, copies, strict=True) for a, b in zip(clip, copy, strict=True))


@pytest.mark.parametrize("frames", [2, 3, 5, 9, 13, 60])
def test_any_number_of_frames_makes_a_clip(frames: int) -> None:
    picture = background((64, 128), 1)
    foreground = MovingForeground()
    for _ in range(3):
        clip = [picture.copy() for _ in range(frames)]
        for i, frame in enumerate(clip):
            frame[28:36, (30 + 12 * i) % 100 : (30 + 12 * i) % 100 + 12] = 250
        at = flow_frames(frames)[0]
        mask = foreground.update(clip, at) > 0
    x = (30 + 12 * at) % 100
    if frames > 2:  # of two, none is the background
        assert mask[29:35, x + 1 : x + 11].mean() > 0.9


@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=24))
@settings(max_examples=200)
def test_the_median_is_the_median(values: list[int]) -> None:
    from dataio.ingest.encode import foreground

    found = foreground._median(cv2, [np.full((1, 1, 3), value, np.uint8) for value in values])
    assert abs(float(found[0, 0, 0]) - float(np.median(values))) <= 0.5


@pytest.mark.parametrize(
    ("frames", "at", "message"),
    [
        ([(64, 128)], 0, "two frames or more"),
        ([], 0, "two frames or more"),
        ([(64, 128)] * 3, 3, "not of frame 3 of 3"),
        ([(64, 128)] * 3, -1, "not of frame -1 of 3"),
        ([(64, 128), (64, 130)], 0, "uint8 of one size"),
        ([(16, 128)] * 2, 0, "32 pixels a side or more, not 16x128"),
    ],
)
def test_what_is_no_clip_is_refused(frames: list[tuple[int, int]], at: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MovingForeground().update([np.zeros((*size, 3), np.uint8) for size in frames], at)


def test_a_recording_keeps_its_size() -> None:
    foreground = MovingForeground()
    foreground.update([np.zeros((64, 128, 3), np.uint8)] * 2, 0)
    with pytest.raises(ValueError, match="of one size"):
        foreground.update([np.zeros((64, 64, 3), np.uint8)] * 2, 0)
