"""The official MoCo model, built from torchvision as the papers and the format of its files say; nothing of ours in it."""

from pathlib import Path

import torch
from torch import nn
from torchvision import models

from tests.train.exchange.conftest import noise


class Official(nn.Module):
    """Query and key network with the head as `fc`, and the queue beside them."""

    def __init__(self, arch: str, dim: int, length: int, *, perceptron: bool = True) -> None:
        super().__init__()
        self.encoder_q = getattr(models, arch)(num_classes=dim)
        self.encoder_k = getattr(models, arch)(num_classes=dim)
        for network in (self.encoder_q, self.encoder_k) if perceptron else ():
            features = network.fc.weight.shape[1]
            network.fc = nn.Sequential(nn.Linear(features, features), nn.ReLU(), network.fc)
        self.register_buffer("queue", torch.randn(dim, length))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))


def official(arch: str = "resnet18", *, dim: int = 16, length: int = 24, perceptron: bool = True) -> Official:
    with torch.device("meta"):  # draws nothing, for all of it is replaced
        model = Official(arch, dim, length, perceptron=perceptron)
    model.to_empty(device="cpu")
    model.queue.copy_(nn.functional.normalize(torch.randn(dim, length, generator=torch.Generator().manual_seed(2)), dim=0))
    noise(model.encoder_q, 11)
    noise(model.encoder_k, 12)
    model.queue_ptr.fill_(8)
    return model.eval()


def write(model: Official, path: Path, *, arch: str = "resnet18", zipped: bool = True, module: bool = True) -> Path:
    """As its training script does, after 200 epochs, with the weights in DistributedDataParallel."""
    state = nn.ModuleDict({"module": model}).state_dict() if module else model.state_dict()
    optimizer = torch.optim.SGD(model.parameters(), 0.03, momentum=0.9, weight_decay=1e-4)
    content = {"epoch": 200, "arch": arch, "state_dict": state, "optimizer": optimizer.state_dict()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
