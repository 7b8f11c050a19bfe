"""Synthetic scenes with known truth, written as raw recordings: moving objects that sound, seen and heard from one rig."""

from dataio.ingest.scenes.write import write_recordings

__all__ = ["write_recordings"]
