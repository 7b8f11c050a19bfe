"""Which clips a batch holds, and their bytes. A clip that is corrupt is replaced by the next healthy one of its set's order."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from dataio.stream.errors import CorruptClipError
from dataio.stream.health import Ward
from dataio.stream.meter import Meter
from dataio.stream.order import choices
from dataio.stream.order.mixture import Order
from dataio.stream.order.partner import Companions
from dataio.stream.reader import ClipReader, RawClip, Sound


@dataclass(frozen=True)
class Pick:
    """One clip to be delivered, and what was drawn for it.

    source: row of the set. place: in the endless sequence of that set. epoch: of that set. clip: id within the set.
    The rest: see `choices.Choices`.
    """

    source: int
    place: int
    epoch: int
    clip: int
    yaw: int
    start: int
    turn: int
    mirror: bool
    shift: int
    partner_start: int
    pitch: float = 0.0
    roll: float = 0.0

    @property
    def tilt(self) -> tuple[float, float] | None:
        """Pitch and roll in degrees; None where the viewer is level."""
        return (self.pitch, self.roll) if self.pitch or self.roll else None


@dataclass(frozen=True)
class Partner:
    """Another window of the same recording. clip: id within the set. gap: seconds from the clip's window to this one."""

    clip: int
    sound: Sound
    gap: float


@dataclass(frozen=True)
class Served:
    """A healthy clip with its bytes; `pick` may be another than the one asked for."""

    pick: Pick
    raw: RawClip
    partner: Partner | None = None

    @property
    def facts(self) -> "Facts":
        partner = self.partner
        return Facts(self.pick, self.raw.recording, partner.clip if partner else -1, partner.gap if partner else 0.0)


@dataclass(frozen=True)
class Facts:
    """What is left of a clip when its bytes have been used. recording, partner: ids within the set. gap: seconds."""

    pick: Pick
    recording: int
    partner: int
    gap: float


class Supply:
    """Picks and their bytes. Safe to use from several threads."""

    def __init__(self, readers: Sequence[ClipReader], order: Order, seed: int, ward: Ward, meter: Meter) -> None:
        self.readers, self.spec, self.order = readers, readers[0].spec, order
        self.ward, self.meter = ward, meter
        self._seed = seed
        self._companions = _CompanionCache(readers, order)
        manifests = [reader.store.manifest for reader in readers]
        self._samples = [round(m.media.clip_seconds * m.media.rate) for m in manifests]
        self.first_clip = np.cumsum([0, *(m.clips for m in manifests)])
        self.first_recording = np.cumsum([0, *(len(m.recordings) for m in manifests)])

    def picks(self, epoch: int, positions: np.ndarray) -> list[Pick]:
        """What stands at these positions of an epoch of the whole stream."""
        places = self.order.places(epoch, positions)
        found: list[Pick | None] = [None] * len(positions)
        for source in np.unique(places.source).tolist():
            at = np.flatnonzero(places.source == source)
            for i, pick in zip(at.tolist(), self._of(source, places.turn[at]), strict=True):
                found[i] = pick
        return [pick for pick in found if pick is not None]

    def _of(self, source: int, turns: np.ndarray) -> list[Pick]:
        epochs, clips = self.order.clips(source, turns)
        drawn = choices.choose(self.spec, self._samples[source], self._seed, epochs, clips)
        columns = [turns, epochs, clips, drawn.yaw, drawn.start, drawn.turn, drawn.mirror == 1, drawn.shift, drawn.partner_start]
        columns += [drawn.pitch, drawn.roll]
        return [Pick(source, *row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def after(self, pick: Pick) -> Pick:
        """The next one in the order of the same set, so that the shares of several sets stay exact."""
        return self._of(pick.source, np.array([pick.place + 1]))[0]

    def read(self, pick: Pick) -> Served:
        """The bytes of exactly this clip, and of a healthy partner where one is asked for.

        Raises:
            CorruptClipError: the clip is corrupt. OSError: the storage failed.
        """
        reader = self.readers[pick.source]
        with self.meter.clock("read", clip=int(self.first_clip[pick.source]) + pick.clip) as clock:
            raw = reader.read(pick.clip, pick.start, pick.turn, pick.mirror)
            clock.bytes, clock.shard = raw.bytes, reader.store.manifest.name(raw.shard)
            return Served(pick, raw, self._partner(reader, pick, raw) if self.spec.partner else None)

    def _partner(self, reader: ClipReader, pick: Pick, raw: RawClip) -> Partner:
        """The first healthy one of those drawn; the last of them is the clip itself, whose block of sound may be corrupt too."""
        candidates = self._companions.of(pick.source, pick.place).candidates(pick.clip, self._seed, pick.epoch, self._reach(reader))
        for i, clip in enumerate(candidates.tolist(), 1):
            try:
                other = reader.listen(clip, pick.partner_start, pick.turn, pick.mirror)
            except CorruptClipError as error:
                if clip == pick.clip:
                    raise
                self.ward.ill(error, pick.source, i)
                continue
            assert other.sound is not None
            gap = other.seconds - raw.seconds + (pick.partner_start - pick.start) / self.spec.sound_rate
            return Partner(clip, other.sound, gap)
        raise AssertionError("the candidates for a partner end with the clip itself")

    def _reach(self, reader: ClipReader) -> float:
        return self.spec.reach - self.spec.slack(reader.store.manifest.media)

    def healthy(self, pick: Pick, attempt: Callable[[Served], None], first: Served | CorruptClipError | None = None) -> Served:
        """The first clip from `pick` on that can be read and for which `attempt` (decoding) succeeds.

        Args:
            attempt: raises CorruptClipError.
            first: what reading `pick` has come to, where that was done before.

        Raises:
            TooManyCorruptError: the budget is used up. OSError: the storage failed.
        """
        failed = 0
        while True:
            try:
                served = first if first is not None else self.read(pick)
                if isinstance(served, CorruptClipError):
                    raise served
                attempt(served)
                self.ward.well()
                return served
            except CorruptClipError as error:
                failed += 1
                self.meter.event("replaced", shard=error.shard, key=error.key, reason=error.reason)
                self.ward.ill(error, pick.source, failed)
                pick, first = self.after(pick), None


class _CompanionCache:
    """Who may be whose partner, for the few windows that are being read."""

    def __init__(self, readers: Sequence[ClipReader], order: Order) -> None:
        self._readers, self._order = readers, order
        self._kept: OrderedDict[object, Companions] = OrderedDict()
        self._lock = Lock()

    def of(self, source: int, place: int) -> Companions:
        window = self._order.window(source, place)
        with self._lock:
            if (known := self._kept.get(window.name)) is not None:
                return known
        # without the lock, as it reads indexes: two threads may do so at once, and come to the same
        store = self._readers[source].store
        recordings, starts = [], []
        for shard in window.shards.tolist():
            index = store.index(shard)
            recordings.append(store.manifest.shard_recordings(shard)[index.clips["recording"]])
            starts.append(index.clips["start"])
        first = store.manifest.first_clip
        ids = np.concatenate([np.arange(first[s], first[s + 1]) for s in window.shards])
        found = Companions(ids, np.concatenate(recordings), np.concatenate(starts))
        with self._lock:
            self._kept[window.name] = found
            while len(self._kept) > 4 * len(self._readers):
                self._kept.popitem(last=False)
        return found
