"""A set built into an object store: the same bytes as on a disk, resumable, and its errors are told in plain words."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from dataio.format import manifest
from dataio.format.remote import RemoteFolder
from dataio.ingest import lock
from dataio.ingest.build import BuildOptions, Progress, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.sources import SourceError

OPTIONS = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=2_500_000)
BEAT = 0.2


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """An S3 store on this machine, found as any other is: through the environment, which worker processes inherit."""
    with pytest.MonkeyPatch.context() as patch:
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        S3FileSystem.clear_instance_cache()
        yield boto3.client("s3")
        server.stop()
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(store: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket."""
    monkeypatch.setattr(lock, "BEAT", BEAT)
    name = f"bucket-{uuid4().hex}"
    store.create_bucket(Bucket=name)
    return name


def objects(store: Any, bucket: str, prefix: str = "") -> dict[str, bytes]:
    """Every object of a bucket but the report."""
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {
        key.removeprefix(prefix): store.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
        if not key.endswith("build.json")
    }


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a build on this machine's disk."""
    out = tmp_path_factory.mktemp("expected") / "shards"
    build(source, out, OPTIONS, local(1))
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != "build.json"}


class _StoppedError(Exception):
    """Stands for whatever may come in between."""


def test_workers_build_the_same_bytes_and_nothing_else(source: Path, store: Any, bucket: str, expected) -> None:
    store.put_object(Bucket=bucket, Key="deep/neighbour", Body=b"not ours")
    report = build(source, f"s3://{bucket}/deep/set", OPTIONS, local(2))
    assert report["resumed"] is False
    assert objects(store, bucket, "deep/set/") == expected
    keys = {entry["Key"] for entry in store.list_objects_v2(Bucket=bucket)["Contents"]}
    assert keys == {"deep/neighbour", "deep/set/build.json", *(f"deep/set/{name}" for name in expected)}
    assert build(source, f"s3://{bucket}/deep/set/", OPTIONS, local(1))["already"] is True


def test_stopped_it_goes_on_with_what_was_encoded(source: Path, store: Any, bucket: str, expected) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 4:
            raise _StoppedError

    told: list[Progress] = []
    with pytest.raises(_StoppedError):
        build(source, f"s3://{bucket}/set", OPTIONS, local(1), stop)
    assert manifest.FILE not in objects(store, bucket, "set/")
    assert "lock" not in objects(store, bucket, "set/.build/")
    report = build(source, f"s3://{bucket}/set", OPTIONS, local(1), told.append)
    assert report["resumed"] is True
    assert [p.done for p in told if p.name] == [5]  # nothing that was encoded is encoded again
    assert objects(store, bucket, "set/") == expected


def test_a_second_build_is_refused_and_harms_nothing(source: Path, store: Any, bucket: str, expected) -> None:
    refused = []

    def meanwhile(progress: Progress) -> None:
        if progress.done == 2 and not refused:
            with pytest.raises(SourceError, match="another build is running in s3://"):
                build(source, f"s3://{bucket}/set", OPTIONS, local(1))
            refused.append(progress)

    build(source, f"s3://{bucket}/set", OPTIONS, local(1), meanwhile)
    assert refused
    assert objects(store, bucket, "set/") == expected


KILLED = """
import os, signal, sys
from pathlib import Path
from dataio.ingest import lock
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
lock.BEAT = {beat}
options = BuildOptions(EncodeOptions(size=(32, 64), rate=48_000), split="train=0.6,val=0.4", shard_bytes=2_500_000)
def stop(progress):
    if progress.done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
build(Path(sys.argv[1]), sys.argv[2], options, local(1), stop)
"""


def test_the_lock_of_a_build_that_was_killed_is_taken_over(source: Path, store: Any, bucket: str, expected) -> None:
    url = f"s3://{bucket}/set"
    done = subprocess.run([sys.executable, "-c", KILLED.format(beat=BEAT), source, url], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "lock" in objects(store, bucket, "set/.build/")
    assert build(source, url, OPTIONS, local(1))["resumed"] is True
    assert objects(store, bucket, "set/") == expected


def test_a_build_that_was_cut_off_and_taken_over_stops_and_leaves_the_other_alone(source: Path, store: Any, bucket: str) -> None:
    """As after a laptop was closed for a minute: another has waited for the silence, and goes on where this one was."""

    def meanwhile(progress: Progress) -> None:
        deadline = time.monotonic() + 300
        while progress.done == 2 and time.monotonic() < deadline:  # a beat of ours may be on its way
            store.put_object(Bucket=bucket, Key="set/.build/lock", Body=other)
            time.sleep(1.5 * BEAT)
            if store.get_object(Bucket=bucket, Key="set/.build/lock")["Body"].read() == other:
                break

    other = json.dumps(["another, process 7, x", 3]).encode()
    with pytest.raises(SourceError, match=f"another build has taken over in s3://{bucket}/set"):
        build(source, f"s3://{bucket}/set", OPTIONS, local(1), meanwhile)
    left = objects(store, bucket, "set/")
    assert left[".build/lock"] == other
    assert manifest.FILE not in left


def test_where_nothing_can_be_built_nothing_is_left(tmp_path: Path, store: Any, bucket: str) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    (tmp_path / "a.wav").write_text("no sound")
    for url in (f"s3://{bucket}", f"s3://{bucket}/set"):
        with pytest.raises(SourceError, match="could be built"):
            build(tmp_path, url, OPTIONS, local(1))
        assert objects(store, bucket) == {}  # the bucket itself is not ours to remove


def test_what_others_put_there_is_left_alone(source: Path, store: Any, bucket: str) -> None:
    store.put_object(Bucket=bucket, Key="set/notes.txt", Body=b"mine")
    store.put_object(Bucket=bucket, Key="marked/", Body=b"")  # how consoles make an empty folder
    with pytest.raises(SourceError, match="is neither empty nor an unfinished build; choose another folder"):
        build(source, f"s3://{bucket}/set", OPTIONS, local(1))
    assert objects(store, bucket) == {"set/notes.txt": b"mine", "marked/": b""}
    assert RemoteFolder(f"s3://{bucket}/marked").names() == []


def test_a_missing_bucket_is_one_sentence_and_no_bucket_is_made(source: Path, store: Any, bucket: str) -> None:
    with pytest.raises(OSError) as caught:
        build(source, f"s3://no-{bucket}/set", OPTIONS, local(1))
    assert str(caught.value) == f"s3://no-{bucket}/set/.build/lock cannot be written: The specified bucket does not exist"
    assert f"no-{bucket}" not in {found["Name"] for found in store.list_buckets()["Buckets"]}


def test_a_bucket_that_goes_away_pauses_the_build(source: Path, store: Any, bucket: str, expected) -> None:
    """Shards and spools are refused from the second recording on; when the store takes them again, the build goes on."""

    def forbid(progress: Progress) -> None:
        while progress.done == 2 and not gone:  # a second sign of life may follow
            for key in [f"set/{name}" for name in objects(store, bucket, "set/")]:
                kept[key] = store.get_object(Bucket=bucket, Key=key)["Body"].read()
                store.delete_object(Bucket=bucket, Key=key)
            with suppress(ClientError):  # the lock has been written again in between
                store.delete_bucket(Bucket=bucket)
                gone.append(bucket)

    kept: dict[str, bytes] = {}
    gone: list[str] = []
    with pytest.raises(OSError, match=rf"^s3://{bucket}/set/\S+ cannot be written: The specified bucket does not exist$"):
        build(source, f"s3://{bucket}/set", OPTIONS, local(1), forbid)
    store.create_bucket(Bucket=bucket)
    for key, data in kept.items():
        store.put_object(Bucket=bucket, Key=key, Body=data)
    assert build(source, f"s3://{bucket}/set", OPTIONS, local(1))["resumed"] is True
    assert objects(store, bucket, "set/") == expected


def test_a_store_that_does_not_answer_is_one_sentence(source: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # botocore's own repetitions would take seconds
    S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(OSError, match=r"^s3://bucket/set cannot be looked up: Could not connect to the endpoint URL") as caught:
            build(source, "s3://bucket/set", OPTIONS, local(1))
        assert "\n" not in str(caught.value)
    finally:
        S3FileSystem.clear_instance_cache()


def test_no_listing_is_older_than_its_question(store: Any, bucket: str) -> None:
    """fsspec remembers listings; what another machine writes or removes must be seen all the same."""
    place = RemoteFolder(f"s3://{bucket}/set")
    for wanted in (["a"], ["a", "b"], ["b"]):
        for name in {"a", "b"} - set(wanted):
            store.delete_object(Bucket=bucket, Key=f"set/{name}")
        for name in wanted:
            store.put_object(Bucket=bucket, Key=f"set/{name}", Body=name.encode() * len(wanted))
        assert place.names() == wanted
        assert [place.has(name) for name in ("a", "b")] == ["a" in wanted, "b" in wanted]
        assert [place.size(name) for name in wanted] == [len(wanted)] * len(wanted)
    store.delete_object(Bucket=bucket, Key="set/b")
    assert not place.exists()


def test_a_question_about_one_file_lists_none(store: Any, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of ten thousand shards, `has`, `size` and `read` each look at one."""
    place = RemoteFolder(f"s3://{bucket}/set")
    place.write("x", b"abc")
    with caplog.at_level("DEBUG", logger="botocore.endpoint"):
        assert place.has("x")
        assert place.size("x") == 3
        assert place.read("x", 1, 2) == b"b"
        place.write("y", b"")
        place.remove("y")
    asked = [str(record.args[0]) for record in caplog.records if record.args and "Making request" in record.msg]
    assert [text.split("name=")[1].split(")")[0] for text in asked] == ["HeadObject"] * 2 + [
        "GetObject",
        "PutObject",
        "DeleteObject",
    ]


def test_many_files_are_removed_in_one_request(store: Any, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    place = RemoteFolder(f"s3://{bucket}/set")
    for name in ("a", "b", "c é"):
        place.write(name, name.encode())
    assert place.sizes() == {"a": 1, "b": 1, "c é": 4}
    with caplog.at_level("DEBUG", logger="botocore.endpoint"):
        place.remove_many(["a", "c é", "missing"])
        place.remove_many([])
    asked = [str(record.args[0]) for record in caplog.records if record.args and "Making request" in record.msg]
    assert [text.split("name=")[1].split(")")[0] for text in asked] == ["ListObjectsV2", "DeleteObjects"]
    assert place.names() == ["b"]


def test_a_large_file_goes_up_in_parts(store: Any, bucket: str) -> None:
    data = os.urandom(2**20) * 37
    with RemoteFolder(f"s3://{bucket}/set").writing("x.tar") as file:
        file.write(data)
    assert objects(store, bucket) == {"set/x.tar": data}
    assert store.head_object(Bucket=bucket, Key="set/x.tar")["ETag"].strip('"').endswith("-3")  # 16 + 16 + 5 MiB


@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=20), start=st.integers(0, 25), end=st.none() | st.integers(0, 25))
def test_a_range_is_what_a_slice_is(store: Any, data: bytes, start: int, end: int | None) -> None:
    store.create_bucket(Bucket="ranges")
    place = RemoteFolder("s3://ranges/set")
    place.write("x", data)
    assert place.read("x", start, end) == (data[start:end] if end is None or end > start else b"")


def test_names_of_any_script_come_back_as_they_were(store: Any, bucket: str) -> None:
    names = ["a b", "été", "%20", "x#y", "平", "a+b", "..tmp"]
    place = RemoteFolder(f"s3://{bucket}/é +%20")
    for name in names:
        place.write(name, name.encode())
    assert place.names() == sorted(names)
    assert [place.read(name).decode() for name in names] == names
    for name in names:
        place.remove(name)
    place.discard()
    assert objects(store, bucket) == {}
