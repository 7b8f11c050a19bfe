"""The bench of the turning kernel, rehearsed on the CPU."""

import json

import torch

from benchmarks.gpu.rotate import measure


def test_rehearsal_runs_every_contender_and_is_json() -> None:
    found = json.loads(json.dumps(measure(torch.device("cpu"), rounds=1, small=True)))
    assert found["copy_gb_per_s"] > 0 and len(found["cases"]) == 3
    for case in found["cases"]:
        assert case["ms"] > 0 and case["torch_ms"] > 0 and case["share_of_copy"] > 0 and case["times_torch"] > 0
        assert case["dali_ms"] is None or case["dali_ms"] > 0
