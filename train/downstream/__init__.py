"""Three ways to judge a frozen sound encoder: one head each, trained alike for every encoder."""

from train.downstream.base import Downstream
from train.downstream.retrieval import VideoRetrieval
from train.downstream.semantic import SemanticPrediction
from train.downstream.superresolution import SuperResolution

DOWNSTREAM: dict[str, type[Downstream]] = {"sp": SemanticPrediction, "s3r": SuperResolution, "vr": VideoRetrieval}
"""By the name that the command line has for it."""
