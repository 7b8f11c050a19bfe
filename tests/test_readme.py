"""Everything that the README shows is run: its commands in the order of the page, its program on the shards that they built."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The folder in which every command of the README was run, and what each printed."""
    folder = tmp_path_factory.mktemp("readme")
    printed = {}
    for line in "\n".join(blocks("bash")).splitlines():
        words = line.partition("#")[0].split()
        assert words[0] == "sonosphere", line
        printed[" ".join(words[1:3])] = run([sys.executable, "-m", *words], folder)
    return folder, printed


def test_commands(followed):
    folder, printed = followed
    assert len(printed) == 8
    assert "everything is right" in printed["shards verify"]
    assert "64 clips" in printed["shards build"] and "0 skipped" in printed["shards build"]
    assert (folder / "shards-inspect.html").is_file()
    assert (folder / "runs/spatial/checkpoint.pt").is_file()
    assert "accuracy" in printed["evaluate runs/spatial"]
    assert re.search(r"ceiling \d+ clips/s .*; loader \d+: \d+%", printed["bench stages"])


def test_program(followed):
    (program,) = blocks("python")
    printed = run(
        [sys.executable, "-c", program + "\nprint(tuple(frames.shape), tuple(sound.shape), tuple(yaw.shape))"], followed[0]
    )
    assert "(8, 3, 8, 256, 512) (8, 4, 257, 601) (8,)" in printed
    assert "the consumer wait" in printed or "the consumer sets the pace" in printed


def test_the_shard_set_it_describes(followed):
    described = re.findall(r"shards/(\S+)", README.partition("## A shard set")[2].partition("##")[0])
    assert len(described) == 5
    assert all((followed[0] / "shards" / name).is_file() for name in described)


def test_make_targets_exist():
    for target in ("demo", "test", "env", "lint", "gpu-check"):
        assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True).returncode == 0


def test_the_house_it_describes():
    rooms = re.findall(r"^    (\S+)", README.partition("## The house")[2], re.MULTILINE)
    assert all((ROOT / room).exists() for room in rooms)


def test_pictures_and_links_exist():
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links if "://" not in link)
