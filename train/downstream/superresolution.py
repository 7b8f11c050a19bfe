"""Spatial sound super resolution (S³R): what would other heads hear? From one binaural pair to the difference to the others."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataio.stream.kernels.stft import HOP, WINDOW
from models.encoder import Encoder
from models.superresolution import LARGEST, SpectrogramDecoder, masked
from train.downstream.base import Downstream, Rows, log_power
from train.objectives.base import Batch, Metrics, sound_grid
from train.recipe import Recipe

QUICK = 20.0
"""What is typical of a frequency is learned so much faster than the rest: one step moves any parameter by its rate only."""


class SuperResolution(Downstream):
    """For each ear of each target pair, D = STFT(x_input − x_target) of the same ear, by mean squared error.

    `mask`: D̂ = M · STFT(x_input), a complex mask bounded by `LARGEST` (2.5D Visual Sound). `difference`: D̂ is given directly (the
    authors' code). The target is x_input − ISTFT(D̂). The input is the first of `data.pairs`.
    """

    FIELDS = ("complex_sound",)
    MERIT, HIGHER = "stft_distance", False
    SHOWN = ("given", "predicted", "target")

    def __init__(self, recipe: Recipe, encoder: Encoder) -> None:
        super().__init__(recipe, encoder)
        settings, pairs = recipe.downstream, recipe.data.pairs
        self.given = 2 * len(pairs)
        heard = tuple(dict.fromkeys((*pairs, *settings.targets)))
        self.input = pairs[0]
        self.targets = [heard.index(pair) for pair in settings.targets if pair not in pairs]
        if not self.targets:
            raise ValueError(f"downstream.targets={list(settings.targets)} holds no pair beside those of data.pairs={list(pairs)}")
        self.output = heard[self.targets[0]]
        self.grid = recipe.data.sound_seconds, recipe.data.sound_rate / 2
        self.by_mask = settings.formulation == "mask"
        depth = recipe.model.sound_depth
        self.decoder = SpectrogramDecoder(
            self.norm.num_features, 4 * len(self.targets), depth=depth, width=settings.width, time=settings.decode_time
        )
        self.stride = settings.column_stride
        # what is right on average at each frequency is learned in a few steps, so that the rest is what the sound itself tells
        self.typical = nn.Parameter(torch.zeros(4 * len(self.targets), sound_grid(recipe)[0], 1))

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss, and `relative`: the loss over that of D̂ = 0, which is to hear everywhere what the input hears."""
        first = int(torch.randint(self.stride, ())) if self.training else 0
        predicted, truth = self.predict(batch["sound"], slice(first, None, self.stride))
        loss = F.mse_loss(predicted, truth)
        return loss, {"relative": loss.detach() / truth.square().mean().clamp_min(1e-12)}

    def predict(self, sound: Tensor, columns: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Complex spectrograms (B, ears, 2, F, T) to D̂ and D in these columns: (B, targets, 2 ears, 2, F, t)."""
        features = self.features(log_power(sound[:, : self.given]))
        pairs = sound[..., columns].float().unflatten(1, (-1, 2))
        planes = QUICK * self.typical + self.decoder(features, (pairs.shape[-2], pairs.shape[-1])).float()
        planes = planes.unflatten(1, (len(self.targets), 2, 2))
        given = pairs[:, :1]
        truth = given - pairs[:, self.targets]
        return (masked(LARGEST * planes.tanh(), given.expand_as(planes)) if self.by_mask else planes), truth

    def note(self, batch: Batch) -> Rows:
        predicted, truth = self.predict(batch["sound"])
        given = batch["sound"].float()[:, None, :2].expand_as(truth)
        return {
            "distance": distance(predicted, truth),
            "nothing": distance(torch.zeros_like(truth), truth),
            "silence": distance(given, truth),
            "envelope": envelope_distance(given - predicted, given - truth),
            "given": given[:, 0], "predicted": (given - predicted)[:, 0], "target": (given - truth)[:, 0],
        }  # fmt: skip

    def figures(self, rows: Rows) -> dict[str, float]:
        """`stft_distance`: squared error of real and imaginary part, averaged over frequency, time, targets and clips, summed over
        both and over the two ears (2.5D Visual Sound). `envelope_distance`: see there. `relative`: the STFT distance over that of
        hearing everywhere what the input hears. `against_silence`: over that of hearing nothing there, which is what least squares
        comes to where the phases cannot be told; only below 1 has anything been learned of the target.
        """
        names = ("distance", "nothing", "silence", "envelope")
        far, nothing, silence, envelope = (float(rows[name].double().mean()) for name in names)
        if not (nothing and silence):
            raise ValueError(
                "in the held-out clips the other pairs hear the same as the input, or nothing: there is nothing to predict"
            )
        return {"stft_distance": far, "envelope_distance": envelope, "relative": far / nothing, "against_silence": far / silence}

    def draw(self, rows: Rows, shown: Rows, path: Path) -> None:
        from train.downstream.pictures.superresolution import spectrograms

        spectrograms(shown, self.figures(rows), (self.input, self.output), self.grid, path)


def distance(predicted: Tensor, truth: Tensor) -> Tensor:
    """Squared error of spectrograms (B, targets, 2 ears, 2, F, T), summed over ears and parts, averaged over the rest: (B,)."""
    return (predicted - truth).square().sum((2, 3)).mean((1, -2, -1))


def waveform(spectrogram: Tensor) -> Tensor:
    """Spectrograms (…, 2, 257, T) with real and imaginary part to samples (…, 160 · (T − 1))."""
    parts = torch.view_as_complex(spectrogram.float().movedim(-3, -1).contiguous())
    window = torch.hann_window(WINDOW, device=spectrogram.device)
    flat = torch.istft(parts.reshape(-1, *parts.shape[-2:]), WINDOW, HOP, window=window, center=True)
    return flat.reshape(*parts.shape[:-2], -1)


def envelope_distance(predicted: Tensor, truth: Tensor) -> Tensor:
    """√ mean (|hilbert x̂| − |hilbert x|)², summed over the ears, averaged over the targets: (B,) (2.5D Visual Sound).

    Args:
        predicted, truth: spectrograms (B, targets, 2 ears, 2, F, T).
    """
    one, other = (envelope(waveform(spectrogram)) for spectrogram in (predicted, truth))
    return (one - other).square().mean(-1).sqrt().sum(-1).mean(-1)


def envelope(samples: Tensor) -> Tensor:
    """Amplitude of the analytic signal (…, n): the modulus of samples plus i times their Hilbert transform."""
    count = samples.shape[-1]
    spectrum = torch.fft.fft(samples)
    weight = torch.zeros(count, device=samples.device)
    weight[0] = 1
    weight[1 : (count + 1) // 2] = 2
    if count % 2 == 0:
        weight[count // 2] = 1
    return torch.fft.ifft(spectrum * weight).abs()
