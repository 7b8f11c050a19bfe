"""Logits stand in the order of the yaw classes."""

import pytest
import torch

from models.alignment import ConcatHead, CorrelationHead, correlate
from models.video import VideoEncoder


def turn(picture: torch.Tensor, yaw: int, classes: int) -> torch.Tensor:
    """The design's convention, spelled out: output column x shows input column (x + W·k/K) mod W."""
    width = picture.shape[-1]
    columns = [(x + width * yaw // classes) % width for x in range(width)]
    return picture[..., columns]


@pytest.mark.parametrize("classes", [2, 4, 8])
@pytest.mark.parametrize("azimuth", [0, 3, 9, 15])
def test_a_peak_turned_by_class_k_scores_highest_at_k(classes, azimuth):
    peak = torch.zeros(1, 1, 16)
    peak[..., azimuth] = 1.0
    for yaw in range(classes):
        logits = correlate(turn(peak, yaw, classes), peak, classes)
        assert logits.shape == (1, classes)
        assert logits.argmax().item() == yaw


@pytest.mark.parametrize("yaw", range(4))
def test_a_bright_blob_through_the_encoder(yaw):
    """A picture with one bright moving blob at bin 5, a sound map that peaks there: the turned picture scores the right yaw."""
    frames = torch.zeros(1, 3, 2, 64, 128)
    frames[..., 0, 24:40, 40:48] = 1.0  # columns 40–47 are bin 5; in the second frame it is gone
    encoder = VideoEncoder(width=2).eval()
    for parameter in encoder.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # every convolution now only blurs
    sound_map = torch.zeros(1, 1, 16)
    sound_map[..., 5] = 1.0
    with torch.no_grad():
        energy = encoder(turn(frames, yaw, 4) - 0.0).mean(dim=1, keepdim=True)
    assert correlate(energy, sound_map, 4).argmax().item() == yaw


def test_turning_the_picture_moves_the_logits_round():
    torch.manual_seed(0)
    head = CorrelationHead(10, 6, classes=4, azimuths=16, channels=5)
    video, sound = torch.randn(2, 6, 32), torch.randn(2, 10)
    for yaw in range(4):
        turned = head(turn(video, yaw, 4), sound)
        torch.testing.assert_close(turned, head(video, sound).roll(yaw, dims=1))


def test_correlation_equals_the_sum_written_out():
    torch.manual_seed(0)
    video, sound = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(2, 3, 8, dtype=torch.float64)
    for b in range(2):
        for k in range(4):
            total = sum(video[b, c, a] * sound[b, c, (a + k * 2) % 8] for c in range(3) for a in range(8))
            torch.testing.assert_close(correlate(video, sound, 4)[b, k], total / 24**0.5)


@pytest.mark.parametrize("head", [CorrelationHead, ConcatHead])
def test_gradients(head):
    """Against finite differences, in float64."""
    torch.manual_seed(0)
    module = head(3, 2, classes=4, azimuths=8, channels=2).double()
    video = torch.randn(2, 2, 16, dtype=torch.float64, requires_grad=True)
    sound = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (video, sound))


def test_azimuths_that_no_class_turns_by_whole_bins_are_refused():
    with pytest.raises(ValueError, match="azimuths=16 must be a multiple of the 6 yaw classes"):
        CorrelationHead(10, 6, classes=6, azimuths=16)
