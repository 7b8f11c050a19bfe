"""Where the time of a loader goes: clocks, the consumer's pace, the verdict, and a trace for those who want every event."""

from dataio.stream.meter.meter import Meter
from dataio.stream.meter.trace import Trace

__all__ = ["Meter", "Trace"]
