"""`make gpu-check` must run on an offline host with torch, the kit and pytest, and no more: the rest is hidden from it here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_check import _chosen, main

ROOT = Path(__file__).resolve().parent.parent.parent
NOT_THERE = ("hypothesis", "simplejpeg", "tensorboard", "matplotlib", "jinja2", "fsspec", "pandas", "sklearn", "cv2")
"""The kit carries pydantic, PyAV, soundfile, google_crc32c, webdataset and DALI (shared/gpu/pack.sh)."""

HIDDEN = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_THERE!r}))  # None: importing it fails
"""

RUN = f"""{HIDDEN}
sys.path.insert(0, {str(ROOT)!r})
import tempfile
from pathlib import Path
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
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "['decode', 'frames', 'loader', 'read', 'rotate', 'spectrogram'] 1", done.stderr
    assert "no usable GPU; nothing was checked" in done.stderr


def test_the_rehearsal_runs_on_what_a_gpu_host_has(tmp_path, monkeypatch):
    """The same code as on a GPU, in processes from which the same packages are hidden; the other parts have their own tests."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text(HIDDEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    monkeypatch.delenv("PART", raising=False)
    code = main(["--rehearse", f"--out={tmp_path}", "--part=loader,training,memory", "--limit=3000"])
    result = json.loads((tmp_path / "rehearsal-cpu.json").read_text())
    assert code == 0, {name: (part["error"], part.get("log")) for name, part in result["parts"].items()}
    assert result["rehearsal"] is True and {part["status"] for part in result["parts"].values()} == {"done"}
    assert result["parts"]["loader"]["found"]["equal maps"]["equal"]
    assert "A rehearsal on a CPU" in (tmp_path / "rehearsal-cpu.md").read_text()


def test_what_is_asked_for_runs_and_what_is_done_does_not_run_again():
    known = ["tests", "kernels", "loader"]
    assert _chosen("loader,tests", {}, known) == ["loader", "tests"]
    assert _chosen("", {"tests": "done", "kernels": "failed"}, known) == ["kernels", "loader"]
    assert _chosen("", dict.fromkeys(known, "done"), known) == known
    with pytest.raises(ValueError, match="PART=kernel is unknown; there are tests, kernels, loader"):
        _chosen("kernel", {}, known)


def test_wrong_words_are_a_sentence(tmp_path, capsys):
    assert main(["--rehearse", f"--out={tmp_path}", "--part=nothing"]) == 1
    assert main([f"--out={tmp_path}", "--report", str(tmp_path / "none.json")]) == 1
    assert main([f"--out={tmp_path}", "--report"]) == 1
    err = capsys.readouterr().err
    assert "PART=nothing is unknown" in err and "there are no results at" in err and "Traceback" not in err
