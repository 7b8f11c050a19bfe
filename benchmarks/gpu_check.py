"""`make gpu-check`: the tests marked `gpu` and the stage bench on a GPU, from a checkout, offline, without installing the project.

Writes `gpu-check.json` into $OUT (here by default). Exit status 0 only if the tests ran, passed, and the bench finished.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run both, print a short table, write the JSON."""
    try:
        import torch
    except ImportError:
        print("gpu-check: this Python has no torch; name one that has it: make gpu-check PYTHON=…", file=sys.stderr)
        return 1
    if not torch.cuda.is_available():
        print("gpu-check: this machine has no usable GPU; nothing was checked", file=sys.stderr)
        return 1
    root = Path(__file__).resolve().parent.parent
    tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/gpu"], cwd=root).returncode
    from benchmarks.loader.stages import stages
    from benchmarks.standard import standard_set
    from dataio.format.clip import PAIRS
    from dataio.stream.spec import ClipSpec

    results = []
    with tempfile.TemporaryDirectory() as folder:
        shards = standard_set(Path(folder), recordings=16)
        for pairs in (("front",), PAIRS):
            spec = ClipSpec(pairs=pairs, yaw_classes=4)
            threads = len(os.sched_getaffinity(0))
            results.append(stages(shards, spec, batch_size=64, threads=threads, rounds=5, device="cuda", say=lambda text: None))
    for result in results:
        rates = f"ceiling {result['ceiling']:.0f}, loader {result['loader']:.0f} clips/s ({result['share']:.0%})"
        print(f"{len(result['spec']['pairs'])} pair(s): {rates}")
        for stage, name in result["fastest"].items():
            print(f"  {stage:12} {name:44} {result['stages'][stage][name]['median']:10.0f} clips/s")
    target = Path(os.environ.get("OUT", ".")) / "gpu-check.json"
    target.write_text(json.dumps({"tests_passed": tests == 0, "benches": results}, indent=1) + "\n")
    print(f"written: {target.name}; tests {'passed' if tests == 0 else 'FAILED'}")
    return 0 if tests == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
