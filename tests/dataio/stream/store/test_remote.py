"""Stores that fsspec reaches, an S3 server among them: the same bytes and the same errors as elsewhere."""

import gc
import json
import threading
import traceback
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError, StalledError
from dataio.stream.store.place import open_store
from dataio.stream.store.remote import RemoteStore
from tests.dataio.stream.store.sets import make_set
from tests.servers import Fault, FolderServer, serve

SIZE = 50_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    folder = tmp_path_factory.mktemp("remote set")
    return folder, make_set(folder, shards=3, size=SIZE)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """An S3 store on this machine, found as any other is: through the environment."""
    with pytest.MonkeyPatch.context() as patch:
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key-of-s3")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-s3")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        S3FileSystem.clear_instance_cache()
        yield boto3.client("s3")
        server.stop()
    S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["s3", "memory", "file"])
def place(request: pytest.FixtureRequest, data, tmp_path: Path) -> str:
    """The set, once more, in a place of one's own."""
    files = {path.name: path.read_bytes() for path in data[0].iterdir()}
    if request.param == "s3":
        client = request.getfixturevalue("s3")
        bucket = f"bucket-{abs(hash(tmp_path))}"
        client.create_bucket(Bucket=bucket)
        for name, content in files.items():
            client.put_object(Bucket=bucket, Key=f"deep/a set/{name}", Body=content)
        return f"s3://{bucket}/deep/a set"
    url = f"memory://{tmp_path.name}/a set" if request.param == "memory" else f"file://{tmp_path}/a set"
    system, path = fsspec.core.url_to_fs(url)
    system.makedirs(path, exist_ok=True)
    for name, content in files.items():
        system.pipe_file(f"{path}/{name}", content)
    return url


def read(store: Any, shard: int, offset: int, count: int, **how: bool) -> bytes:
    out = np.zeros(count, np.uint8)
    store.read(shard, offset, out, **how)
    return out.tobytes()


def replace(place: str, name: str, content: bytes | None) -> None:
    system, path = fsspec.core.url_to_fs(f"{place}/{name}")
    if content is None:
        system.rm_file(path)
    else:
        system.pipe_file(path, content)


def test_the_same_bytes_come_from_everywhere(place: str, data) -> None:
    rng = np.random.default_rng(0)
    with open_store(place) as store:  # type: ignore[attr-defined]
        assert isinstance(store, RemoteStore) and str(store) == place
        for shard in range(3):
            assert store.index(shard).tar_bytes == SIZE + shard
            for _ in range(10):
                low, high = sorted(rng.integers(0, SIZE, 2).tolist())
                assert read(store, shard, low, high - low, fresh=high % 2 == 0) == data[1][shard][low:high]
        report = store.report()
        assert json.loads(json.dumps(report)) == report and report["retries"] == 0


def test_what_is_gone_or_cut_short_is_told_apart(place: str, data) -> None:
    with open_store(place) as store:
        replace(place, "clips-000000.tar", None)
        replace(place, "clips-000000.npz", None)
        replace(place, "clips-000001.tar", data[1][1][:4_000])
        with pytest.raises(ShardMissingError, match=r"/clips-000000\.tar is gone; the manifest of \S+ set names it"):
            read(store, 0, 10, 10)
        with pytest.raises(ShardMissingError, match=r"/clips-000000\.npz is gone"):
            store.index(0)
        for offset in (3_500, 4_000, 9_000):
            with pytest.raises(CutShortError, match=f"ends at byte 4000; its index promises {offset + 1_000}") as caught:
                read(store, 1, offset, 1_000)
            assert caught.value.end == 4_000
        assert read(store, 2, 1, 5) == data[1][2][1:6]


def test_a_place_without_a_set_is_told(place: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"/nothing is no finished shard set: it has no manifest\.npz$"):
        open_store(f"{place}/nothing")


def test_many_readers_of_s3_are_served_at_once(s3, data) -> None:
    s3.create_bucket(Bucket="many")
    for path in data[0].iterdir():
        s3.put_object(Bucket="many", Key=path.name, Body=path.read_bytes())
    wrong: list[int] = []
    with RemoteStore("s3://many") as store:

        def work(i: int) -> None:
            rng = np.random.default_rng(i)
            for _ in range(5):
                shard, low = int(rng.integers(3)), int(rng.integers(SIZE - 5_000))
                if read(store, shard, low, 5_000) != data[1][shard][low : low + 5_000]:
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_read_from_s3_is_one_request(s3, data, caplog: pytest.LogCaptureFixture) -> None:
    s3.create_bucket(Bucket="one")
    for path in data[0].iterdir():
        s3.put_object(Bucket="one", Key=path.name, Body=path.read_bytes())
    with caplog.at_level("DEBUG", logger="botocore.endpoint"), RemoteStore("s3://one") as store:
        caplog.clear()
        read(store, 1, 100, 1_000)
    asked = [str(record.args[0]) for record in caplog.records if record.args and "Making request" in record.msg]
    assert [text.split("name=")[1].split(")")[0] for text in asked] == ["GetObject"]


@pytest.mark.parametrize(("user", "said"), [("", "Could not connect to the endpoint"), ("user-of-s3:password-of-s3@", "")])
def test_keys_of_s3_are_not_shown(s3, monkeypatch: pytest.MonkeyPatch, user: str, said: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{user}127.0.0.1:9")
    monkeypatch.setattr("dataio.stream.store.remote._GREETING", 0.1)
    with pytest.raises(ReadError, match=rf"^reading s3://x/set/manifest\.npz at byte 0 failed: {said}") as caught:
        RemoteStore("s3://x/set", deadline=5.0)
    told, link = "", caught.value
    while link is not None:
        told += "".join(traceback.format_exception(link)) + repr(link)
        link = link.__cause__ or link.__context__  # type: ignore[assignment]
    assert not [secret for secret in ("secret-of-s3", "password-of-s3", "user-of-s3") if secret in told], told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://key:secret-key@bucket/set", "^s3://bucket/set: an address of an object store holds no keys and no query"),
        ("s3://bucket/set?secret-key", "^s3://bucket/set: an address of an object store holds no keys and no query"),
        ("s3://", "names no bucket; allowed is s3://bucket/folder"),
        ("simplecache::s3://bucket/set", "is a chain of addresses; allowed is protocol://path"),
        ("nonsense://host/set", "is no address to read from: Protocol not known: nonsense"),
    ],
)
def test_addresses_that_cannot_be_read_from_are_refused(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        open_store(url)
    assert "secret-key" not in str(caught.value)


def test_a_store_that_is_forgotten_ends_its_threads(place: str) -> None:
    store = RemoteStore(place)
    store.expect([0, 1, 2])
    gone = weakref.ref(store)
    del store
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("sonosphere-fetch"):
            thread.join(60)
    gc.collect()
    assert gone() is None


def test_what_is_expected_has_its_index_at_hand(place: str) -> None:
    with RemoteStore(place) as store:
        store.expect([2, 0])
        while store.report()["requests"] < 3:  # the manifest and two indexes
            pass
        for shard in (0, 2):
            store.index(shard)
        assert store.report()["requests"] == 3


class TestFaults:
    """The protocol of S3, spoken by a server that fails."""

    @pytest.fixture
    def failing(self, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FolderServer]:
        (tmp_path / "bucket").symlink_to(data[0])
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-s3")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-s3")
        with serve(tmp_path) as server:
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            yield server

    @pytest.mark.parametrize(
        "fault",
        [
            *(Fault(".tar", times=3, status=status) for status in (500, 503)),
            *(Fault(".tar", times=2, reset=at) for at in (0, 20_000)),
            *(Fault(".tar", times=2, close=20_000), Fault(".tar", times=1, hang=True), Fault(".tar", times=1, rate=20_000)),
        ],
        ids=["500", "503", "no body", "reset", "closed", "no answer", "slow"],
    )
    def test_what_passes_is_waited_for(self, failing: FolderServer, data, fault: Fault) -> None:
        with RemoteStore("s3://bucket", deadline=4.0) as store:
            failing.faults = [Fault(**vars(fault))]
            assert read(store, 1, 1_000, 40_000) == data[1][1][1_000:41_000]
            assert store.report()["retries"] >= (0 if fault.rate else fault.times)

    @pytest.mark.parametrize(
        ("fault", "kind", "said"),
        [
            (Fault(".tar", status=503), ReadError, r"failed: .* \(\d+ attempts in"),
            (Fault(".tar", hang=True), StalledError, r"stalled: \d+ attempts? in"),
            (Fault(".tar", rate=10_000), StalledError, r"stalled: \d+ attempts? in \d+\.\d s"),
            (Fault(".tar", status=403), ReadError, r"failed: .*Forbidden \(1 attempt in"),
        ],
        ids=["503", "no answer", "10 kB/s", "403"],
    )
    def test_what_does_not_pass_ends_at_the_deadline(self, failing: FolderServer, fault: Fault, kind: type, said: str) -> None:
        with RemoteStore("s3://bucket", deadline=2.5) as store:
            failing.faults = [fault]
            with pytest.raises(kind, match=rf"^reading s3://bucket/clips-000002\.tar at byte 700 {said}") as caught:
                read(store, 2, 700, 45_000)
            assert type(caught.value) is kind and "secret-of-s3" not in "".join(traceback.format_exception(caught.value))

    def test_what_is_gone_or_cut_short_is_told_apart(self, failing: FolderServer) -> None:
        with RemoteStore("s3://bucket") as store:
            failing.faults = [Fault("clips-000000.tar", status=404), Fault("clips-000001.tar", cut=4_000)]
            with pytest.raises(ShardMissingError):
                read(store, 0, 0, 10)
            with pytest.raises(CutShortError, match="ends at byte 4000"):
                read(store, 1, 3_900, 200)
            with pytest.raises(CutShortError, match="ends at byte 4000"):
                read(store, 1, 5_000, 200)
            assert store.report()["retries"] == 0
