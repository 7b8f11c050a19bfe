"""The DALI graph, on the CPU, against torch's crop and resize."""

from functools import partial

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from dataio.stream.decode.safe import Encoded, SafePipeline
from dataio.stream.images.crop import middle
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import boxes, choose
from dataio.stream.images.graph import encoded, views
from dataio.stream.images.spec import ViewSpec, evaluation
from tests.dataio.stream.images.stills import jpeg, photo


def graph(spec: ViewSpec, batch: int, threads: int = 1) -> SafePipeline:
    return SafePipeline(partial(views, spec, "cpu", threads), batch=batch)


def decoded(pipe: SafePipeline, spec: ViewSpec, jpegs: list[np.ndarray], clips: np.ndarray) -> np.ndarray:
    """(B, V, S, S, 3) uint8."""
    draws = choose(spec, 0, 0, clips)
    out = pipe.run([encoded(spec, draws.row(i), data) for i, data in enumerate(jpegs)], lambda i, error: pytest.fail(error.reason))
    made = np.array(out.as_tensor())
    pipe.release()
    return made


def resized(picture: np.ndarray, box, size) -> np.ndarray:
    top, left, height, width = box
    part = torch.from_numpy(picture[top : top + height, left : left + width]).permute(2, 0, 1)
    return functional.resize(part, list(size), antialias=True).permute(1, 2, 0).numpy()


def near(mine: np.ndarray, theirs: np.ndarray) -> None:
    """DALI mixes the outermost pixels otherwise, as it repeats the edge where torch leaves taps out."""
    difference = np.abs(mine.astype(int) - theirs.astype(int))
    assert difference[..., 3:-3, 3:-3, :].max() <= 1
    assert (difference <= 2).mean() >= 0.998


def test_views_are_torchs_crops():
    spec, clips = ViewSpec(size=64), np.arange(10, 18)
    jpegs = [jpeg(photo(90 + 5 * i, 140 - 7 * i, i)) for i in range(8)]
    made = decoded(graph(spec, 8, 1), spec, jpegs, clips)
    assert made.shape == (8, 2, 64, 64, 3)
    draws, (_, run) = choose(spec, 0, 0, clips), decoder()
    for i, data in enumerate(jpegs):
        picture = run(data)
        crops = boxes(spec, draws.row(i), np.array([picture.shape[0]]), np.array([picture.shape[1]]))[0].tolist()
        near(made[i], np.stack([resized(picture, box, (64, 64)) for box in crops]))


@pytest.mark.parametrize("shape", [(80, 100), (100, 80), (64, 64), (40, 300)])
def test_the_middle_is_torchs(shape):
    spec = evaluation(56, 64)
    data = jpeg(photo(*shape))
    (made,) = decoded(graph(spec, 1, 1), spec, [data], np.array([0]))
    part = middle(*shape, 64, 56)
    whole = resized(decoder()[1](data), part.box, part.size)
    near(made, whole[None, part.top : part.top + 56, part.left : part.left + 56])


def test_batches_of_any_length():
    spec = ViewSpec(size=32)
    pipe = graph(spec, 4, 2)
    jpegs = [jpeg(photo(50, 60, i)) for i in range(4)]
    whole = decoded(pipe, spec, jpegs, np.arange(4))
    assert np.array_equal(decoded(pipe, spec, jpegs[:3], np.arange(3)), whole[:3])
    assert np.array_equal(decoded(pipe, spec, jpegs[::-1], np.arange(4)[::-1]), whole[::-1])


def test_what_cannot_be_decoded_is_found_alone_and_leaves_the_rest_alone():
    spec = ViewSpec(size=32)
    pipe = graph(spec, 2)
    jpegs = [jpeg(photo(50, 60, i)) for i in range(2)]
    good = encoded(spec, choose(spec, 0, 0, np.array([0])), jpegs[0])
    before = decoded(pipe, spec, jpegs, np.arange(2))
    for _ in range(2):
        assert pipe.check(good) is None
        for broken in (jpegs[0][: len(jpegs[0]) // 2], jpegs[0][:300], np.frombuffer(b"no picture at all" * 9, np.uint8)):
            error = pipe.check(Encoded(good.inputs | {"jpeg": [broken]}))
            assert error is not None and error.reason and "\n" not in error.reason
    assert np.array_equal(decoded(pipe, spec, jpegs, np.arange(2)), before) and pipe.rebuilt == 0
    pipe.close()
