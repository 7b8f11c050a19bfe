"""Recordings into a shard set: encode in parallel, deal each group's clips over its shards, publish the manifest last."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataio.format import manifest, writer
from dataio.format.clip import PAIRS, slug, split_key
from dataio.ingest import deal, sources
from dataio.ingest.encode import Encoded, EncodeOptions, encode
from dataio.ingest.executors import Executor
from dataio.ingest.sources import Recording, Refused, SourceError
from dataio.ingest.workspace import Workspace

SHARD_BYTES = 256 * 2**20


@dataclass(frozen=True)
class BuildOptions:
    """How a set is built. shard_bytes: aimed at, never far exceeded. split: shares by recording."""

    encode: EncodeOptions = field(default_factory=EncodeOptions)
    layout: str = "auto"
    split: str = "train=0.8,val=0.2"
    shard_bytes: int = SHARD_BYTES
    allow_mono: bool = False

    def __post_init__(self) -> None:
        if self.shard_bytes < 1:
            raise ValueError(f"shard bytes {self.shard_bytes} must be at least 1")


@dataclass(frozen=True)
class Progress:
    """One recording is through. done, total: recordings. clips, bytes: of this one. skipped: why it was left out, if it was."""

    done: int
    total: int
    name: str
    clips: int
    bytes: int
    skipped: str | None


def build(
    source: Path, out: Path, options: BuildOptions, executor: Executor, on_progress: Callable[[Progress], None] = lambda _: None
) -> dict[str, Any]:
    """Build the shard set of a source folder in `out`, or go on with an unfinished build of the same.

    Returns:
        the report that is also written as `build.json`: counts, what was skipped and why, seconds dropped at the ends.

    Raises:
        SourceError: the source or the output cannot be used, or no recording could be built; `out` is left as it was.
        OSError: the disk; what is finished stays, and the same command goes on from there.
    """
    shares = deal.parse_shares(options.split)
    found = [_nameable(f) for f in sources.find(source, options.layout, allow_mono=options.allow_mono)]
    twice = [name for name, count in Counter(f.name for f in found).items() if count > 1]
    if twice:
        raise SourceError(f"{source} holds more than one recording {twice[0]}: names without suffix must differ")
    usable = {f.name: f for f in found if isinstance(f, Recording)}
    skipped = {f.name: f.reason for f in found if isinstance(f, Refused)}
    if not usable:
        raise SourceError(_nothing(source, skipped))
    plan = _plan(source, found, options)
    workspace = Workspace(out, plan)
    try:
        split_of = deal.splits({name: r.split for name, r in usable.items()}, shares)
        shards: list[manifest.Shard] = []
        rms: dict[str, list[float]] = {}
        tails: dict[str, float] = {}
        done = 0
        # a shard holds one split, and recordings with the same pairs: a reader that needs the others can leave it out as a whole
        kind_of = {name: (split, *sorted(usable[name].pairs)) for name, split in split_of.items()}
        for number, ((split, *_), names) in enumerate(deal.groups(kind_of)):
            rows = workspace.group(number)
            if rows is None:
                recordings = [usable[name] for name in names]
                rows = _group(
                    workspace, number, split, recordings, len(shards), source, options, executor, on_progress, done, len(usable)
                )
                workspace.finish_group(number, rows)
            done += len(names)
            shards += [_row(row) for row in rows["shards"]]
            for ear, values in rows["rms"].items():
                rms.setdefault(ear, []).extend(values)
            skipped |= rows["skipped"]
            tails |= rows["tails"]
        if not shards:
            raise SourceError(_nothing(source, skipped))
    except SourceError:
        workspace.abandon()
        raise
    except BaseException:
        workspace.pause()
        raise
    ears = [f"{pair}.{ear}" for pair in PAIRS for ear in "LR" if f"{pair}.L" in rms]
    mean_rms = {ear: float(np.mean(np.array(rms[ear], np.float64))) for ear in ears}
    e = options.encode
    media = manifest.Media(e.seconds, e.frames, e.size, e.rate, tuple(dict.fromkeys(ear.partition(".")[0] for ear in ears)))
    result = manifest.build(shards, media, mean_rms, plan["options"])
    report = {
        "recordings": len(result.recordings),
        "clips": result.clips,
        "shards": len(result),
        "bytes": int(result.shards["bytes"].sum()),
        "splits": {s: int(result.shards["clips"][result.select(s)].sum()) for s in result.splits},
        "skipped": dict(sorted(skipped.items())),
        "tail_seconds": {name: round(t, 6) for name, t in sorted(tails.items()) if t > 1e-6},
        "mono": sorted(name for name, r in usable.items() if r.mono and name not in skipped),
        "mean_rms": mean_rms,
        "fingerprint": result.fingerprint,
        "options": plan["options"],
        "resumed": workspace.resumed,
    }
    workspace.publish(result.dump(), report)
    return report


def _row(row: dict[str, Any]) -> manifest.Shard:
    """A shard's row for the manifest, from the JSON that a finished group left."""
    return manifest.Shard(**row | {"recordings": tuple(row["recordings"]), "pairs": tuple(row["pairs"])})


def _nameable(found: sources.Found) -> sources.Found:
    """The recording, or why its name makes no key. Different names make different keys, so nothing can collide after this."""
    try:
        slug(found.name)
    except ValueError as error:
        return Refused(found.name, str(error))
    return found


def _nothing(source: Path, skipped: dict[str, str]) -> str:
    reasons = "; ".join(list(skipped.values())[:3]) + (f"; and {len(skipped) - 3} more" if len(skipped) > 3 else "")
    return f"nothing in {source} could be built: {reasons}"


def _plan(source: Path, found: Sequence[sources.Found], options: BuildOptions) -> dict[str, Any]:
    """What identifies a build: its options, and the names and lengths of every file that it reads."""
    files = {}
    for recording in found:
        if isinstance(recording, Recording):
            paths = [recording.video, *(ear.path for pair in recording.pairs.values() for ear in pair)]
            for path in [*paths, *([recording.classes] if recording.classes else [])]:
                files[path.relative_to(source).as_posix()] = path.stat().st_size
    digest = hashlib.sha256(json.dumps([[f.name for f in found], files], sort_keys=True).encode()).hexdigest()
    chosen = asdict(options) | {"layout": sources.detect(source) if options.layout == "auto" else options.layout}
    return {"source": digest, "options": json.loads(json.dumps(chosen))}


def _encode_to_spool(recording: Recording, options: EncodeOptions, root: Path, folder: Path) -> Encoded | Refused:
    """Runs in a worker: one recording into its spool file; a broken recording is a result, not an exception."""
    path = folder / f"{slug(recording.name)}.spool"
    try:
        with open(path, "wb") as spool:
            return encode(recording, options, root, spool)
    except SourceError as error:
        path.unlink(missing_ok=True)
        return Refused(recording.name, str(error))


def _group(
    workspace: Workspace,
    number: int,
    split: str,
    recordings: Sequence[Recording],
    first_shard: int,
    root: Path,
    options: BuildOptions,
    executor: Executor,
    on_progress: Callable[[Progress], None],
    done: int,
    total: int,
) -> dict[str, Any]:
    """Encode the recordings of one group and write its shards; rows for the manifest, as JSON."""
    encoded: list[Encoded] = []
    skipped: dict[str, str] = {}
    work = partial(_encode_to_spool, options=options.encode, root=root, folder=workspace.work)
    for result in executor.map(work, recordings):
        done += 1
        if isinstance(result, Refused):
            skipped[result.name] = result.reason
            on_progress(Progress(done, total, result.name, 0, 0, result.reason))
        else:
            encoded.append(result)
            size = sum(member.length for clip in result.clips for member in clip.members)
            on_progress(Progress(done, total, result.name, len(result.clips), size, None))
    clips = {split_key(clip.key): clip for result in encoded for clip in result.clips}
    size = sum(member.length for clip in clips.values() for member in clip.members)
    count = math.ceil(size / options.shard_bytes)
    shards = []
    for i, keys in enumerate(deal.deal(list(clips), count)):
        samples = _samples(workspace.work, [clips[key] for key in keys])
        shards.append(asdict(writer.write_shard(workspace.out, f"clips-{first_shard + i:06d}", split, samples)))
    for result in encoded:
        (workspace.work / f"{slug(result.name)}.spool").unlink()
    rms: dict[str, list[float]] = {}
    for result in encoded:
        for ear, values in result.rms.items():
            rms.setdefault(ear, []).extend(values)
    return {"shards": shards, "rms": rms, "skipped": skipped, "tails": {r.name: r.tail for r in encoded}}


def _samples(folder: Path, clips: Sequence[Any]) -> Iterator[writer.Sample]:
    """The clips with their bytes, read back from the spools; a few file handles, one clip in memory."""
    with ExitStack() as stack:
        recordings = dict.fromkeys(clip.recording for clip in clips)
        files = {name: stack.enter_context(open(folder / f"{name}.spool", "rb")) for name in recordings}
        for clip in clips:
            payload = []
            for member in clip.members:
                files[clip.recording].seek(member.offset)
                payload.append(files[clip.recording].read(member.length))
            yield writer.Sample(clip, tuple(payload))
