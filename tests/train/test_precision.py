"""Which numbers `auto` means."""

import pytest
import torch

from train import precision
from train.precision import resolved

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["fp32", "bf16", "fp16"])
def test_what_is_asked_for_is_done(asked):
    assert resolved(asked, CPU) == asked


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 sse", "bf16"),
        ("flags : fpu amx_bf16", "bf16"),
        ("Features\t: fp asimd bf16 i8mm", "bf16"),
        ("flags : fpu avx2 avx512f", "fp32"),
        ("bugs : bf16", "fp32"),
    ],
)
def test_a_processor_that_multiplies_bf16_gets_it(line, found, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\n{line}\nbogomips : 5\n")
    read = precision._features
    monkeypatch.setattr(precision, "_features", lambda: read(path))
    assert resolved("auto", CPU) == found


def test_where_nothing_is_known_it_is_single_precision(tmp_path, monkeypatch):
    read = precision._features
    monkeypatch.setattr(precision, "_features", lambda: read(tmp_path / "none"))
    assert resolved("auto", CPU) == "fp32"


@pytest.mark.gpu
def test_a_gpu_that_has_it_gets_it():
    expected = "bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp32"
    assert resolved("auto", torch.device("cuda")) == expected
