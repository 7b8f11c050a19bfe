"""`make gpu-check` must run on an offline host with torch, the kit and pytest, and no more: the rest is hidden from it here."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_THERE = ("hypothesis", "simplejpeg", "tensorboard", "matplotlib", "jinja2", "pydantic", "fsspec", "pandas", "sklearn")

HIDDEN = f"""
import sys, tempfile
from pathlib import Path
sys.modules.update(dict.fromkeys({NOT_THERE!r}))  # None: importing it fails
sys.path.insert(0, {str(ROOT)!r})
import benchmarks.loader.contenders_cuda, tests.gpu.test_gpu_loader, tests.gpu.test_gpu_rotate, dataio.stream.batch_cuda
from benchmarks.loader.stages import stages
from dataio.stream.spec import ClipSpec
from tests.shards import make_shards
with tempfile.TemporaryDirectory() as folder:
    shards = make_shards(Path(folder), recordings=2, seconds=4.0, split="train=1")
    spec = ClipSpec(frames=4, size=(32, 64))
    result = stages(shards, spec, batch_size=2, threads=1, rounds=1, seconds=0.05, say=lambda text: None)
from benchmarks.gpu_check import main
print(sorted(result["stages"]), main())
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the check itself would run")
def test_it_needs_nothing_that_a_gpu_host_lacks():
    done = subprocess.run([sys.executable, "-c", HIDDEN], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "['decode', 'frames', 'loader', 'read', 'rotate', 'spectrogram'] 1", done.stderr
    assert "no usable GPU; nothing was checked" in done.stderr
