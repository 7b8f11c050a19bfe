"""Which ResNet a set of weights belongs to, told by torchvision's names and by the shapes; timm's ResNets have the same ones."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

KNOWN = ("resnet18", "resnet50")
"""Those that `models.image` builds."""

_BLOCK = re.compile(r"layer([1-4])\.(\d{1,3})\.conv1\.weight")
_NAMES = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}
_STEM, _FIRST = "conv1.weight", "layer1.0.conv1.weight"


def prefixes(names: Iterable[str]) -> list[str]:
    """What may stand before a ResNet's names, such as `module.encoder_q.`; one for every ResNet among them, in their order."""
    there = dict.fromkeys(names)
    return [name.removesuffix(_FIRST) for name in there if name.endswith(_FIRST) and name.removesuffix(_FIRST) + _STEM in there]


def architecture(weights: Mapping[str, Tensor]) -> str:
    """The name of the ResNet with these weights: one of `KNOWN`, or that of another one, for people to read."""
    found = {match.groups() for name in weights if (match := _BLOCK.fullmatch(name))}
    blocks = tuple(sum(stage == str(number) for stage, _ in found) for number in range(1, 5))
    kind = "bottleneck" if "layer1.0.conv3.weight" in weights else "basic"
    name = _NAMES.get((kind, blocks), f"a ResNet of {'-'.join(map(str, blocks))} {kind} blocks")
    middle = weights.get("layer1.0.conv2.weight")
    if kind == "basic" or middle is None or middle.ndim < 2:
        return name
    width, inputs = middle.shape[:2]
    if width != inputs:
        return f"a {name.replace('resnet', 'resnext')}, whose convolutions are grouped"
    return name if width == 64 else f"a wide {name} with {width} channels in the first stage's blocks"
