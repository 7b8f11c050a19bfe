"""Synthetic pictures whose class is a shape and a texture, colour being a nuisance; and scenes of several with a class map."""

from dataio.ingest.shapes.picture import SPLITS, picture
from dataio.ingest.shapes.scene import scene
from dataio.ingest.shapes.thing import CLASSES
from dataio.ingest.shapes.write import write_pictures

__all__ = ["CLASSES", "SPLITS", "picture", "scene", "write_pictures"]
