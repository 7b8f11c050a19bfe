"""What goes wrong around a build: a sentence on standard error, exit status 1, nothing lost, and nothing of the user's touched."""

import contextlib
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataio.format import manifest
from dataio.ingest import deal
from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.material import survey
from dataio.ingest.sources import SourceError
from tests.media import make_sound, make_video, noise, numbered

IMPORTS = ("av", "soundfile", "simplejpeg", "cv2", "typer", "rich.progress", "sonosphere", "dataio.ingest.build", __name__)
OPTIONS = BuildOptions(EncodeOptions(size=(16, 32), rate=8000, fps=2.0), split="train=0.5,val=0.5", shard_bytes=100_000)
FLAGS = ["--size", "16x32", "--rate", "8000", "--fps", "2", "--split", "train=0.5,val=0.5", "--shard-bytes", "100000"]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, or mount a disk")


@dataclass(frozen=True)
class Ended:
    """A command that has ended. said: the lines on standard error."""

    status: int
    said: list[str]
    printed: str


def _main(arguments: list[str], told: Path, user: int | None) -> None:
    """The command line, in a child that has everything imported."""
    import sonosphere

    if user is not None:  # who may not be allowed to read our packages: after one run all are imported
        sys.argv = ["sonosphere", *arguments[:3], str(told / "first"), *FLAGS]
        with contextlib.suppress(SystemExit):
            sonosphere.main()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(told / name, os.O_WRONLY | os.O_CREAT), number)
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    sys.argv = ["sonosphere", *arguments]
    sonosphere.main()


def _start(source: Path, out: Path | str, *more: str, user: int | None = None) -> Callable[[], Ended]:
    """Begin a build by the command line; the result waits for its end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTS))
    told = Path(tempfile.mkdtemp())
    arguments = ["shards", "build", str(source), str(out), *FLAGS, *more]
    child = context.Process(target=_main, args=(arguments, told, user))
    child.start()

    def ended() -> Ended:
        child.join(600)
        hangs = child.is_alive()
        child.kill()
        assert not hangs, "it hangs"
        result = Ended(child.exitcode or 0, (told / "err").read_text().splitlines(), (told / "out").read_text())
        shutil.rmtree(told)
        return result

    return ended


def run(source: Path, out: Path | str, *more: str, user: int | None = None) -> Ended:
    return _start(source, out, *more, user=user)()


def fails(ended: Ended, *parts: str) -> None:
    """It ended with status 1 and one sentence, in which these parts stand."""
    assert ended.status == 1, ended
    assert len(ended.said) == 1 and ended.said[0].startswith("sonosphere: "), ended.said
    assert all(part in ended.said[0] for part in parts), ended.said[0]


def tree(folder: Path) -> dict[str, Any]:
    """Everything below a folder: bytes of files, targets of links, kinds of the rest, and when each was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[path.relative_to(folder).as_posix()] = facts.st_mode, facts.st_mtime_ns if content else 0, content
    return found


def contents(out: Path) -> dict[str, bytes | None]:
    """Everything below a folder but the report, which says whether the build was resumed."""
    found = {path.relative_to(out).as_posix(): path.read_bytes() if path.is_file() else None for path in out.rglob("*")}
    return {name: data for name, data in found.items() if name != "build.json"}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may enter."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six recordings of two clips each."""
    raw = tmp_path_factory.mktemp("pristine") / "raw"
    raw.mkdir()
    for number in range(6):
        make_video(raw / f"r{number}.mp4", (numbered((40 * number + k) % 256, 32, 64) for k in range(43)), fps=10)
        make_sound(raw / f"r{number}.wav", noise(4.3, 8000, seed=number), 8000)
    return raw


@pytest.fixture(scope="module")
def expected(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | None]:
    """What the undisturbed command makes of them."""
    out = tmp_path_factory.mktemp("expected") / "shards"
    ended = run(pristine, out)
    assert (ended.status, ended.said) == (0, [])
    return contents(out)


@pytest.fixture
def source(pristine: Path, folder: Path) -> Iterator[Path]:
    """A copy of them, which is as it was when the test has ended, wherever the test has moved it."""
    raw = shutil.copytree(pristine, folder / "raw")
    before = tree(raw)
    yield raw
    assert {name: facts for name, facts in tree(raw).items() if name in before} == before


@contextlib.contextmanager
def _disk(place: Path, kib: int) -> Iterator[Path]:
    """A disk of its own with so much room."""
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@as_root
def test_a_full_disk_at_any_stage_and_the_same_command_goes_on_when_there_is_room(source: Path, folder: Path, expected) -> None:
    whole = sum(len(data) for data in expected.values() if data) // 1024
    with _disk(folder / "disk", 8) as disk:
        out = disk / "shards"
        for kib in (8, 32, whole // 3, whole * 2 // 3, whole, whole * 5 // 4):
            subprocess.run(["mount", "-o", f"remount,size={kib}k", str(disk)], check=True)
            fails(run(source, out), "No space left on device", str(out))
            assert not (out / manifest.FILE).exists()
            assert not list(out.rglob(".*.tmp"))
        kept = {path.name: path.stat().st_mtime_ns for path in out.rglob("*.unit")}
        assert kept
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        ended = run(source, out)
        assert (ended.status, ended.said) == (0, [])
        assert contents(out) == expected


@as_root
def test_a_folder_that_may_not_be_written_to(source: Path, folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o755)
    fails(run(source, folder / "locked" / "shards", user=NOBODY), "Permission denied", str(folder / "locked" / "shards"))
    fails(run(source, folder / "locked", user=NOBODY), "Permission denied", str(folder / "locked"))
    assert not list((folder / "locked").iterdir())


@as_root
@pytest.mark.parametrize("name", ["r3.mp4", "r3.wav", "sub"])
def test_what_may_not_be_read_stops_the_build_before_it_begins(source: Path, folder: Path, name: str) -> None:
    """It may be a good recording: the set would lack it for no fault of its own."""
    (source / "sub").mkdir()
    (folder / "out").mkdir()
    os.chown(folder / "out", NOBODY, NOBODY)
    before = (source / name).stat().st_mode
    (source / name).chmod(0)
    fails(run(source, folder / "out" / "shards", user=NOBODY), str(source / name), "read")
    assert not list((folder / "out").iterdir())
    (source / name).chmod(before)
    assert run(source, folder / "out" / "shards", user=NOBODY).status == 0


@as_root
def test_what_only_root_may_read_on_every_disk_does_not_matter(source: Path, folder: Path) -> None:
    for name in ("lost+found", ".Trash-0"):
        (source / name).mkdir(mode=0)
    (folder / "out").mkdir()
    os.chown(folder / "out", NOBODY, NOBODY)
    assert run(source, folder / "out" / "shards", user=NOBODY).status == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("gone", ["", ".mp4", ".wav"])
def test_a_source_that_disappears_half_way_is_not_a_set_without_it(
    source: Path, folder: Path, expected, workers: int, gone: str
) -> None:
    out, aside = folder / "shards", folder / "aside"
    # the last to be handed out: with six recordings and two workers, not before the first has ended
    shares = deal.parse_shares(OPTIONS.split)
    material = survey(source, OPTIONS, shares)
    _, names = deal.groups(material.splits(shares))[-1]
    last = max(names, key=lambda name: (-material.weights[name], name))
    gone = gone and f"{last}{gone}"

    def rename(progress: Progress) -> None:
        if progress.done and not aside.exists():
            (source / gone).rename(aside)

    with pytest.raises(OSError, match=r"raw/r\d\.(mp4|wav) has disappeared during the build; what is finished stays"):
        build(source, out, OPTIONS, local(workers), rename)
    assert not (out / manifest.FILE).exists()
    assert list((out / ".build").glob("*.unit")) + list((out / ".build").glob("group-*.json"))
    if not gone:
        fails(run(source, out), "raw does not exist")
    aside.rename(source / gone)
    build(source, out, OPTIONS, local(1))
    assert {name: data for name, data in contents(out).items() if expected[name] != data}.keys() <= {"manifest.npz"}


def test_a_source_that_disappears_while_it_is_listed(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataio.ingest.sources import folder as layout

    def vanish(path: Path) -> Any:
        if path.name == "r2.wav":
            source.rename(folder / "aside")
        return facts(path)

    facts = layout.sound_facts
    monkeypatch.setattr(layout, "sound_facts", vanish)
    with pytest.raises(OSError, match=r"the source folder .*raw cannot be read: No such file"):
        build(source, folder / "shards", OPTIONS, local(1))
    assert not (folder / "shards").exists()
    (folder / "aside").rename(source)


@pytest.mark.parametrize("how", ["other content", "another time", "longer"])
def test_a_file_that_is_replaced_between_stop_and_resume_is_another_source(source: Path, folder: Path, how: str) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(source, folder / "shards", OPTIONS, local(1), stop)
    before, data, facts = tree(folder / "shards"), (source / "r5.wav").read_bytes(), (source / "r5.wav").stat()
    if how == "another time":
        os.utime(source / "r5.wav", ns=(1, 1))
    else:
        (source / "r5.wav").write_bytes(data + b"12" if how == "longer" else data[:-4] + b"1234")
    fails(run(source, folder / "shards"), "holds an unfinished build of another source or other options")
    assert tree(folder / "shards") == before
    (source / "r5.wav").write_bytes(data)
    os.utime(source / "r5.wav", ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_file_that_is_still_being_written_is_no_set(source: Path, folder: Path) -> None:
    data, facts = (source / "r5.wav").read_bytes(), (source / "r5.wav").stat()

    def write(progress: Progress) -> None:
        (source / "r5.wav").write_bytes(data + bytes(progress.done))

    with pytest.raises(SourceError, match=r"r5\.wav was changed while it was built from: build again, into another folder"):
        build(source, folder / "shards", OPTIONS, local(1), write)
    assert not (folder / "shards" / manifest.FILE).exists()
    (source / "r5.wav").write_bytes(data)
    os.utime(source / "r5.wav", ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_of_two_builds_into_one_folder_one_is_refused_and_the_other_is_right(source: Path, folder: Path, expected) -> None:
    out, refused = folder / "shards", []

    def meanwhile(progress: Progress) -> None:
        if not refused:  # the first is in the midst of its work, for as long as the second takes
            refused.append(run(source, out))

    build(source, out, OPTIONS, local(1), meanwhile)
    fails(refused[0], f"another build is running in {out}")
    assert contents(out) == expected


def test_of_two_builds_that_begin_together_each_is_refused_or_right(source: Path, folder: Path, expected) -> None:
    for i in range(4):
        out = folder / str(i)
        first, second = _start(source, out), _start(source, out)
        for ended in (first(), second()):
            if ended.status:
                fails(ended, f"another build is running in {out}")
        assert contents(out) == expected


PLACES = {
    "inside": ("raw/shards", "lies inside the source"),
    "deep inside": ("raw/a/b/shards", "lies inside the source"),
    "inside, by dots": ("other/../raw/shards", "lies inside the source"),
    "inside, by a link": ("link/shards", "lies inside the source"),
    "the source": ("raw", "is the source itself"),
    "the source, by a link": ("link", "is the source itself"),
    "around": (".", "holds the source"),
}


@pytest.mark.parametrize("place", PLACES)
def test_an_output_that_is_not_apart_from_the_source(source: Path, folder: Path, place: str) -> None:
    (folder / "other").mkdir()
    (folder / "link").symlink_to(source)
    before = tree(folder)
    path, said = PLACES[place]
    fails(run(source, folder / path), said, "choose a")
    assert tree(folder) == before


@as_root
def test_an_output_inside_the_source_by_a_mount(source: Path, folder: Path) -> None:
    (folder / "mount").mkdir()
    mounted = subprocess.run(["mount", "--bind", str(source), str(folder / "mount")], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        fails(run(source, folder / "mount" / "shards"), "lies inside the source")
        fails(run(source, folder / "mount"), "is the source itself")
    finally:
        subprocess.run(["umount", str(folder / "mount")], check=True)


def test_what_is_no_file_is_named_and_never_opened(source: Path, folder: Path, expected) -> None:
    os.mkfifo(source / "pipe.mp4")
    os.mkfifo(source / "pipe.wav")
    (source / "loop.mp4").symlink_to("loop.mp4")
    (source / "gone.mp4").symlink_to("nowhere.mp4")
    (source / "round").symlink_to(".")
    (source / "day").symlink_to(folder)
    (source / "notes").symlink_to("nowhere")
    (source / "empty.mp4").touch()
    (source / "empty.wav").touch()
    (source / "folder.mp4").mkdir()
    odd = {
        "pipe.mp4": "pipe.mp4 is no file but a FIFO",
        "pipe.wav": "pipe.wav is no file but a FIFO",
        "loop.mp4": "loop.mp4 cannot be looked at: Too many levels of symbolic links",
        "gone.mp4": "gone.mp4 is a link to nothing",
        "round": "round is a link to a folder, which is not followed",
        "day": "day is a link to a folder, which is not followed",
    }
    if os.geteuid() == 0:
        os.mknod(source / "disk.mkv", 0o600 | 0o020000, os.makedev(1, 5))  # /dev/zero: it would never end
        odd["disk.mkv"] = "disk.mkv is no file but a device"
    ended = run(source, folder / "shards")
    assert ended.status == 0
    assert sorted(ended.said) == sorted(
        [
            *(f"skipped {name}: {why}" for name, why in odd.items()),
            "skipped empty: empty.wav cannot be read as sound: Format not recognised",
        ]
    )
    assert {n: data for n, data in contents(folder / "shards").items() if n.startswith("clips")} == {
        n: data for n, data in expected.items() if n.startswith("clips")
    }
    fails(run(source, folder / "strict", "--strict"), "--strict: day would be skipped (and 7 more): day is a link to a folder")
    assert not (folder / "strict").exists()


def test_nothing_but_an_empty_file(folder: Path) -> None:
    (folder / "raw").mkdir()
    (folder / "raw" / "a.mp4").touch()
    fails(run(folder / "raw", folder / "shards"), "nothing in", "a.mp4 cannot be read as audio")
    assert not (folder / "shards").exists()


def test_nothing_but_a_pipe(folder: Path) -> None:
    (folder / "raw").mkdir()
    os.mkfifo(folder / "raw" / "a.mp4")
    fails(run(folder / "raw", folder / "shards"), "holds no video")


@pytest.mark.parametrize("name", ["cat/a.jpg", "train.tar", "video/a-1.mp4"])
def test_a_pipe_where_files_are_opened_by_their_names(folder: Path, name: str) -> None:
    raw = folder / "raw"
    layout = "yt360" if name.startswith("video") else "images"
    for each in ("cat/b.jpg", "dog/a.jpg", "video/b-1.mp4", "audio/b-1.m4a"):
        (raw / each).parent.mkdir(parents=True, exist_ok=True)
        (raw / each).touch()
    os.mkfifo(raw / name)
    with pytest.raises(SourceError, match=re.escape(f"{name} in {raw} is no file but a FIFO; take it out of the source")):
        build(raw, folder / "shards", BuildOptions(layout=layout), local(1))
    assert not (folder / "shards").exists()


def test_two_hundred_tiny_recordings(pristine: Path, folder: Path) -> None:
    raw = folder / "raw"
    raw.mkdir()
    for number in range(200):
        for suffix in ("mp4", "wav"):
            (raw / f"t{number:03d}.{suffix}").symlink_to(pristine / f"r0.{suffix}")
    before = tree(raw)
    ended = run(raw, folder / "shards", "--fps", "0.5")
    assert (ended.status, ended.said) == (0, [])
    found = manifest.load(folder / "shards")
    assert (len(found.recordings), found.clips) == (200, 400)
    assert tree(raw) == before


def test_strict_stops_at_what_cannot_be_used_and_what_is_finished_stays(source: Path, folder: Path) -> None:
    (source / "z.mp4").write_text("no video")
    shutil.copy(source / "r0.wav", source / "z.wav")
    out, reason = folder / "shards", "z.mp4 cannot be read as video: Invalid data found when processing input"
    fails(run(source, out, "--strict"), f"--strict: z would be skipped: {reason}")
    assert not (out / manifest.FILE).exists()
    fails(run(source, out, "--strict"), f"--strict: z would be skipped: {reason}")  # it is remembered, not tried again
    units = {path.name: path.stat().st_mtime_ns for path in (out / ".build").glob("*.unit")}
    assert "z.unit" in units
    ended = run(source, out)
    assert (ended.status, ended.said) == (0, [f"skipped z: {reason}"])
    assert manifest.load(out).clips == 12
    fails(run(source, out, "--strict"), f"--strict: z would be skipped: {reason}")
    (source / "z.mp4").unlink()
    (source / "z.wav").unlink()
    assert run(source, folder / "whole", "--strict").status == 0


def test_strict_stops_before_anything_is_written_where_listing_is_enough(source: Path, folder: Path) -> None:
    make_video(source / "mute.mp4", (numbered(k, 32, 64) for k in range(30)), fps=10)
    fails(run(source, folder / "shards", "--strict"), "--strict: mute would be skipped: mute.mp4 holds no audio")
    assert not (folder / "shards").exists()


def test_what_is_put_beside_an_unfinished_build_stays(source: Path, folder: Path) -> None:
    """Also when nothing could be built, and the folder was the build's own."""
    (folder / "bad").mkdir()
    (folder / "bad" / "a.mp4").write_text("no video")
    shutil.copy(source / "r0.wav", folder / "bad" / "a.wav")
    out = folder / "shards"

    def put(progress: Progress) -> None:
        (out / "notes.txt").write_text("mine")
        (out / ".draft.1.tmp").write_text("mine")

    with pytest.raises(SourceError, match="could be built"):
        build(folder / "bad", out, OPTIONS, local(1), put)
    assert contents(out) == {"notes.txt": b"mine", ".draft.1.tmp": b"mine"}
