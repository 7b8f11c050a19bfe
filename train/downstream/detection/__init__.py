"""COCO detection and segmentation: Mask R-CNN on a backbone that a run exported, trained and judged by COCO's own measure."""
