"""A loader over the network: the same batches, whatever the network does, or an error of a known kind before the deadline."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dataio import ClipLoader
from dataio.stream.health import Health
from dataio.stream.store.errors import ReadError, ShardMissingError, StalledError
from dataio.stream.store.store import Cache
from tests.servers import Fault, serve
from tests.tiny import TINY, tiny_set


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_set(tmp_path_factory.mktemp("tiny") / "set", 120)


@pytest.fixture
def server(tiny):
    with serve(tiny) as found:
        yield found


def epoch(place: str | Path, **options) -> list[dict[str, torch.Tensor]]:
    with ClipLoader(place, TINY, batch_size=12, epochs=1, **options) as loader:
        return list(loader)


def same(a: list[dict[str, torch.Tensor]], b: list[dict[str, torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(torch.equal(x[name], y[name]) for x, y in zip(a, b, strict=True) for name in x)


@pytest.mark.parametrize("cached", ["", "whole", "blocks"])
def test_batches_from_a_url_are_those_from_the_folder(tiny, server, cached, tmp_path):
    cache = Cache(tmp_path / "cache", 10**7, whole=cached == "whole") if cached else None
    with ClipLoader(server.url, TINY, batch_size=12, cache=cache) as loader:
        first, second = list(loader), list(loader)
        report = loader.report()
    with ClipLoader(tiny, TINY, batch_size=12) as loader:
        assert same(first, list(loader)) and same(second, list(loader))
    assert report["stores"]["set"]["place"] == server.url.rstrip("/")
    if cached == "whole":
        before = server.asked(".tar")
        assert same(epoch(server.url, cache=cache), first) and server.asked(".tar") == before  # nothing is fetched twice


@pytest.mark.parametrize(
    "fault",
    [
        Fault(".tar", times=6, status=503),
        Fault(".tar", times=4, reset=1000),
        Fault(".tar", times=4, close=1000),
        Fault(".npz", times=2, status=500),
        Fault(".tar", rate=100_000),
    ],
    ids=["503", "reset", "close", "index", "slow"],
)
def test_faults_that_pass_are_lived_through(tiny, server, fault):
    server.faults = [fault]
    with ClipLoader(server.url, TINY, batch_size=12, epochs=1, deadline=300) as loader:
        found = list(loader)
        report = loader.report()["stores"]["set"]
    assert same(found, epoch(tiny))
    assert report["retries"] > 0 or fault.rate


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("clips-000003.tar", status=404), ShardMissingError),
        (Fault("clips-000003.tar", status=503), ReadError),
        (Fault("clips-000003.tar", hang=True), StalledError),
        (Fault("clips-000003.tar", rate=20), StalledError),
        (Fault("clips-000003.tar", status=403), ReadError),
    ],
    ids=["404", "503", "hang", "trickle", "403"],
)
def test_faults_that_stay_are_named_before_the_deadline(server, fault, kind):
    server.faults = [fault]
    start = time.monotonic()
    with ClipLoader(server.url, TINY, batch_size=12, deadline=2) as loader, pytest.raises(kind, match="clips-000003"):
        for _ in loader:
            pass
    assert time.monotonic() - start < 300  # not a speed: it must not be an endless wait


def test_a_byte_hurt_on_the_way_is_read_again_and_one_at_home_is_not_forgiven(tiny, server, tmp_path):
    from tests.tiny import member_at

    _, offset, length = member_at(tiny, 33, "f001.jpg")
    clean = epoch(tiny)
    server.faults = [Fault("clips-000003.tar", times=1, flip=offset + length // 2)]
    with ClipLoader(server.url, TINY, batch_size=12, epochs=1, health=Health(None)) as loader:
        assert same(list(loader), clean) and loader.report()["health"]["corrupt"] == 0
    server.faults = [Fault("clips-000003.tar", flip=offset + length // 2)]
    quarantine = tmp_path / "q.jsonl"
    found = epoch(server.url, health=Health(quarantine))
    assert 33 not in torch.cat([batch["clip"] for batch in found])
    (line,) = quarantine.read_text().splitlines()
    assert json.loads(line)["key"] == "r5-000004" and json.loads(line)["offset"] == offset


def test_secrets_are_in_no_message(tiny, server, capsys):
    server.login = ("someone", "hunter2")
    url = server.url.replace("http://", "http://someone:hunter2@")
    with ClipLoader(url, TINY, batch_size=12, epochs=1) as loader:
        assert len(list(loader)) == 10
        said = json.dumps(loader.report()) + repr(loader.state_dict())
    server.faults = [Fault(".tar", status=403)]
    with ClipLoader(url, TINY, batch_size=12, deadline=2) as loader, pytest.raises(ReadError) as caught:
        list(loader)
    said += repr(caught.value) + str(caught.value) + "".join(capsys.readouterr())
    assert "hunter2" not in said


RANKS = """
import json, os, sys
import torch
import torch.distributed as dist
from dataio import ClipLoader
from dataio.stream.health import Health
from tests.tiny import TINY

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
place, out, deadline = sys.argv[1], sys.argv[2], float(sys.argv[3])
with ClipLoader(place, TINY, batch_size=16 // world, threads=1, deadline=deadline, health=Health(None), epochs=2) as loader:
    assert (loader.rank, loader.world_size) == (rank, world)
    seen = []
    for _ in range(2):
        for batch in loader:
            total = batch["frames"].double().sum()
            dist.all_reduce(total)  # as the gradients of a training step: a rank that is missing is felt by all
            seen.append({"clips": batch["clip"].tolist(), "total": total.item()})
    state = loader.state_dict()
states = [None] * world
dist.all_gather_object(states, state)
assert all(other == state for other in states)
open(f"{out}.{rank}", "w").write(json.dumps(seen))
dist.destroy_process_group()
"""


def torchrun(world: int, place: str, out: Path, deadline: float = 300, seconds: float = 600) -> subprocess.CompletedProcess:
    script = out.parent / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world), str(script)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    arguments = [place, str(out), str(deadline)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=seconds, env=environment)


@pytest.mark.parametrize("world", [2, 4])
def test_torchrun_ranks_share_one_order(tiny, world, tmp_path):
    ended = torchrun(world, str(tiny), tmp_path / "seen")
    assert ended.returncode == 0, ended.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"seen.{rank}").read_text()) for rank in range(world)]
    together = [[clip for rank in step for clip in rank["clips"]] for step in zip(*ranks, strict=True)]
    with ClipLoader(tiny, TINY, batch_size=16, epochs=2) as loader:
        alone = [batch["clip"].tolist() for _ in range(2) for batch in loader]
    assert together == alone
    assert all(len({rank["total"] for rank in step}) == 1 for step in zip(*ranks, strict=True))


def test_when_one_ranks_reader_stalls_all_ranks_end(server, tmp_path):
    """The rank that meets it says which shard; the others, who wait for its gradients, are ended with it."""
    server.faults = [Fault("clips-000003.tar", hang=True)]
    start = time.monotonic()
    ended = torchrun(2, server.url, tmp_path / "seen", deadline=2)
    assert ended.returncode != 0 and time.monotonic() - start < 500
    assert "StalledError" in ended.stderr and "clips-000003" in ended.stderr
    assert not list(tmp_path.glob("seen.*"))
