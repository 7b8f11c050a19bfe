"""A run goes on with another number of processes: nothing of the epoch is lost or repeated, and queues are the same everywhere."""

import json
import shutil
from itertools import chain
from pathlib import Path

import yaml

from tests.train.processes import torchrun
from train.checkpoint import load_checkpoint
from train.log import read_log

SCRIPT = """
import json, os, signal, sys, zlib
from train.log import RunLog
from train.objectives.moco import MoCo
from train.recipe_file import load_recipe
from train.run import train

path, at = sys.argv[1], int(sys.argv[2])
seen, rank = [], os.environ["RANK"]
forward, note = MoCo.forward, RunLog.note
kept = []

def watched(self, batch):
    if self.training:
        seen.append(batch["clip"].tolist())
    kept[:] = [self]
    return forward(self, batch)

def stopping(self, step, *args, **kwargs):
    if step == at and rank == "0":
        os.kill(os.getpid(), signal.SIGTERM)
    note(self, step, *args, **kwargs)

MoCo.forward, RunLog.note = watched, stopping
result = train(load_recipe(path))
queue = zlib.crc32(kept[0].queue.keys.numpy().tobytes())
json.dump([seen, queue, result.step, result.total], open(f"{sys.argv[3]}.{rank}", "w"))
"""


def test_four_processes_then_two(pictures, tmp_path):
    """48 pictures, two for each of four processes; after the second step two processes go on, with two or with four each."""
    (script := tmp_path / "main.py").write_text(SCRIPT)
    settings = pictures | {"data": pictures["data"] | {"batch_size": 2}, "contrast": pictures["contrast"] | {"groups": 1}}

    def run(processes: int, at: int, **changes) -> list[list]:
        changed = settings | {"data": settings["data"] | changes}
        (path := tmp_path / "recipe.yaml").write_text(yaml.safe_dump(changed))
        ended, errors = torchrun(script, str(path), str(at), str(tmp_path / "seen"), processes=processes, seconds=900)
        assert ended == 0, errors
        return [json.loads(Path(f"{tmp_path}/seen.{rank}").read_text()) for rank in range(processes)]

    folder = Path(settings["run"])
    first = run(4, at=2)
    assert [(step, total) for _, _, step, total in first] == [(2, 6)] * 4
    shutil.copytree(folder, tmp_path / "stopped")
    for batch_size in (2, 4):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "stopped", folder)
        second = run(2, at=-1, batch_size=batch_size)
        steps = 48 // (2 * batch_size)
        assert [(step, total) for _, _, step, total in second] == [(steps, steps)] * 2

        delivered = [clip for runs in (first, second) for seen, *_ in runs for clip in chain.from_iterable(seen)]
        assert len(delivered) == 48 and len(set(delivered)) == 48
        for runs in (first, second):
            assert len({queue for _, queue, *_ in runs}) == 1  # it is not sent, and needs not be
        saved = load_checkpoint(folder)
        assert saved["schedule"]["last_epoch"] == steps and saved["joint"] == 2 * batch_size
        went_on = 4 if batch_size == 2 else 2  # sixteen pictures were seen
        assert [line["step"] for line in read_log(folder)] == [1, 2, *range(went_on + 1, steps + 1)]
