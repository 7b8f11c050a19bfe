"""Waveforms from the loader's spectrograms, and both distances, against SciPy and plain loops."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from dataio import ClipLoader, ClipSpec
from tests.clips import clips_in
from train.downstream.superresolution import SuperResolution, distance, envelope, envelope_distance, waveform
from train.modality import SOUND

RMS = 0.1


@pytest.fixture(scope="module")
def heard(judged):
    """A batch of whole clips: complex spectrograms of front and back."""
    spec = ClipSpec(frames=0, pairs=("front", "back"), sound="complex", sound_rate=16_000, sound_seconds=2.0)
    with ClipLoader(judged, spec, batch_size=4, threads=1, epochs=1, shuffle=False) as loader:
        return {name: values.clone() for name, values in next(iter(loader)).items()}


def test_a_waveform_is_the_recorded_one_times_one_gain_an_ear(heard, judged):
    stored = list(clips_in(judged).values())
    samples = waveform(heard["sound"]).numpy()
    assert samples.shape == (4, 4, 32_000)
    for ears in samples:
        fits = []
        for clip in stored:
            pcm = np.stack([clip.pcm[pair][:, ear] for pair in ("front", "back") for ear in range(2)]) / 32768.0
            gains = (ears * pcm).sum(1) / (pcm * pcm).sum(1)
            fits.append((np.abs(ears - gains[:, None] * pcm).max() / np.abs(ears).max(), gains))
        error, gains = min(fits, key=lambda fit: fit[0])
        assert error < 1e-5
        assert (gains > 0).all()


def test_a_waveform_is_that_of_scipy():
    torch.manual_seed(0)
    sound = torch.randn(2, 3, 1600)
    window = torch.hann_window(512)
    spectrogram = torch.stft(sound.flatten(0, 1), 512, 160, window=window, center=True, return_complex=True)
    parts = torch.view_as_real(spectrogram).movedim(-1, 1).unflatten(0, (2, 3))
    ours = waveform(parts)
    assert torch.allclose(ours, sound, atol=1e-5)
    # scipy scales by the window's sum, and wants the whole of every window; inside, both must say the same of a changed spectrogram
    changed = parts * torch.rand(257, 11)
    complexes = torch.view_as_complex(changed.movedim(-3, -1).contiguous()).numpy() / 256
    _, theirs = scipy.signal.istft(complexes, 1.0, "hann", 512, 352, boundary=True)
    n = min(theirs.shape[-1], 1600)
    assert np.allclose(waveform(changed).numpy()[..., :n], theirs[..., :n], atol=1e-4)


@pytest.mark.parametrize("count", [15, 16, 400])
def test_the_envelope_is_that_of_scipy(count):
    sound = np.random.default_rng(0).standard_normal((2, count))
    assert np.allclose(envelope(torch.tensor(sound)).numpy(), np.abs(scipy.signal.hilbert(sound)), atol=1e-12)


def spectrograms(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(2, 3, 2, 2, 257, 6)


def test_the_stft_distance_is_what_a_loop_says():
    one, other = spectrograms(0)[..., :5, :], spectrograms(1)[..., :5, :]
    for clip in range(2):
        channels = [
            math.fsum(((one[clip, t, ear, part] - other[clip, t, ear, part]) ** 2).flatten().tolist()) / 30
            for t in range(3)
            for ear in range(2)
            for part in range(2)
        ]
        assert float(distance(one, other)[clip]) == pytest.approx(math.fsum(channels) / 3, rel=1e-5)


def test_the_envelope_distance_is_what_a_loop_says():
    one, other = spectrograms(0), spectrograms(1)
    for clip in range(2):
        found = []
        for target in range(3):
            for ear in range(2):
                a, b = (np.abs(scipy.signal.hilbert(waveform(x[clip, target, ear]).double().numpy())) for x in (one, other))
                found.append(math.sqrt(np.mean((a - b) ** 2)))
        assert float(envelope_distance(one, other)[clip]) == pytest.approx(sum(found) / 3, rel=1e-4)


def superresolution(judging, **settings) -> SuperResolution:
    pairs = settings.pop("pairs", judging.data.pairs)
    recipe = judging.model_copy(
        update={
            "data": judging.data.model_copy(update={"pairs": pairs}),
            "downstream": judging.downstream.model_copy(update=settings),
        }
    )
    torch.manual_seed(2)
    return SuperResolution(recipe, SOUND.untrained(recipe)).eval()


def sound(ears: int) -> torch.Tensor:
    torch.manual_seed(3)
    return torch.randn(2, ears, 2, 257, 151)


@pytest.mark.parametrize("formulation", ["mask", "difference"])
def test_what_is_to_be_predicted_is_same_ear_minus_same_ear_in_the_order_of_the_targets(judging, formulation):
    objective = superresolution(judging, targets=("left", "front", "right"), formulation=formulation)
    heard = sound(6)  # as the loader has it: front, left, right
    predicted, truth = objective.predict(heard)
    assert predicted.shape == truth.shape == (2, 2, 2, 2, 257, 151)
    for target in range(2):
        for ear in range(2):
            assert torch.equal(truth[:, target, ear], heard[:, ear] - heard[:, 2 + 2 * target + ear])


def test_only_the_given_pair_is_heard(judging):
    objective = superresolution(judging, targets=("back",))
    heard = sound(4)
    other = heard.clone()
    other[:, 2:] = 7.0
    with torch.no_grad():
        assert torch.equal(objective.predict(heard)[0], objective.predict(other)[0])


def test_columns_left_out_change_nothing_in_the_others_where_time_is_not_resized(judging):
    """Training on every eighth column is training on the same spectrograms: truth is a part of the whole truth."""
    objective = superresolution(judging)
    heard = sound(4)
    assert torch.equal(objective.predict(heard, slice(3, None, 8))[1], objective.predict(heard)[1][..., 3::8])


def test_perfect_is_zero_and_nothing_is_one(judging, monkeypatch):
    objective = superresolution(judging)
    batch = {"sound": sound(4)}
    predict = objective.predict
    front, back = batch["sound"].split(2, dim=1)
    nothing, silence = (front - back).square().mean(), back.square().mean()
    for predicted, relative in ((lambda truth: truth, 0.0), (torch.zeros_like, 1.0)):
        monkeypatch.setattr(objective, "predict", lambda heard, p=predicted: (p(predict(heard)[1]), predict(heard)[1]))
        figures = objective.figures(objective.note(batch))
        assert figures["relative"] == pytest.approx(relative)
        assert figures["against_silence"] == pytest.approx(relative * float(nothing / silence))
        assert (figures["stft_distance"] == 0) == (figures["envelope_distance"] == 0) == (relative == 0)


def test_a_target_must_be_another_pair(judging):
    with pytest.raises(ValueError, match="holds no pair beside those of data.pairs"):
        superresolution(judging, targets=("front",))
