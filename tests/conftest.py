"""What every test needs: GPU tests skip themselves, and no test may leave a thread behind, or real-time priority."""

import os
import shutil
import threading

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """What a module's fixtures wrote goes with them: kept to the end, all of it together would fill a small disk."""
    if fixturedef.scope != "module":
        return (yield)
    base, made = request.getfixturevalue("tmp_path_factory").getbasetemp(), []
    fixturedef.addfinalizer(lambda: [shutil.rmtree(path, ignore_errors=True) for path in made])  # after the fixture's own
    before = set(base.iterdir())
    try:
        return (yield)
    finally:
        made += [path for path in set(base.iterdir()) - before if not path.is_symlink()]


@pytest.fixture(autouse=True)
def no_thread_left():
    """Our threads carry our name; one that outlives its test is a leak."""
    yield
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("sonosphere")]
    assert not left, f"threads left behind: {left}"


@pytest.fixture(autouse=True)
def scheduled_as_before():
    """Some encoders take real-time priority, with which the tests that follow would stop everything else on the machine."""
    before = os.sched_getscheduler(0)
    yield
    assert os.sched_getscheduler(0) == before


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory):
    """Folder of a small shard set: 6 synthetic recordings, 24 clips, 4 frames of 32x64, four pairs, splits train and val."""
    from tests.shards import make_shards

    return make_shards(tmp_path_factory.mktemp("set"))
