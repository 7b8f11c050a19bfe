"""A tiny set in COCO's format, a recipe that takes seconds, and an encoder to start from."""

from pathlib import Path

import pytest
import torch

from models.image import ImageEncoder
from tests.train.downstream.detection.tiny_coco import settings_of, write_tiny_coco
from train.downstream.detection.settings import Detection


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return write_tiny_coco(tmp_path_factory.mktemp("tiny") / "coco")


@pytest.fixture
def settings(tiny, tmp_path) -> Detection:
    return Detection.model_validate(settings_of(tiny, tmp_path / "run"))


@pytest.fixture
def encoder() -> ImageEncoder:
    torch.manual_seed(5)
    return ImageEncoder("resnet18").eval()
