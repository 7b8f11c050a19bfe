"""One recording into clips."""

from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.encode.recording import Encoded, encode

__all__ = ["EncodeOptions", "Encoded", "encode"]
