"""Which GPU `cuda` means, for a process alone and under torchrun."""

import pytest

from dataio.stream.device.which import index_of


@pytest.mark.parametrize(
    ("asked", "current", "count", "local", "found"),
    [
        (None, 0, 1, None, 0),
        (None, 3, 8, None, 3),  # torch.cuda.set_device(3)
        (2, 3, 8, "5", 2),  # the name counts
        (None, 0, 8, "5", 5),  # a rank that has chosen nothing
        (None, 3, 8, "5", 3),  # and one that has
        (None, 0, 1, "5", 0),  # a rank that sees its own GPU alone
        (None, 0, 8, "", 0),
        (None, 0, 8, "-1", 0),
        (0, 3, 8, "5", 0),
    ],
)
def test_the_gpu_of_a_process(asked, current, count, local, found):
    environment = {} if local is None else {"LOCAL_RANK": local}
    assert index_of(asked, current, count, environment) == found


def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"device='cuda:8': there are 8 GPUs, counted from 0"):
        index_of(8, 0, 8, {})
