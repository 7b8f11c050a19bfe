"""What the objectives take for granted of the loader: how it turns, what is later, in which unit things move."""

import json
import tarfile

import pytest
import torch

from dataio import ClipLoader, ClipSpec
from train.fields import clip_spec
from train.objectives import OBJECTIVES
from train.objectives.base import unturned
from train.objectives.contrast import info_nce
from train.objectives.motion import DEGREES
from train.recipe import Recipe


def batch_of(folder, **spec) -> dict[str, torch.Tensor]:
    given = ClipSpec(size=(32, 64), sound_rate=16_000, sound_seconds=1.0, reach=8.0, **spec)
    with ClipLoader(str(folder), given, batch_size=12, seed=3, threads=1, split="train") as loader:
        return next(iter(loader))


@pytest.mark.parametrize("augment", [(), ("mirror",), ("turn", "mirror")])
@pytest.mark.parametrize("classes", [4, 8])
def test_unturned_gives_what_a_loader_without_yaw_gives(moving, augment, classes):
    pairs = ("front", "right", "back", "left")
    turned, plain = (
        batch_of(moving, frames=2, pairs=pairs, flow=True, mask=True, augment=augment, yaw_classes=yaw) for yaw in (classes, None)
    )
    assert torch.equal(turned["clip"], plain["clip"])
    assert torch.equal(turned["sound"], plain["sound"])  # sound is never turned by yaw
    assert len(turned["yaw"].unique()) > 2
    for name in ("frames", "flow", "mask"):
        assert not torch.equal(turned[name], plain[name])
        assert torch.equal(unturned(turned[name], turned, classes), plain[name]), name
        assert unturned(plain[name], plain, classes) is plain[name]


def starts_in_the_order_of_ids(folder) -> list[float]:
    """From the shards themselves, whatever an index says."""
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [json.load(tar.extractfile(member))["start"] for member in tar if member.name.endswith(".json")]
    return found


def test_a_gap_is_positive_where_the_second_slice_is_the_later_one(moving):
    """Windows as long as the clips, so that they begin where the clips do."""
    spec = ClipSpec(frames=0, pairs=("front",), sound_rate=16_000, sound_seconds=2.0, partner=True, reach=8.0)
    with ClipLoader(str(moving), spec, batch_size=12, seed=3, threads=1, split="train") as loader:
        batch = next(iter(loader))
    starts = torch.tensor(starts_in_the_order_of_ids(moving))
    seconds = starts[batch["partner"]] - starts[batch["clip"]]
    assert (seconds > 0).any() and (seconds < 0).any()
    assert torch.allclose(batch["gap"] * 8.0, seconds, atol=1e-5)
    assert batch["gap"].abs().max() <= 1


@pytest.mark.parametrize("task", ["foreground", "motion", "gap", "spatial"])
def test_a_batch_has_what_the_task_declares_and_no_picture_besides(moving, tasks, task):
    recipe = Recipe.model_validate(tasks | {"objective": {"name": task}})
    kind = OBJECTIVES[task]
    with ClipLoader(str(moving), clip_spec(recipe, kind.FIELDS), batch_size=4, threads=1, split="train") as loader:
        batch = next(iter(loader))
    assert set(kind.FIELDS) <= set(batch)
    assert {"frames", "flow", "mask", "labels"} & set(batch) == {"frames", "flow", "mask", "labels"} & set(kind.FIELDS)
    torch.manual_seed(0)
    objective = kind.from_recipe(recipe)
    loss, _ = objective(batch)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters())
    halves = {name: value.half() if name == "frames" else value for name, value in batch.items()}  # as on a GPU
    assert objective(halves)[0].isfinite()


def test_without_other_times_no_partner_is_read(tasks):
    recipe = Recipe.model_validate(tasks | {"objective": {"name": "motion", "negatives": ["batch"]}})
    objective = OBJECTIVES["motion"].from_recipe(recipe)
    assert objective.FIELDS == ("flow", "sound")
    assert not clip_spec(recipe, objective.FIELDS).partner
    assert OBJECTIVES["motion"].FIELDS == ("flow", "sound", "partner_sound")


@pytest.mark.parametrize("width", [64, 128])
def test_motion_is_the_same_for_any_size_of_picture(tasks, width):
    objective = OBJECTIVES["motion"].from_recipe(Recipe.model_validate(tasks | {"objective": {"name": "motion"}}))
    flow = torch.full((1, 2, width // 2, width), 10 * width / 360)  # 10 degrees of azimuth
    assert torch.allclose(objective.seen({"flow": flow}), torch.tensor(10 / DEGREES))


def test_info_nce_keeps_its_precision_under_autocast():
    torch.manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(16, 8), dim=1) for _ in range(2))
    exact = info_nce(a, b, torch.arange(16), 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert info_nce(a, b, torch.arange(16), 0.05).item() == exact.item()
