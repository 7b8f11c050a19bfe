"""Frozen picture encoders judged on the data sets that the field judges them on, in those sets' own formats."""
