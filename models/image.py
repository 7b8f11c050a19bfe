"""Backbones for pictures: torchvision's ResNets up to the last feature map."""

from typing import Any

from torch import Tensor, nn

from models.encoder import Encoder
from models.small_map import SmallMapConv2d

STRIDE = 32
"""Pixels of the picture that become one cell of the map."""

KINDS = ("resnet18", "resnet50")


class ImageEncoder(Encoder):
    """Pictures (B, 3, H, W) to the map of the fifth stage, (B, out_channels, H / 32, W / 32), rounded up: 512 channels or 2048.

    The weights have torchvision's names under `trunk.`, without the classifier, and are drawn as torchvision draws them.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(self, kind: str = "resnet50") -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} of a picture encoder is not known; allowed: {', '.join(KINDS)}")
        self.kind = kind
        from torchvision import models  # takes a while to import, and who learns from sound alone need not have it

        self.trunk = getattr(models, kind)(weights=None)
        self.out_channels = int(self.trunk.fc.in_features)
        self.trunk.fc = nn.Identity()
        for block in [*self.trunk.layer3, *self.trunk.layer4]:  # whose maps are small where the pictures are
            for place, part in block.named_children():
                if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
                    setattr(block, place, SmallMapConv2d.of(part))

    @property
    def description(self) -> dict[str, Any]:
        return {"kind": "image", "name": self.kind}

    def out_size(self, height: int, width: int) -> tuple[int, int]:
        return -(-height // STRIDE), -(-width // STRIDE)

    def forward(self, pictures: Tensor) -> Tensor:
        t = self.trunk
        x = t.maxpool(t.relu(t.bn1(t.conv1(pictures))))
        return t.layer4(t.layer3(t.layer2(t.layer1(x))))


class GlobalHead(nn.Module):
    """MoCo-v2's head: the mean of the map, a linear layer, ReLU, a linear layer. (B, C, h, w) to (B, out)."""

    def __init__(self, channels: int, *, hidden: int = 2048, out: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, out))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features.mean((2, 3)))


class DenseHead(nn.Module):
    """DenseCL's second head: the same of 1 × 1 convolutions, for every cell. (B, C, h, w) to (B, out, h, w)."""

    def __init__(self, channels: int, *, hidden: int = 2048, out: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, out, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)
