"""The detector starts from the encoder's weights, bit for bit, and all of it learns."""

import pytest
import torch
from torch import nn

from dataio.stream.kernels.rotate import MEAN, STD
from models.image import ImageEncoder
from tests.train.downstream.detection.tiny_coco import HEIGHT, WIDTH
from train.downstream.detection.annotations import read_annotations
from train.downstream.detection.data import Examples, pictures_of
from train.downstream.detection.fit import to_device
from train.downstream.detection.model import make_detector
from train.downstream.detection.order import place
from train.downstream.detection.settings import Detection, Heads
from train.encoder_file import load_encoder, save_encoder

SMALL = Heads(channels=8, convolutions=2, hidden=16, proposals=20, samples=16)


def batch(settings: Detection) -> tuple:
    pictures = pictures_of(read_annotations(settings.data.train), learnt=True)
    read = Examples(settings.data.train_pictures, pictures)
    return to_device([read(place(at, len(pictures), 0)) for at in range(2)], torch.device("cpu"))


def detector(encoder: ImageEncoder, **more):
    torch.manual_seed(0)
    return make_detector(encoder, classes=3, heads=SMALL, min_size=(64,), max_size=96, **more)


def test_the_exported_weights_arrive_and_get_gradients_in_every_stage(encoder, settings, tmp_path):
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
    save_encoder(tmp_path, encoder)
    loaded = load_encoder(tmp_path)
    before = {name: value.clone() for name, value in loaded.state_dict().items()}
    model = detector(loaded)
    body = model.backbone.body.state_dict()
    assert {f"trunk.{name}" for name in body} == set(before)
    for name, value in body.items():
        assert torch.equal(value, before[f"trunk.{name}"]), name

    losses = model.train()(*batch(settings))
    assert sorted(losses) == ["loss_box_reg", "loss_classifier", "loss_mask", "loss_objectness", "loss_rpn_box_reg"]
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad and parameter.grad is not None, name
    for stage in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"):
        part = getattr(model.backbone.body, stage)
        assert all(parameter.grad.abs().sum() > 0 for parameter in part.parameters()), stage
    body = model.backbone.body
    assert not torch.equal(body.bn1.running_mean, before["trunk.bn1.running_mean"])  # its statistics go on as well
    assert not torch.equal(body.layer4[1].bn2.running_mean, before["trunk.layer4.1.bn2.running_mean"])
    for name, value in loaded.state_dict().items():  # and the encoder that was given is as it was
        assert torch.equal(value, before[name])
    assert not any(parameter.grad is not None for parameter in loaded.parameters())


def test_batch_norm_everywhere_and_synchronised_where_torch_can():
    model = make_detector(ImageEncoder("resnet50"), classes=80)
    kinds = {part: sum(isinstance(m, nn.BatchNorm2d) for m in module.modules()) for part, module in (
        ("body", model.backbone.body), ("fpn", model.backbone.fpn), ("box", model.roi_heads.box_head),
        ("mask", model.roi_heads.mask_head), ("rpn", model.rpn),
    )}  # fmt: skip
    assert kinds == {"body": 53, "fpn": 8, "box": 4, "mask": 4, "rpn": 0}
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in synchronised.modules()) == 69
    assert not any(isinstance(m, nn.BatchNorm2d) for m in synchronised.modules())


def test_published_sizes():
    model = make_detector(ImageEncoder("resnet50"), classes=80)
    assert (model.transform.min_size, model.transform.max_size) == ((800,), 1333)
    assert tuple(model.transform.image_mean) == pytest.approx(MEAN) and tuple(model.transform.image_std) == pytest.approx(STD)
    assert model.backbone.fpn.inner_blocks[3][0].in_channels == 2048
    assert model.roi_heads.box_predictor.cls_score.out_features == 81
    assert model.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 81
    assert model.roi_heads.fg_bg_sampler.batch_size_per_image == 512
    assert (model.rpn.post_nms_top_n(), model.rpn.pre_nms_top_n()) == (1000, 2000)


def test_boxes_are_made_in_float32_under_half_precision(encoder, settings):
    model = detector(encoder).train()
    kept = []
    model.rpn.box_coder.decode_single = _remember(model.rpn.box_coder.decode_single, kept)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(*batch(settings))
        model.eval()
        found = model([torch.rand(3, HEIGHT, WIDTH)])[0]
    assert set(kept) == {torch.float32}
    assert {value.dtype for value in losses.values()} == {torch.float32}
    assert found["boxes"].dtype == torch.float32
    sum(losses.values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def _remember(decode, kept: list):
    def decoded(codes, boxes):
        kept.append(decode(codes, boxes).dtype)
        return decode(codes, boxes)

    return decoded


def test_a_picture_on_which_nothing_is_found(encoder):
    model = detector(encoder).eval()
    model.roi_heads.score_thresh = 2.0
    found = model([torch.rand(3, HEIGHT, WIDTH)])[0]
    assert found["boxes"].shape == (0, 4) and found["masks"].shape == (0, 1, HEIGHT, WIDTH)
