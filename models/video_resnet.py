"""torchvision's video encoders on the sphere: R(2+1)D-18, or ResNet-50 frame by frame, with the azimuth kept."""

from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.video import r2plus1d_18

from models.circular import around

KINDS = {"r2plus1d": (r2plus1d_18, 512, 16), "resnet50": (resnet50, 2048, 32)}
"""By name: who makes it, its channels, and how many columns of the picture become one of the map."""


class Around(nn.Module):
    """A convolution or pooling whose last axis, the azimuth, is a circle; the other axes end as they did.

    Raises:
        ValueError: a layer whose padding is no number, or none of zeros.
    """

    def __init__(self, layer: nn.Conv2d | nn.Conv3d | nn.MaxPool2d) -> None:
        super().__init__()
        padding = layer.padding
        sides = (padding, padding) if isinstance(padding, int) else padding
        if isinstance(sides, str):
            raise ValueError(f"padding={sides!r} of a layer must be numbers")
        if getattr(layer, "padding_mode", "zeros") != "zeros":
            raise ValueError(f"padding_mode={layer.padding_mode!r} of a layer must be 'zeros'")
        self.by = int(sides[-1])
        layer.padding = (*sides[:-1], 0)  # type: ignore[assignment]
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(around(x, self.by, self.by))


def wrapped(module: nn.Module) -> nn.Module:
    """The module with every padded convolution and pooling in it made circular in its last axis."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d | nn.Conv3d | nn.MaxPool2d):
            setattr(module, name, Around(child))
        else:
            wrapped(child)
    return module


class ResNetVideo(nn.Module):
    """Frames to a map over azimuth: the largest value over elevation, the mean over time, as `models.video.VideoEncoder`.

    Turning the viewer by `stride` columns moves the map by one: every layer wraps around, and none knows where column 0 is.
    Weights are drawn as torchvision draws them; none are downloaded.

    Args:
        kind: `r2plus1d` (Tran et al., 2018: space, then time; stride 16) or `resnet50` (each frame alone; stride 32).
        subtract_mean: subtract the clip's mean frame first.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(self, kind: str, *, subtract_mean: bool = True) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} of a video encoder is not known; allowed: {', '.join(KINDS)}")
        make, self.out_channels, self.stride = KINDS[kind]
        self.subtract_mean, self.in_time = subtract_mean, kind == "r2plus1d"
        trunk = make(weights=None)
        names = [name for name, _ in trunk.named_children() if name not in ("avgpool", "fc")]
        self.layers = wrapped(nn.Sequential(*(getattr(trunk, name) for name in names)))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, F, H, W) to a map over azimuth (B, out_channels, W / stride).

        Raises:
            ValueError: W is no multiple of the stride, or there is one frame only and its mean should be subtracted.
        """
        frames = frames.to(next(self.parameters()).dtype)  # a GPU's loader gives float16
        count, width = frames.shape[2], frames.shape[4]
        if width % self.stride:
            raise ValueError(f"frames {width} wide do not fit this encoder: the width must be a multiple of {self.stride}")
        if self.subtract_mean:
            if count < 2:
                raise ValueError("subtract_mean needs at least 2 frames a clip; with 1 nothing would be left of it")
            frames = frames - frames.mean(dim=2, keepdim=True)
        if self.in_time:
            return self.layers(frames).amax(dim=3).mean(dim=2)
        features = self.layers(frames.transpose(1, 2).flatten(0, 1)).amax(dim=2)
        return features.unflatten(0, (-1, count)).mean(dim=1)
