"""A folder keeps its promises wherever it lies: a file is there whole or not at all, and what goes wrong is one plain sentence."""

import errno
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataio.format.folder import Folder, LocalFolder, folder
from dataio.format.remote import RemoteFolder

KINDS = ("on this machine", "in memory", "renaming")


def _place(kind: str, path: Path) -> Folder:
    if kind == "on this machine":
        return LocalFolder(path / "set")
    return RemoteFolder(f"memory://{uuid4().hex}/set" if kind == "in memory" else f"local://{path}/set")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """A folder that does not exist yet, of each kind: ours, fsspec's memory, and fsspec's way to a disk, which renames."""
    yield _place(request.param, tmp_path)
    fsspec.filesystem("memory").store.clear()
    fsspec.filesystem("memory").pseudo_dirs[:] = [""]


def test_what_is_written_is_there(place: Folder) -> None:
    assert not place.exists()
    assert place.names() == []
    place.create()
    place.create()
    place.write("b.txt", b"two")
    place.write("a.txt", b"one", durable=False)
    place.write("a.txt", b"three")  # instead of what was there
    with place.writing("c é #%20.tar") as file:
        file.write(b"part")
        assert not place.has("c é #%20.tar")
    place.child(".build").create()
    place.child(".build").write("x", b"")
    assert place.exists()
    assert place.names() == [".build", "a.txt", "b.txt", "c é #%20.tar"]
    assert [place.has(name) for name in ("a.txt", "a", "c é #%20.tar", "missing")] == [True, False, True, False]
    assert [place.size(name) for name in ("a.txt", "c é #%20.tar")] == [5, 4]
    assert place.sizes() == {"a.txt": 5, "b.txt": 3, "c é #%20.tar": 4}  # and no folders
    assert place.child("missing").sizes() == {}
    assert place.read("a.txt") == b"three"
    assert place.child(".build").names() == ["x"]
    place.child(".build").discard()  # it is not empty
    assert place.child(".build").names() == ["x"]
    place.child(".build").remove("x")
    place.child(".build").discard()
    place.child(".build").discard()  # nor is it there
    place.remove("missing")
    place.remove("b.txt")
    assert place.names() == ["a.txt", "c é #%20.tar"]
    place.remove_many(["missing", *place.names()])
    place.discard()
    assert not place.exists()
    assert place.names() == []


@given(data=st.binary(max_size=40), start=st.integers(0, 50), end=st.none() | st.integers(0, 50))
@pytest.mark.parametrize("kind", KINDS)
def test_a_range_is_what_a_slice_is(
    kind: str, tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int, end: int | None
) -> None:
    here = _place(kind, tmp_path_factory.mktemp("range"))
    here.create()
    here.write("x", data)
    assert here.read("x", start, end) == (data[start:end] if end is None or end > start else b"")


def test_a_missing_file_is_named(place: Folder) -> None:
    place.create()
    for ask in (place.read, place.size):
        with pytest.raises(FileNotFoundError, match=r"set/gone\.tar"):
            ask("gone.tar")


def test_an_error_publishes_nothing_and_keeps_what_was_there(place: Folder) -> None:
    place.create()
    place.write("x", b"before")
    with suppress(KeyError), place.writing("x") as file:
        file.write(b"half")
        raise KeyError
    assert place.names() == ["x"]
    assert place.read("x") == b"before"


KILLED = """
import os, signal, sys
from pathlib import Path
from dataio.format.folder import LocalFolder
from dataio.format.remote import RemoteFolder
place = {kind}
with place.writing("x") as file:
    file.write(bytes(100_000))
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("kind", "left"), [("LocalFolder(Path(sys.argv[1]))", True), ("RemoteFolder('local://' + sys.argv[1])", False)]
)
def test_a_writer_that_is_killed_publishes_nothing(tmp_path: Path, kind: str, left: bool) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "set").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    code = KILLED.format(kind=kind)
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "set"], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    names = [path.name for path in (tmp_path / "set").iterdir()]
    assert len(names) == left
    assert all(name.startswith(".x.") and name.endswith(".tmp") for name in names)  # what the next build clears away
    assert not list((tmp_path / "tmp").iterdir())


def test_a_full_disk_says_which_file_it_had_no_room_for(tmp_path: Path) -> None:
    full = LocalFolder(tmp_path)
    with pytest.raises(OSError) as caught, full.writing("clips-000000.tar"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value).endswith(f"No space left on device: '{tmp_path}/clips-000000.tar'")
    assert full.names() == []


def test_a_folder_that_one_of_many_machines_does_not_see_is_named_with_the_machine(tmp_path: Path) -> None:
    place = LocalFolder(tmp_path / "gone")
    for write in (lambda: place.write("x", b""), lambda: place.writing("x").__enter__()):
        with pytest.raises(FileNotFoundError) as caught:
            write()
        assert str(caught.value).endswith(f"as seen from {socket.gethostname()}: '{tmp_path}/gone'")


def test_it_can_be_sent_to_other_processes(place: Folder) -> None:
    place.create()
    place.write("x", b"1")
    child = place.child("inside")
    again = pickle.loads(pickle.dumps(child))
    assert again == child
    assert str(again) == str(child) == f"{place}/inside"
    assert b"FileSystem" not in pickle.dumps(place)  # no connections


def test_addresses() -> None:
    assert folder("shards") == folder(Path("shards")) == LocalFolder(Path("shards"))
    assert folder("file:///data/my set") == folder("local:///data/my set") == LocalFolder(Path("/data/my set"))
    assert folder("s3://bucket/set") == RemoteFolder("s3://bucket/set")
    assert str(folder("s3://bucket/set/").child(".build")) == "s3://bucket/set/.build"
    assert str(folder("abfs://container@account.dfs.core.windows.net/set")).startswith("abfs://container@account")


SECRET = "s3cr/et+Key"
ADDRESSES = {
    f"s3://AKIAKEY:{SECRET}@bucket/set": "s3://bucket/set",
    f"s3://bucket/set?token={SECRET}": "s3://bucket/set",
    f"s3://AKIAKEY:{SECRET}@bucket/set?x=1": "s3://bucket/set",
    f"sftp://AKIAKEY:{SECRET.replace('/', '%2F')}@host:22/a@b": "sftp://host:22/a@b",
    f"https://{SECRET.replace('/', '-')}@127.0.0.1:1/set?token={SECRET}": "https://127.0.0.1:1/set",
    "s3://bucket/a@b/set": "s3://bucket/a@b/set",
}


def _hidden(said: str) -> bool:
    return not any(part in said for part in ("AKIAKEY", SECRET, "cr/et", "cr-et", "cr%2Fet", "token"))


@pytest.mark.parametrize("url", ADDRESSES)
def test_secrets_are_never_shown(url: str) -> None:
    place = folder(url).child(".build")
    assert str(place) == repr(place) == f"{ADDRESSES[url]}/.build"
    assert _hidden(str(place))


@pytest.mark.parametrize("url", [url for url in ADDRESSES if url.startswith(("s3://AKIA", "s3://bucket/set?", "https://"))])
def test_secrets_are_in_no_error(url: str) -> None:
    with pytest.raises((ValueError, OSError)) as caught:
        folder(url).write("lock", b"")
    assert str(caught.value).startswith(ADDRESSES[url])
    assert _hidden(str(caught.value))
    assert "\n" not in str(caught.value)


def test_what_a_library_says_about_secrets_is_masked() -> None:
    """The libraries below put whole addresses into their messages."""
    place = RemoteFolder("sftp://user:hunter22@host/set?token=abcdef")

    class Talkative:
        def __getattr__(self, name: str) -> object:
            def ask(*args: object, **options: object) -> None:
                raise KeyError(f"cannot reach\n {place.url} as user:hunter22, token abcdef")

            return ask

    place.__dict__["_place"] = (Talkative(), "/set")
    for ask in (lambda: place.read("x"), lambda: place.write("x", b""), place.names, place.create, place.exists):
        with pytest.raises(OSError) as caught:
            ask()
        assert not any(secret in str(caught.value) for secret in ("hunter22", "abcdef"))
        assert "sftp://host/set" in str(caught.value)
        assert "cannot reach" in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__  # nor in a traceback


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "s3:// names no bucket; allowed is s3://bucket/folder"),
        ("nowhere://host/set", "nowhere://host/set is no address to write to: Protocol not known: nowhere"),
        ("simplecache::s3://bucket/set", "chained addresses cannot be written to"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        folder(url).exists()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("url", "module", "said"),
    [
        ("s3://bucket/set", "s3fs", "s3://bucket/set needs a package that is not installed: pip install 'sonosphere[s3]'"),
        ("gs://bucket/set", "gcsfs", "gs://bucket/set needs a package that is not installed: Please install gcsfs"),
    ],
)
def test_a_missing_package_is_named(url: str, module: str, said: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None\nfrom dataio.format.folder import folder\nfolder({url!r}).names()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"RuntimeError: {said}" in done.stderr.splitlines()[-1]
