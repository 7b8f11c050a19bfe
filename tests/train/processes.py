"""Runs under torchrun, as a user starts them."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path


def torchrun(script: Path, *arguments: str, processes: int, seconds: float) -> tuple[int, str]:
    """Exit code and standard error of `torchrun script arguments`; processes that wait for each other for so long are ended."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([*command, *arguments], stdout=errors, stderr=errors, env=environment, start_new_session=True)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            for child in _children(process.pid):  # torchrun gives each a session of its own
                os.kill(child, signal.SIGKILL)
            process.kill()
            process.wait()
        errors.seek(0)
        return process.returncode, errors.read()


def _children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
