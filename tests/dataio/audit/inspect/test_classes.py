"""How classes are spread over shards: by hand, and estimated from a sample of a set that is known as a whole."""

import itertools
from collections import Counter

import numpy as np
import pytest

from dataio.audit.inspect.classes import mixed_classes, repeats
from dataio.audit.inspect.sample import Look
from dataio.audit.mixing import WINDOW, same_pairs
from dataio.format import manifest
from tests.dataio.audit.inspect.pages import make_set


def test_by_hand():
    """Two shards of two pictures: a a, and a b. Of two pairs within a shard one agrees, of four between them two."""
    found = repeats([{"a": 2}, {"a": 1, "b": 1}], of=2, window=2)
    assert found.shard == pytest.approx(1 / 2)
    assert found.window == pytest.approx(3 / 6)
    assert found.whole == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 4)


def test_a_class_a_shard():
    found = repeats([{"a": 9}, {"b": 9}, {"c": 9}, {"d": 9}], of=1000)
    assert (found.shard, found.whole) == (1, pytest.approx(1 / 1000))
    assert found.window == pytest.approx(4 * 36 / (36 * 35 / 2))


def test_shards_of_one_picture():
    assert repeats([{"a": 1}], of=5).whole == 0
    assert repeats([{"a": 1}, {"a": 1}], of=2).window == 1


@pytest.mark.parametrize("mixed", ["shuffled", "in tens", "sorted"])
def test_a_sample_tells_of_the_whole(mixed):
    """400 shards of 250 pictures of 100 classes, of which 64 shards are looked into, and 64 pictures of each."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(100), 1000)
    if mixed != "sorted":
        blocks = labels.reshape(1 if mixed == "shuffled" else 40, -1)
        labels = np.concatenate([draw.permutation(block) for block in blocks])
    sets = labels.reshape(400, 250)
    rows = draw.permutation(400)[:64]
    found = repeats([Counter(draw.permutation(sets[row])[:64].tolist()) for row in rows], of=400)
    shard = np.mean([same_pairs(np.bincount(s), 2) for s in sets])
    windows = [np.bincount(sets[draw.permutation(400)[:WINDOW]].ravel()) for _ in range(2000)]
    assert found.shard == pytest.approx(shard, rel=0.1)
    assert found.window == pytest.approx(np.mean([same_pairs(w, 2) for w in windows]), rel=0.15)
    assert found.whole == pytest.approx(same_pairs(np.bincount(labels), 2), rel=0.15)


@pytest.mark.parametrize(("shards", "of", "window"), [([], 1, 4), ([{"a": 1}] * 2, 1, 4), ([{"a": 1}], 1, 0)])
def test_nothing_to_compare_is_an_error(shards, of, window):
    with pytest.raises(ValueError, match="each must be at least 1"):
        repeats(shards, of, window)


def test_rows_of_each_split(tmp_path):
    """A split of one shard has nothing to mix; two shards have no window of four."""
    clips = [[(f"a{s}-{i:06d}", f"a{s}", 0.0, {}) for i in range(2)] for s in range(5)]
    media = manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", classes=("x", "y"))
    found = manifest.load(make_set(tmp_path / "s", clips, media, splits=("train", "train", "val", "train", "train")))
    look = Look(classes={row: Counter(x=1, y=1) for row in range(5)})
    (train,) = mixed_classes(found, look)
    assert (train["split"], train["pictures"], train["shards"], train["of"]) == ("train", 8, 4, 4)
    assert [row["of"] for row in train["rows"]] == ["one shard", "a window of 4 shards", "the whole split"]
    assert [row["classes"] for row in train["rows"]] == ["more than were met", "2.3", "2.7"]
    pairs = list(itertools.combinations("xyxyxyxy", 2))
    assert train["rows"][1]["batch"] == pytest.approx(496 * sum(a == b for a, b in pairs) / len(pairs))
