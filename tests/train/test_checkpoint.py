"""Checkpoints are whole or not there, hold nothing that executes, and bring back the random states."""

import os
import pickle
import random

import pytest
import torch

from train import checkpoint
from train.checkpoint import NAME, load_checkpoint, random_states, restore_random_states, save_checkpoint


def test_round_trip(tmp_path):
    state = {"step": 3, "weights": {"w": torch.randn(3)}, "loader": {"epoch": 1, "fingerprint": "ab"}, "random": random_states()}
    save_checkpoint(tmp_path, state)
    loaded = load_checkpoint(tmp_path)
    assert loaded["step"] == 3
    assert torch.equal(loaded["weights"]["w"], state["weights"]["w"])
    assert loaded["loader"] == state["loader"]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_random_states_return_with_a_saved_file(tmp_path):
    random.seed(1)
    torch.manual_seed(1)
    save_checkpoint(tmp_path, random_states())
    expected = random.random(), random.gauss(0, 1), torch.rand(3).tolist()
    restore_random_states(load_checkpoint(tmp_path))
    assert (random.random(), random.gauss(0, 1), torch.rand(3).tolist()) == expected


def test_none_where_there_is_none(tmp_path):
    assert load_checkpoint(tmp_path) is None


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, {"step": 1})

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, {"step": 2})
    assert load_checkpoint(tmp_path) == {"step": 1}


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    with (tmp_path / NAME).open("wb") as file:
        torch.save({"step": Payload()}, file)
    with pytest.raises(ValueError, match="no readable checkpoint"):
        load_checkpoint(tmp_path)
    (tmp_path / NAME).write_bytes(pickle.dumps(Payload(), protocol=2))
    with pytest.raises(ValueError, match="no readable checkpoint"):
        load_checkpoint(tmp_path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"half a file"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is no readable checkpoint"):
        load_checkpoint(tmp_path)
