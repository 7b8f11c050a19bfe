"""A web server that fails in every way it can: the right bytes, or a typed error of one sentence within the deadline."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.format.table import FormatError
from dataio.stream.store.errors import CutShortError, ReadError, ShardMissingError, StalledError
from dataio.stream.store.place import open_store
from dataio.stream.store.remote import RemoteStore
from tests.dataio.stream.store.sets import make_set
from tests.servers import Fault, FolderServer, serve

SIZE = 100_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, bytes]]:
    folder = tmp_path_factory.mktemp("http")
    return folder, make_set(folder, shards=4, size=SIZE)


@pytest.fixture
def server(data) -> Iterator[FolderServer]:
    with serve(data[0]) as server:
        yield server


def read(store: RemoteStore, shard: int, offset: int, count: int, **how: bool) -> bytes:
    out = np.zeros(count, np.uint8)
    store.read(shard, offset, out, **how)
    return out.tobytes()


def took(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def test_it_is_the_set_of_the_folder(server: FolderServer, data) -> None:
    with open_store(server.url + "/") as store:  # type: ignore[attr-defined]
        assert isinstance(store, RemoteStore) and store.remote
        assert str(store) == server.url
        assert [store.manifest.name(shard) for shard in range(len(store.manifest))] == [f"clips-{i:06d}" for i in range(4)]
        assert store.index(2).tar_bytes == SIZE + 2
        assert store.index(2) is store.index(2)
        assert read(store, 3, 70, 900) == data[1][3][70:970]
        assert read(store, 3, SIZE, 3) == data[1][3][SIZE:]
        assert read(store, 0, 5, 0) == b""
        report = store.report()
        assert json.loads(json.dumps(report)) == report
        assert report["requests"] == 4 and report["retries"] == 0 and report["bytes"] > 903
    assert server.requests == [
        *(("manifest.npz", -1, -1), ("clips-000002.npz", -1, -1)),
        *(("clips-000003.tar", 70, 969), ("clips-000003.tar", SIZE, SIZE + 2)),
    ]


@settings(max_examples=40, deadline=None)
@given(shard=st.integers(0, 3), ends=st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)))
def test_a_read_is_what_a_slice_is(everlasting: RemoteStore, data, shard: int, ends: tuple[int, int]) -> None:
    low, high = sorted(ends)
    assert read(everlasting, shard, low, high - low) == data[1][shard][low:high]


@pytest.fixture(scope="module")
def everlasting(data) -> Iterator[RemoteStore]:
    with serve(data[0]) as server, RemoteStore(server.url) as store:
        yield store


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(".tar", times=3, status=status) for status in (429, 500, 503)),
        Fault(".tar", times=2, reset=0),
        Fault(".tar", times=2, reset=20_000),
        Fault(".tar", times=2, close=0),
        Fault(".tar", times=2, close=20_000),
        Fault(".tar", times=1, hang=True),
    ],
    ids=lambda fault: ", ".join(f"{k}={v}" for k, v in vars(fault).items() if v and k not in ("name", "times")) or "closed",
)
def test_what_passes_is_waited_for(server: FolderServer, data, fault: Fault) -> None:
    with RemoteStore(server.url, deadline=3.0) as store:
        times = fault.times
        server.faults = [Fault(**vars(fault))]
        assert read(store, 1, 1_000, 80_000) == data[1][1][1_000:81_000]
        assert store.report()["retries"] == times


def test_after_a_broken_connection_it_goes_on_where_it_was(server: FolderServer, data) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault(".tar", times=3, reset=20_000)]
        assert read(store, 1, 1_000, 80_000) == data[1][1][1_000:81_000]
        asked = [first for path, first, _ in server.requests if path.endswith(".tar")]
        assert asked == sorted(asked) and asked[-1] >= 21_000
        assert store.report()["bytes"] == 80_000


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (
            Fault(".tar", status=503),
            ReadError,
            r"failed: the server answers 503 .* \(\d+ attempts in \d+\.\d s, 0 of 50000 bytes have come\)",
        ),
        (Fault(".tar", hang=True), StalledError, r"stalled: \d+ attempts? in \d+\.\d s, 0 of 50000 bytes have come"),
        (Fault(".tar", rate=10_000), StalledError, r"stalled: \d+ attempts? in \d+\.\d s, \d+ of 50000 bytes have come"),
        (Fault(".tar", reset=0), ReadError, r"failed: .*\(\d+ attempts"),
    ],
    ids=["503", "no answer", "10 kB/s", "reset"],
)
def test_what_does_not_pass_ends_at_the_deadline(server: FolderServer, fault: Fault, kind: type, said: str) -> None:
    with RemoteStore(server.url, deadline=1.0) as store:
        server.faults = [fault]
        with pytest.raises(kind, match=rf"^reading {server.url}/clips-000002\.tar at byte \d+ {said}") as caught:
            read(store, 2, 700, 50_000)
        assert type(caught.value) is kind
        assert caught.value.shard == "clips-000002" and 700 <= caught.value.offset < 50_700
        assert store.pending() == []


def test_a_slow_transfer_that_goes_on_is_left_alone(server: FolderServer, data) -> None:
    """Longer than any time-out of a request, which is half the deadline here; shorter than the deadline."""
    with RemoteStore(server.url, deadline=4.0) as store:
        server.faults = [Fault(".tar", rate=10_000)]
        assert took(lambda: read(store, 2, 0, 25_000)) > 2.1
        assert store.report()["retries"] == 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_shard_that_vanished_is_named_at_once(server: FolderServer, status: int) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault("clips-000001.tar", status=status), Fault("clips-000001.npz", status=status)]
        with pytest.raises(ShardMissingError, match=r"/clips-000001\.tar is gone; the manifest of http:.* names it$") as caught:
            read(store, 1, 10, 10)
        assert isinstance(caught.value, FileNotFoundError)
        with pytest.raises(ShardMissingError, match=r"/clips-000001\.npz is gone"):
            store.index(1)
        assert store.report()["retries"] == 0


def test_what_is_forbidden_is_not_asked_for_again(server: FolderServer) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault(".tar", status=403)]
        with pytest.raises(ReadError, match=r"failed: the server answers 403 Forbidden \(1 attempt"):
            read(store, 1, 10, 10)


@pytest.mark.parametrize("offset", [3_000, 4_000, 5_000])
def test_a_shard_that_is_cut_short_says_where_it_ends(server: FolderServer, data, offset: int) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault("clips-000001.tar", cut=4_000)]
        with pytest.raises(CutShortError, match=f"ends at byte 4000; its index promises {offset + 2_000}") as caught:
            read(store, 1, offset, 2_000)
        assert caught.value.end == 4_000
        assert read(store, 1, 2_000, 2_000) == data[1][1][2_000:4_000]


def test_a_server_that_knows_no_ranges_is_refused_before_it_sends_the_whole_file(server: FolderServer, data) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault(".tar", whole=True)]
        for low, high in ((10, 20), (0, 20), (0, SIZE)):
            with pytest.raises(
                ReadError, match=f"200 with the whole file to a request for bytes {low} to {high - 1}: it does not know"
            ):
                read(store, 1, low, high - low)
        assert read(store, 1, 0, SIZE + 1) == data[1][1]  # unless that is what was asked for
        assert store.report()["retries"] == 0


def test_other_bytes_than_asked_for_are_refused(server: FolderServer) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault(".tar", shift=7)]
        with pytest.raises(ReadError, match="answers 206 with other bytes than 10 to 19"):
            read(store, 1, 10, 10)


def test_an_index_that_was_hurt_on_the_way_is_asked_for_again(server: FolderServer) -> None:
    with RemoteStore(server.url) as store:
        server.faults = [Fault(".npz", times=1, flip=300)]
        assert store.index(1).tar_bytes == SIZE + 1
        server.faults = [Fault(".npz", flip=300)]
        with pytest.raises(FormatError, match=r"/clips-000002\.npz does not match its checksum"):
            store.index(2)


def test_one_of_many_readers_fetches_an_index(server: FolderServer) -> None:
    server.latency = 0.05
    with RemoteStore(server.url) as store:
        threads = [threading.Thread(target=store.index, args=(1,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.asked("clips-000001.npz") == 1


def test_requests_of_many_readers_are_under_way_at_once(server: FolderServer, data) -> None:
    server.latency = 0.2
    with RemoteStore(server.url) as store:
        wrong: list[int] = []

        def work(i: int) -> None:
            if read(store, i % 4, 100 * i, 1_000) != data[1][i % 4][100 * i : 100 * i + 1_000]:
                wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong and server.most >= 24


def test_what_hangs_can_be_named_and_ends_with_the_store(server: FolderServer) -> None:
    store = RemoteStore(server.url)
    server.faults = [Fault(".tar", hang=True)]
    ends: list[OSError] = []

    def work() -> None:
        try:
            read(store, 1, 77, 10)
        except OSError as error:
            ends.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not server.asked(".tar"):
        time.sleep(0.01)
    ((shard, offset, seconds),) = store.pending()
    assert (shard, offset) == ("clips-000001", 77) and 0 <= seconds < 5
    assert took(store.close) < 15
    thread.join(60)
    assert not thread.is_alive()
    assert "was given up: the store was closed" in str(ends[0])
    with pytest.raises(ReadError, match="the store was closed"):
        read(store, 1, 0, 10)


def test_nothing_is_open_after_close(server: FolderServer) -> None:
    """Connections as the kernel lists them, on the side of the client."""

    def connections() -> int:
        table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port = f":{int(server.host.partition(':')[2]):04X}"
        return sum(row[2].endswith(port) and row[3] == "01" for row in table)  # established

    for _ in range(3):
        with RemoteStore(server.url) as store:
            read(store, 1, 0, 10)
            assert connections() >= 1
        until = time.monotonic() + 300
        while connections() and time.monotonic() < until:
            time.sleep(0.01)
        assert connections() == 0


def test_a_folder_without_a_manifest_is_told_at_once(server: FolderServer) -> None:
    with pytest.raises(FileNotFoundError, match=r"^http://[\d.:]+/nothing is no finished shard set: it has no manifest\.npz$"):
        open_store(f"{server.url}/nothing")
    server.faults = [Fault("manifest.npz", cut=1_000)]
    with pytest.raises(FormatError, match=r"/manifest\.npz is damaged"):
        open_store(server.url)


def test_a_host_that_is_not_there_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataio.stream.store.remote._GREETING", 0.2)
    with pytest.raises(ReadError, match=r"^reading http://127\.0\.0\.1:9/set/manifest\.npz at byte 0 failed: Connect call failed"):
        open_store("http://127.0.0.1:9/set")


def test_names_and_queries_reach_the_server_as_they_are(tmp_path: Path) -> None:
    data = make_set(tmp_path / "a b%20é", shards=1, size=1_000)
    with serve(tmp_path) as server, RemoteStore(f"{server.url}/a b%2520é?version=1&signature=secret-of-url") as store:
        assert str(store) == f"{server.url}/a b%2520é"
        assert read(store, 0, 10, 20) == data[0][10:30]


class TestSecrets:
    """Nothing that is printed holds them."""

    @pytest.mark.parametrize(
        "fault",
        [
            *(Fault(".tar", status=status) for status in (401, 403, 404, 503)),
            *(Fault(".tar", hang=True), Fault(".tar", reset=5), Fault(".tar", cut=5), Fault(".tar", whole=True)),
        ],
        ids=["401", "403", "404", "503", "hang", "reset", "cut", "whole"],
    )
    def test_of_a_read(self, server: FolderServer, fault: Fault, capsys: pytest.CaptureFixture[str]) -> None:
        server.login = ("somebody", "pass-word")
        with RemoteStore(f"http://somebody:pass-word@{server.host}?signature=abcdef", deadline=0.3) as store:
            server.faults = [fault]
            with pytest.raises(ReadError) as caught:
                read(store, 1, 10, 100)
            told = [*self.told(caught.value), repr(store), str(store), json.dumps(store.report()), repr(vars(caught.value))]
        told += [*capsys.readouterr()]
        for text in told:
            assert not [secret for secret in ("somebody", "pass-word", "abcdef") if secret in text], text

    def test_of_opening(self, server: FolderServer) -> None:
        secrets = [f"{name}-{name}" for name in ("user", "pass", "query")]  # which tracebacks do not quote from this file
        server.login = ("user", "another")
        with pytest.raises(ReadError, match="the server answers 401") as caught:
            RemoteStore("http://{}:{}@{}?signature={}".format(*secrets[:2], server.host, secrets[2]), deadline=0.3)
        for text in self.told(caught.value):
            assert not [secret for secret in secrets if secret in text], text

    def told(self, error: BaseException) -> list[str]:
        texts, link = ["".join(traceback.format_exception(error))], error
        while link is not None:
            texts += [str(link), repr(link)]
            link = link.__cause__ or link.__context__  # type: ignore[assignment]
        return texts
