"""Every task and method on real shards: they train, stop, go on, and say what is wrong."""

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from train.checkpoint import load_checkpoint
from train.encoder_file import load_encoder, save_encoder
from train.log import RunLog, read_log
from train.methods import METHODS, UNTAUGHT, Combining, taught
from train.methods.contrastive import Contrastive
from train.methods.distil import Distillation
from train.methods.euclidean import Euclidean
from train.methods.incremental import Keeping
from train.methods.multitask import Joint
from train.modality import SOUND
from train.objectives.base import Objective
from train.recipe import Recipe
from train.recipe_file import load_recipe
from train.run import train

ALL = ["foreground", "spatial", "motion", "gap"]


def named(settings: dict, name: str, run: Path | None = None, /, **method) -> Recipe:
    method = {"name": name, "tasks": ["gap", "spatial"], "adapter": 2} | method
    return Recipe.model_validate(settings | {"method": method} | ({"run": str(run)} if run else {}))


@pytest.fixture
def teachers(tasks, tmp_path) -> dict[str, str]:
    """Run folders of untrained teachers."""
    folders = {}
    for seed, name in enumerate(ALL):
        torch.manual_seed(seed)
        (folder := tmp_path / f"teacher-{name}").mkdir()
        save_encoder(folder, SOUND.untrained(Recipe.model_validate(tasks)))
        folders[name] = str(folder)
    return folders


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_encoder(folder).state_dict()


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("task", ALL)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_task_trains(tasks, task, precision):
    recipe = Recipe.model_validate(tasks | {"objective": {"name": task}, "precision": precision})
    assert train(recipe).step == 2
    assert all(line["loss"] > 0 for line in read_log(recipe.run))


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("random", "concatenate")])
def test_every_method_trains_in_bf16(tasks, teachers, method):
    recipe = named(tasks | {"precision": "bf16"}, method, teachers=teachers, tasks=["gap", "spatial", "motion"])
    result = train(recipe)
    assert (result.step, result.exit_code) == ({"progressive": 4, "incremental": 4}.get(method, 2), 0)
    features = load_encoder(recipe.run)(torch.randn(2, 2, 257, 101))
    assert features.isfinite().all()


def test_concatenated_features_are_the_teachers_side_by_side(tasks, teachers):
    recipe = named(tasks, "concatenate", teachers=teachers, tasks=["motion", "gap"])
    assert train(recipe).step == 0
    sound = torch.randn(2, 2, 257, 101)
    expected = torch.cat([load_encoder(teachers[name])(sound) for name in ("motion", "gap")], dim=1)
    assert torch.equal(load_encoder(recipe.run)(sound), expected)


def test_random_differs_by_seed_and_comes_again(tasks, tmp_path):
    runs = {}
    for run, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = train(named(tasks | {"seed": seed}, "random", tmp_path / run))
        assert (result.step, result.exit_code) == (0, 0)
        runs[run] = state(tmp_path / run)
    assert same(runs["a"], runs["b"])
    assert not same(runs["a"], runs["c"])


def stop_after(calls: int, run) -> int:
    """Call `run`, sending ourselves SIGTERM in the step of this number, over all stages; its exit code."""
    original, seen = RunLog.note, [0]

    def note(self, *args, **kwargs):
        seen[0] += 1
        if seen[0] == calls:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, *args, **kwargs)

    RunLog.note = note
    try:
        return run().exit_code
    finally:
        RunLog.note = original


@pytest.mark.parametrize("method", ["incremental", "progressive", "contrastive"])
def test_a_run_of_stages_goes_on_bit_identically(tasks, tmp_path, method):
    """Stopped in the middle of its first stage, and then as that ends; teachers are trained first."""
    straight, broken = (named(tasks, method, tmp_path / name) for name in ("straight", "broken"))
    assert train(straight).exit_code == 0
    for calls in (1, 1):
        assert stop_after(calls, lambda: train(broken)) == 143
        assert not (broken.run / "encoder.pt").exists()
    assert train(broken).exit_code == 0
    assert same(state(straight.run), state(broken.run))
    for stage in straight.run.glob("*/metrics.jsonl"):
        there = broken.run / stage.parent.name
        assert [line["loss"] for line in read_log(there)] == [line["loss"] for line in read_log(stage.parent)]


def test_a_finished_stage_is_not_trained_again(tasks):
    recipe = named(tasks, "incremental")
    train(recipe)
    before = {path: path.stat().st_mtime_ns for path in recipe.run.glob("*/checkpoint.pt")}
    assert {path.parent.name for path in before} >= {"single-gap", "2-spatial"}
    shutil.rmtree(recipe.run / "2-spatial")
    train(recipe)
    assert (recipe.run / "single-gap/checkpoint.pt").stat().st_mtime_ns == before[recipe.run / "single-gap/checkpoint.pt"]


def test_incremental_keeps_the_order_of_its_tasks(tasks, teachers):
    recipe = named(tasks, "incremental", teachers=teachers, tasks=["motion", "gap", "spatial"])
    train(recipe)
    assert sorted(path.parent.name for path in recipe.run.glob("*/checkpoint.pt")) == ["2-gap", "3-spatial"]
    first, second = (load_checkpoint(recipe.run / stage)["model"] for stage in ("2-gap", "3-spatial"))
    for name, value in state(Path(teachers["motion"])).items():
        assert torch.equal(first[f"old.encoder.{name}"], value)
        assert torch.equal(second[f"old.encoder.{name}"], first[f"encoder.{name}"])
    assert same({n: second[f"encoder.{n}"] for n in state(recipe.run)}, state(recipe.run))


def test_progressive_columns_keep_what_they_have_learned(tasks, teachers):
    recipe = named(tasks, "progressive", teachers=teachers, tasks=["motion", "gap", "spatial"])
    train(recipe)
    last, teacher = state(recipe.run), state(Path(teachers["motion"]))
    assert all(torch.equal(last[f"columns.0.{name}"], value) for name, value in teacher.items())
    middle = load_checkpoint(recipe.run / "2-gap")["model"]
    assert all(
        torch.equal(last[name], middle[f"encoder.{name}"]) for name in last if name.startswith(("columns.1.", "laterals.1."))
    )


def test_who_needs_which_teachers(tasks):
    found = {name: taught(named(tasks, name, tasks=["gap", "spatial", "motion"]).method) for name in METHODS}
    every, first = ("gap", "spatial", "motion"), ("gap",)
    assert found == {
        "concatenate": every,
        "euclidean": every,
        "contrastive": every,
        "progressive": first,
        "incremental": first,
    } | dict.fromkeys(UNTAUGHT, ())


def test_a_missing_teacher_is_one_sentence(tasks, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/encoder\.pt is not there: the run has not ended, or .* is no run folder"):
        train(named(tasks, "concatenate", teachers={"gap": str(tmp_path / "nowhere")}))


@pytest.mark.parametrize("method", ["concatenate", "euclidean", "contrastive", "incremental", "progressive"])
def test_a_teacher_with_other_ears_is_one_sentence(tasks, tmp_path, method):
    other = Recipe.model_validate(tasks | {"data": tasks["data"] | {"pairs": ["front", "back"]}})
    save_encoder(tmp_path, SOUND.untrained(other))
    folder = {name: str(tmp_path) for name in ("gap", "spatial")}
    with pytest.raises(ValueError, match=r"the teacher of 'gap' hears 4 ears; data\.pairs=\['front'\] gives 2"):
        train(named(tasks, method, teachers=folder))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("concatenate", "the encoders give maps of different sizes"),
        ("euclidean", "the teacher of 'spatial' gives maps of 32x6 and the student of 16x3: the settings of `model`"),
        ("contrastive", "the teacher of 'spatial' gives maps of 32x6 and the student of 16x3: the settings of `model`"),
    ],
)
def test_a_teacher_of_another_shape_is_one_sentence(tasks, teachers, tmp_path, method, message):
    save_encoder(tmp_path, SOUND.untrained(Recipe.model_validate(tasks | {"model": tasks["model"] | {"sound_depth": 3}})))
    with pytest.raises(ValueError, match=message):
        train(named(tasks, method, teachers=teachers | {"spatial": str(tmp_path)}))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method.nmae=joint", "unknown key 'method.nmae'.*did you mean 'name'"),
        ("method.name=jiont", "method.name in the command line: .*'multitask'.*not 'jiont'"),
        ("method.tasks=[gap, smell]", "method.tasks in the command line: .*'foreground'.*not 'smell'"),
        ("method.tasks=[gap, gap]", r"tasks=\['gap', 'gap'\] must name one or more tasks, each once"),
        ("objective.name=gpa", "objective.name in the command line: .*'gap'.*not 'gpa'"),
    ],
)
def test_what_is_misspelt_fails_before_anything_is_read(setting, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("sound-laptop", [setting])


def test_weights_of_a_task_that_is_not_learned(tasks):
    with pytest.raises(ValueError, match=r"method\.weights names motion, but method\.tasks=\['gap', 'spatial'\]"):
        train(named(tasks, "multitask", weights={"motion": 2.0}))


def test_negatives_without_the_batch(tasks):
    recipe = Recipe.model_validate(tasks | {"objective": {"name": "motion", "negatives": ["time"]}})
    with pytest.raises(ValueError, match=r"objective\.negatives=\['time'\] must hold 'batch'"):
        train(recipe)


# ---- what the methods' losses are


def sounds(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 2, 257, 101, generator=torch.Generator().manual_seed(seed)) * 3 - 5


def encoder(recipe: Recipe, seed: int, *, seen: bool = True):
    """An encoder whose batch norm has seen something."""
    torch.manual_seed(seed)
    made = SOUND.untrained(recipe)
    if seen:
        with torch.no_grad():
            made.train()(sounds(8, seed))
    return made


class Quiet(Objective):
    """A task that asks nothing, but moves batch norm as any does."""

    FIELDS = ("sound",)

    def __init__(self, sound) -> None:
        super().__init__(None, sound)

    def forward(self, batch):
        return 0 * self.encoder(batch["sound"]).sum(), {}


def test_nothing_is_moved_at_the_start_and_it_grows(tasks):
    from copy import deepcopy

    recipe = Recipe.model_validate(tasks)
    old = encoder(recipe, 1)
    new = deepcopy(old)
    keeping = Keeping(Quiet(new), old, 3.0).train()
    loss, metrics = keeping({"sound": sounds()})
    assert metrics["moved"].item() == 0 == loss.item()
    loss.backward()
    assert all(not p.grad.any() for p in new.parameters())
    assert all(p.grad is None for p in old.parameters())
    assert new.training and not old.training
    last = 0.0
    start = [p.detach().clone() for p in new.parameters()]
    statistics = {name: value.clone() for name, value in old.named_buffers()}
    for size in (0.01, 0.1, 0.5):
        with torch.no_grad():
            for p, s in zip(new.parameters(), start, strict=True):
                p.copy_(s + size * torch.sign(s))
        new.load_state_dict(statistics, strict=False)
        loss, metrics = keeping({"sound": sounds()})
        assert loss.item() == pytest.approx(3 * metrics["moved"].item())
        assert metrics["moved"].item() > last
        last = metrics["moved"].item()


def test_joint_is_the_weighted_sum_and_asks_for_every_field(tasks):
    class Says(Objective):
        def __init__(self, value: float, *fields: str) -> None:
            super().__init__(None, torch.nn.Identity())
            self.value, self.FIELDS = value, fields

        def forward(self, batch):
            return torch.tensor(self.value), {}

    joint = Joint({"a": Says(2.0, "sound", "yaw"), "b": Says(5.0, "flow", "sound")}, {"b": 0.5})
    loss, metrics = joint({})
    assert (loss.item(), joint.FIELDS) == (2.0 + 0.5 * 5.0, ("sound", "yaw", "flow"))
    assert {name: value.item() for name, value in metrics.items()} == {"loss_a": 2.0, "loss_b": 5.0}


def by_loops_euclidean(student: torch.Tensor, teacher: torch.Tensor) -> float:
    s, t = student.flatten().tolist(), teacher.flatten().tolist()
    mean = sum(t) / len(t)
    variance = sum((x - mean) ** 2 for x in t) / len(t)
    return sum((x - y) ** 2 for x, y in zip(s, t, strict=True)) / len(t) / variance


def test_the_euclidean_distance_is_that_of_a_loop():
    draw = torch.Generator().manual_seed(3)
    student, teacher = (torch.randn(3, 4, 2, 5, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(2))
    found = Euclidean.distance(None, student, teacher)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(by_loops_euclidean(student, teacher), abs=1e-10)
    assert torch.autograd.gradcheck(lambda s: Euclidean.distance(None, s, teacher.detach()), (student,))
    assert Euclidean.distance(None, teacher, teacher).item() == 0


@pytest.mark.parametrize("kind", [Euclidean, Contrastive])
def test_teachers_never_change_and_students_do(tasks, kind):
    recipe = Recipe.model_validate(tasks)
    teacher, student = encoder(recipe, 1), encoder(recipe, 2, seen=False)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    began = {name: value.clone() for name, value in student.state_dict().items()}
    objective: Distillation = kind(SOUND, student, {"gap": teacher}, *([0.1] if kind is Contrastive else [])).train()
    optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], lr=0.01)
    losses = []
    for _ in range(6):
        loss, metrics = objective({"sound": sounds()})
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in objective.parameters() if p.requires_grad)
        optimizer.step()
        losses.append(loss.item())
    assert same(before, teacher.state_dict())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert not same(began, student.state_dict())
    assert losses[-1] < losses[0]
    assert metrics["distance_gap"].item() == pytest.approx(losses[-1])


def test_a_student_starts_elsewhere_than_its_teacher(tasks, teachers):
    recipe = named(tasks, "euclidean", teachers=teachers)
    seen = {}

    def learn(stage, make):
        torch.manual_seed(recipe.seed)
        seen[stage] = objective = make()
        return objective

    given = Combining(recipe, {name: load_encoder(teachers[name]) for name in recipe.method.tasks}, learn)
    student = METHODS["euclidean"](given)
    assert list(seen) == ["student"]
    assert all(not torch.equal(student.layers[0][0].weight, t.layers[0][0].weight) for t in given.teachers.values())
