"""Indexes for tars that others made, or whose indexes are lost: .idx, .npz and the manifest, from the tars alone."""

from dataio.audit.reindex.run import reindex

__all__ = ["reindex"]
