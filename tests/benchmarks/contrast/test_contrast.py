"""The bench of contrastive learning, in small; and its dense probe on features that are known."""

import json
import signal

import numpy as np
import pytest
import torch

from benchmarks.contrast import material
from benchmarks.contrast.bench import Plan, chosen, contrast, markdown
from benchmarks.contrast.cells import cells, miou, probe, truth
from benchmarks.contrast.corners import corners
from benchmarks.contrast.material import Scenes, scenes
from benchmarks.contrast.pace import trained
from models.image import ImageEncoder
from tests.train.test_loop import stop_at
from train.log import VALIDATION, read_log
from train.objectives.densecl import DenseCL
from train.objectives.queue import KeyQueue
from train.recipe_file import load_recipe


class Told(torch.nn.Module):
    """An encoder whose cells say the class outright, as the red channel does in `painted`."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        red = torch.nn.functional.avg_pool2d(pictures[:, :1], 8)
        return torch.cat([(red - level / 255 / 0.229 + 0.485 / 0.229).square().neg().mul(1e3).exp() for level in (0, 50, 100)], 1)


def painted(seed: int, count: int = 20) -> Scenes:
    classes = np.random.default_rng(seed).integers(0, 3, (count, 4, 4), np.uint8).repeat(8, 1).repeat(8, 2)
    return Scenes(np.stack([50 * classes, 0 * classes, 0 * classes], 3), classes)


def test_the_probe_finds_what_cells_say():
    found = probe(Told(), painted(0), painted(1))
    assert found.miou == 1 and found.foreground == 1 and found.maps.shape == (20, 4, 4)


def test_the_probe_finds_nothing_where_nothing_is():
    blind = painted(1)
    shuffled = Scenes(blind.pictures, blind.classes[::-1].copy())
    found = probe(Told(), painted(0), shuffled)
    assert found.foreground < 0.5 and found.miou < 0.4


def test_the_class_of_a_cell_is_that_of_most_of_its_pixels():
    classes = np.zeros((1, 4, 4), np.uint8)
    classes[0, :2, 2:] = [[7, 7], [7, 0]]
    classes[0, 2:, :2] = [[3, 0], [3, 0]]  # as many of both: the lower one
    assert truth(classes, 2, 2).tolist() == [[[0, 7], [0, 0]]]


def test_miou_by_hand():
    right, told = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 3])
    assert miou(told, right) == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_cells_are_those_of_the_encoder():
    torch.manual_seed(0)
    encoder, some = ImageEncoder("resnet18").eval(), scenes(0, 3)
    found = cells(encoder, some.pictures, batch=2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = (torch.from_numpy(some.pictures).float() / 255 - mean) / std
    expected = encoder(given.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach()
    assert found.shape == (3, material.SIDE // 32, material.SIDE // 32, 512)
    assert np.allclose(found, expected.numpy(), atol=1e-4)
    assert set(np.unique(some.classes)) <= set(range(21)) and 0 in some.classes


@pytest.mark.parametrize("by", ["place", "content"])
def test_it_is_seen_whether_cells_go_by_their_place_or_by_what_they_show(by: str):
    """One number of a picture for each of four cells, in other places in the second view; or four numbers for four places."""
    torch.manual_seed(0)
    content = torch.randn(6, 8, 4)
    fixed = torch.randn(1, 8, 4).expand(6, -1, -1)
    first = (fixed if by == "place" else content).unflatten(2, (2, 2))
    second = first if by == "place" else first.flip(3)

    class Known(DenseCL):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.encoder, self.dense_head, self.key_encoder, self.key_dense_head = (torch.nn.Identity() for _ in range(4))
            self.key_head = torch.nn.Flatten()
            self.dense_queue = KeyQueue(4, 8)

    found = corners(Known(), [{"view0": first, "view1": second}])
    assert found["positive"] == pytest.approx(1, abs=1e-5)
    assert found["same_place"] == (1 if by == "place" else 0)
    assert found["elsewhere"] == pytest.approx(1, abs=1e-5) if by == "place" else abs(found["elsewhere"]) < 0.5
    assert abs(found["negative"]) < 0.5


def test_rows_bring_what_they_start_from():
    assert [row.name for row in chosen(("densecl-moco", "random"))] == ["random", "densecl", "densecl-moco"]
    with pytest.raises(ValueError, match="rows=mocco is not known; allowed: random, moco"):
        chosen(("mocco",))


def test_the_whole_bench_in_small(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.contrast.bench.LEARN", 12)
    monkeypatch.setattr("benchmarks.contrast.bench.JUDGE", 6)
    settings = (
        "optim.epochs=1",
        "compute_threads=1",
        "views.size=32",
        "views.progressive=[[0.5, 16]]",
        "views.blur=[0.1,1.0]",
        "contrast.queue=64",
        "optim.warmup_steps=1",
    )
    plan = Plan(tmp_path, pictures=160, rows=("random", "moco-densecl"), settings=settings)
    told: list[str] = []
    report = contrast(plan, told.append)
    assert [result["row"] for result in report["results"]] == ["random", "moco", "moco-densecl"]
    assert all(0 <= result[key] <= 1 for result in report["results"] for key in ("knn", "miou", "foreground"))
    assert report["above_random"]["random"] == 0
    (line,) = read_log(tmp_path / "seed-0" / "moco", VALIDATION)
    moco = next(result for result in report["results"] if result["row"] == "moco")
    assert line["knn"] == pytest.approx(moco["knn"])  # what it said while it learned is what its file says
    assert (tmp_path / "cells.png").read_bytes()[:4] == (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    table = markdown(report)
    assert table.count("\n") == 5 and "MoCo-v2, then DenseCL" in table

    again = contrast(plan, told.append)
    same = [json.dumps(result) for result in report["results"]]
    assert [json.dumps(result) for result in again["results"]] == same  # nothing was trained anew, not even the clock

    # the same run, stopped after its first step of two: both starts count; without the first, how long it took is not known
    recipe = load_recipe(tmp_path / "seed-0" / "moco" / "recipe.yaml", [f"run={tmp_path / 'stopped'}"])
    with pytest.raises(KeyboardInterrupt):
        stop_at(1, lambda: trained(recipe), signal.SIGINT, 130)
    file = tmp_path / "stopped" / "pace.json"
    (first,) = json.loads(file.read_text())
    whole = trained(recipe)
    assert whole["steps"] == moco["steps"] == 2 and first["clips"] == 64
    assert whole["minutes"] == sum(start["minutes"] for start in json.loads(file.read_text())) > first["minutes"]
    assert trained(recipe) == whole
    file.unlink()
    unknown = trained(recipe)
    assert unknown == {"minutes": None, "steps": 2, "clips_per_second": None, "waited": None}
    elsewhere = {name: figures for name, figures in report["table"]["moco"].items() if name != "minutes"}
    assert markdown({"table": {"moco": elsewhere}}).endswith("| – |\n")
