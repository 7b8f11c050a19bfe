"""A build that is killed, at whatever moment, goes on where it was and ends in the same bytes, with nothing stray beside them."""

import contextlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from tests.media import make_sound, make_video, noise, numbered

OPTIONS = BuildOptions(EncodeOptions(size=(16, 32), rate=8000, fps=2.0), split="train=0.4,val=0.3,test=0.3", shard_bytes=100_000)
ACTS = {"open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.listdir"}  # what touches the output, as `sys.audit` calls it
# what a child need not import, for it is forked from a process that has
IMPORTS = ("av", "soundfile", "simplejpeg", "cv2", "typer", "rich.progress", "sonosphere", "dataio.ingest.build", __name__)


def contents(out: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with the bytes of the files, but for the report, which says whether the build was resumed."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() if path.is_file() else None for path in out.rglob("*")}
    return {name: None if name == "build.json" else data for name, data in found.items()}


def recordings(folder: Path, count: int, seconds: Callable[[int], float]) -> Path:
    """A source of short recordings."""
    folder.mkdir()
    for number in range(count):
        pictures = (numbered((40 * number + k) % 256, 32, 64) for k in range(round(seconds(number) * 10)))
        make_video(folder / f"r{number}.mp4", pictures, fps=10)
        make_sound(folder / f"r{number}.wav", noise(seconds(number), 8000, seed=number), 8000)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes | None]]:
    """Eight recordings in three groups, one of them refused, and what an undisturbed build makes of them."""
    folder = tmp_path_factory.mktemp("many")
    source = recordings(folder / "raw", 8, lambda number: 2.1 + 2 * (number % 3))
    (source / "r4.mp4").write_text("no video")
    report = build(source, folder / "shards", OPTIONS, local(1))
    assert len(report["splits"]) == 3 and report["shards"] > 6 and list(report["skipped"]) == ["r4"]
    return source, contents(folder / "shards")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes | None]]:
    """Two recordings in two groups; their names are those of files that a build itself keeps."""
    folder = tmp_path_factory.mktemp("few")
    source = recordings(folder / "raw", 2, lambda number: 2.1)
    for suffix in ("mp4", "wav"):
        (source / f"r0.{suffix}").rename(source / f"plan.{suffix}")
        (source / f"r1.{suffix}").rename(source / f"group-000000.{suffix}")
    report = build(source, folder / "shards", OPTIONS, local(1))
    assert len(report["splits"]) == report["shards"] == 2
    return source, contents(folder / "shards")


@pytest.fixture(scope="module")
def forked() -> Any:
    """Starts children that have everything imported, from a process without threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTS))
    return context.Process


def _build(source: Path, out: Path, last_act: int | None = None, told: Path | None = None) -> None:
    """The build of a child. last_act: number of the act on the output before which it is killed. told: where it counts them."""
    acts = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal acts
        if event in ACTS and args and str(args[0]).startswith(str(out)):
            if acts == last_act:
                os.kill(os.getpid(), signal.SIGKILL)
            acts += 1

    if last_act is not None or told:
        sys.addaudithook(hook)
    build(source, out, OPTIONS, local(1))
    if told:
        told.write_text(str(acts))


def test_killed_before_every_single_act(few, forked: Any, tmp_path: Path) -> None:
    """Every moment at which the output can differ, birth and publishing included, but for those within the write of a file."""
    source, expected = few
    child = forked(target=_build, args=(source, tmp_path / "whole", None, tmp_path / "acts"))
    child.start()
    child.join()
    acts = int((tmp_path / "acts").read_text())
    assert acts > 40
    for act in range(acts):
        out = tmp_path / f"killed before {act}"
        child = forked(target=_build, args=(source, out, act))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        build(source, out, OPTIONS, local(1))
        assert contents(out) == expected, f"killed before act {act} of {acts}"


def test_killed_twice_in_a_row_before_every_single_act(few, forked: Any, tmp_path: Path) -> None:
    """The second time while it goes on; the first time in the middle of the work."""
    source, expected = few
    chance = random.Random(5)
    for act in range(0, 45, 3):
        out = tmp_path / f"killed before {act}"
        for last in (chance.randrange(15, 45), act):
            child = forked(target=_build, args=(source, out, last))
            child.start()
            child.join()
        build(source, out, OPTIONS, local(1))
        assert contents(out) == expected, f"killed before act {act}"


def _moments(whole: float) -> Iterator[float]:
    """Delays, in seconds, without end: over the whole length of a build, within its birth, and within its end."""
    chance = random.Random(20)
    while True:
        yield from (chance.uniform(0, whole), chance.uniform(0, whole), chance.uniform(0, 0.02), whole - chance.uniform(0, 0.05))


def test_killed_at_any_moment(many, forked: Any, tmp_path: Path) -> None:
    source, expected = many
    times = []
    for i in range(3):
        begin = time.monotonic()
        child = forked(target=_build, args=(source, tmp_path / f"whole {i}"))
        child.start()
        child.join()
        times.append(time.monotonic() - begin)
    killed, left = 0, set()
    for i, delay in enumerate(_moments(min(times))):
        out = tmp_path / str(i)
        begin = time.monotonic()
        child = forked(target=_build, args=(source, out))
        child.start()
        time.sleep(max(0.0, begin + delay - time.monotonic()))
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL  # and has not ended by itself before
        left.add(len(contents(out)))
        build(source, out, OPTIONS, local(1))
        assert contents(out) == expected, f"killed after {delay:.4f} s of {min(times):.4f}"
        shutil.rmtree(out)
        if killed == 42:
            break
    assert len(left) > 3  # it was at different places; how many is up to the machine


def _arguments(source: Path, out: Path) -> list[str]:
    options = "--size 16x32 --rate 8000 --fps 2 --split train=0.4,val=0.3,test=0.3 --shard-bytes 100000"
    return ["sonosphere", "shards", "build", str(source), str(out), *options.split()]


def _command(source: Path, out: Path) -> None:
    """The command line with one worker, in a child."""
    import sonosphere

    sys.argv = _arguments(source, out)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sonosphere.main()


class _Command:
    """The command line with two workers, and a mark by which all its processes are found."""

    def __init__(self, source: Path, out: Path) -> None:
        self.mark, self.out = f"TEST_MARK={uuid.uuid4().hex}", out
        name, _, value = self.mark.partition("=")
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  no pipe: workers that stay would keep it open
        self.process = subprocess.Popen(
            [sys.executable, "-m", *_arguments(source, out), "--workers", "2"],
            env=os.environ | {name: value},
            stdout=subprocess.DEVNULL,
            stderr=self._said,
        )

    def begun(self) -> "_Command":
        """Wait until the work has begun."""
        while self.process.poll() is None and not (self.out / ".build" / "plan.json").exists():
            time.sleep(0.002)
        return self

    def ended(self) -> tuple[int, list[str]]:
        """Wait for its end: exit status, and the lines on standard error."""
        status = self.process.wait(600)
        self._said.seek(0)
        with self._said as said:
            return status, said.read().splitlines()

    def processes(self) -> dict[int, str]:
        """Its processes that are alive now: id → command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                alive = entry.name.isdecimal() and self.mark.encode() in (entry / "environ").read_bytes().split(b"\0")
                if alive and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    found[int(entry.name)] = (entry / "cmdline").read_text()
            except OSError:  # it has ended meanwhile
                continue
        return found

    def left_over(self) -> dict[int, str]:
        """Those that are still alive a few seconds after the main process has ended; they are ended now."""
        deadline = time.monotonic() + 60
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left


@pytest.fixture(scope="module")
def commanded(many, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes | None], float]:
    """The source, what the undisturbed command makes of it, and in how many seconds from the beginning of the work."""
    source, expected = many
    command = _Command(source, tmp_path_factory.mktemp("commanded") / "shards").begun()
    begin = time.monotonic()
    assert command.ended()[0] == 0
    length = time.monotonic() - begin
    made = contents(command.out)
    assert {name: data for name, data in made.items() if data != expected[name]}.keys() <= {"manifest.npz"}  # options as given
    return source, made, length


def _resumed(forked: Any, source: Path, out: Path) -> dict[str, bytes | None]:
    child = forked(target=_command, args=(source, out))
    child.start()
    child.join()
    assert child.exitcode == 0
    return contents(out)


def test_the_command_killed_at_any_moment_leaves_no_worker_behind(commanded, forked: Any, tmp_path: Path) -> None:
    source, expected, length = commanded
    chance, killed, had_workers = random.Random(8), 0, 0
    while killed < 8 or (had_workers < 3 and killed < 60):
        command = _Command(source, tmp_path / str(killed)).begun()
        time.sleep(chance.uniform(0, length))
        workers = sum("spawn_main" in line for line in command.processes().values())
        os.kill(command.process.pid, signal.SIGKILL)  # the main process alone, not its group
        status, _ = command.ended()
        assert not command.left_over()
        if status != -signal.SIGKILL:  # it had ended by itself
            shutil.rmtree(command.out)
            continue
        killed, had_workers = killed + 1, had_workers + (workers == 2)
        assert _resumed(forked, source, command.out) == expected
    assert had_workers > 2


@pytest.mark.parametrize(("started", "which"), [(1, 0), (2, 0), (2, 1)])
def test_a_killed_worker_is_an_error_in_one_sentence_and_the_same_command_goes_on(
    commanded, forked: Any, tmp_path: Path, started: int, which: int
) -> None:
    """Also one that is killed while the next is being started."""
    source, expected, _ = commanded
    command = _Command(source, tmp_path / "shards").begun()
    workers: list[int] = []
    while command.process.poll() is None and len(workers) < started:
        workers = [pid for pid, line in command.processes().items() if "spawn_main" in line]
        time.sleep(0.001)
    os.kill(workers[which], signal.SIGKILL)
    status, (said,) = command.ended()
    head, names, tail = said.split("; ")
    assert (status, head) == (1, "sonosphere: a worker process died: it was killed, ran out of memory, or crashed")
    assert re.fullmatch(r"under way: r\d(, r\d){0,3}", names)
    assert tail == "what is finished stays, and the same command goes on"
    assert not command.left_over()
    assert _resumed(forked, source, command.out) == expected


def _shim(folder: Path, body: str) -> dict[str, str]:
    """An environment whose Python processes run this when they begin to encode a unit called `name`."""
    (folder / "sitecustomize.py").write_text(CRASHING.format(body=body))
    return {"PYTHONPATH": f"{folder}:{Path.cwd()}"}


CRASHING = """
import importlib.abc, importlib.util, os, signal, sys, time
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "dataio.ingest.encode.recording":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module
        def load(module):
            run(module)
            encode = module.encode
            def crash(unit, *args, **more):
                name = unit.name
                {body}
                return encode(unit, *args, **more)
            module.encode = crash
        spec.loader.exec_module = load
        return spec
sys.meta_path.insert(0, Finder())
"""


def _ended(source: Path, out: Path, environment: dict[str, str], *more: str) -> tuple[int, str]:
    command = [sys.executable, "-m", *_arguments(source, out), "--workers", "2", *more]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=600)
    return done.returncode, done.stderr.strip()


def test_a_recording_that_kills_its_worker_twice_is_left_out_by_name(commanded, tmp_path: Path) -> None:
    source, expected, _ = commanded
    environment, out = _shim(tmp_path, "name == 'r3' and os.kill(os.getpid(), signal.SIGSEGV)"), tmp_path / "shards"
    status, said = _ended(source, out, environment)
    assert status == 1 and re.search(r"; under way: r\d(, r\d)*; what is finished stays", said) and "r3" in said
    status, said = _ended(source, out, environment)  # now it is alone
    assert status == 1 and "; under way: r3; what is finished stays" in said
    reason = "r3: a worker process died at it twice: it crashed, ran out of memory, or was killed"
    status, said = _ended(source, out, environment, "--strict")
    assert status == 1 and said.startswith("sonosphere: --strict: r3 would be skipped")
    status, said = _ended(source, out, environment)
    assert status == 0 and f"skipped r3: {reason}" in said.splitlines()
    assert not (out / ".build").exists()
    assert contents(out).keys() <= expected.keys()


def test_a_main_process_that_is_killed_blames_no_recording(commanded, tmp_path: Path) -> None:
    source, expected, _ = commanded
    environment, out = _shim(tmp_path, "os.kill(os.getppid(), signal.SIGKILL); time.sleep(60)"), tmp_path / "shards"
    for _ in range(3):
        assert _ended(source, out, environment)[0] == -signal.SIGKILL
        assert not list(out.glob(".build/*.died"))
    assert _ended(source, out, {})[0] == 0
    assert contents(out) == expected
