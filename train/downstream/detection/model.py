"""Mask R-CNN on a feature pyramid (He et al. 2017; Lin et al. 2017), of torchvision's parts, around a pretrained backbone."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor

from models.image import ImageEncoder
from train.downstream.detection.settings import Heads

BOX, STAGES = 7, 4
"""Cells of the map that the box head sees of a proposal, along each side; stages of the backbone that enter the pyramid."""


def make_detector(
    encoder: ImageEncoder, *, classes: int, heads: Heads = Heads(), min_size: Sequence[int] = (800,), max_size: int = 1333
) -> MaskRCNN:
    """Mask R-CNN that starts from the weights of `encoder`, all of which learn, its batch norm too.

    Batch norm also follows every convolution of the pyramid, of the box head and of the mask head: a pretrained backbone keeps no
    scale that detection could rely on without. The encoder is copied.

    Args:
        classes: without the background, which is label 0. min_size, max_size: see `settings.Coco`.

    Returns:
        torchvision's module: a list of pictures (3, H, W) in 0 … 1 and, to train, of targets (boxes, labels, masks) to a dict of
        losses; in evaluation mode to a list of dicts (boxes, labels, scores, masks) in pixels of the pictures given.
    """
    trunk = deepcopy(encoder.trunk).requires_grad_(True).train()
    stages = {f"layer{i + 1}": str(i) for i in range(STAGES)}
    widths = [encoder.out_channels // 8 * 2**i for i in range(STAGES)]
    channels, layers = heads.channels, [heads.channels] * heads.convolutions
    model = MaskRCNN(
        BackboneWithFPN(trunk, stages, widths, channels, norm_layer=nn.BatchNorm2d),
        min_size=tuple(min_size),
        max_size=max_size,
        box_head=FastRCNNConvFCHead((channels, BOX, BOX), layers, [heads.hidden], norm_layer=nn.BatchNorm2d),
        box_predictor=FastRCNNPredictor(heads.hidden, classes + 1),
        mask_head=MaskRCNNHeads(channels, layers, 1, norm_layer=nn.BatchNorm2d),
        mask_predictor=MaskRCNNPredictor(channels, channels, classes + 1),
        rpn_post_nms_top_n_train=heads.proposals,
        rpn_post_nms_top_n_test=heads.proposals,
        box_batch_size_per_image=heads.samples,
    )
    for part in (model.rpn.head, model.roi_heads.box_predictor, model.roi_heads.mask_predictor):
        part.register_forward_hook(_in_float32)
    return model


def _in_float32(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Boxes are decoded in the precision of what predicts them: in bfloat16 a place at 1000 pixels would be 4 pixels wide."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return type(outputs)(_in_float32(module, inputs, part) for part in outputs)
