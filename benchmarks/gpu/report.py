"""What the figures say: for each bar of the check whether it is met, as a table for people."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.ledger import Result
from benchmarks.gpu.parts import PARTS

MET, NOT, UNKNOWN = "met", "not met", "not measured"
SHARE, CORES, WAIT, BANDWIDTH = 0.90, 2.0, 0.02, 0.70
_MEANT = ("1 pair", "4 pairs")


@dataclass(frozen=True)
class Line:
    """One bar. asked: what for. found: the figure in words, or why there is none. verdict: MET, NOT or UNKNOWN."""

    asked: str
    found: str
    verdict: str


def lines(result: Result) -> list[Line]:
    """Every bar, in the order of the parts."""
    parts = {name: result["parts"].get(name, {}) for name in PARTS}
    return [line for name, part in parts.items() for line in _LINES[name](_Part(part))]


class _Part:
    """The figures of a part, which may not be there."""

    def __init__(self, part: dict[str, Any]) -> None:
        self._part = part
        self.found: dict[str, Any] = part.get("found", {})

    def line(self, asked: str, words: str, *path: str, ok: Callable[[Any], bool]) -> Line:
        """words: with `{}` for the value at this path."""
        value: Any = self.found
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return Line(asked, self.why, UNKNOWN)
        return Line(asked, words.format(value), MET if ok(value) else NOT)

    @property
    def why(self) -> str:
        return self._part.get("error") or self._part.get("status") or "this part was not run"


def _tests(part: _Part) -> Iterator[Line]:
    counts = [part.found.get(name) for name in ("tests", "passed", "failed", "skipped")]
    if None in counts:
        yield Line("tests marked gpu pass, none skipped", part.why, UNKNOWN)
        return
    tests, passed, failed, skipped = counts
    good = tests and passed == tests
    yield Line("tests marked gpu pass, none skipped", f"{passed} passed, {failed} failed, {skipped} skipped", MET if good else NOT)


def _kernels(part: _Part) -> Iterator[Line]:
    for name, limit, rows in (
        ("rotate", "copy bandwidth", _rotations),
        ("stft", "the slower of copy and bare cuFFT", _spectrograms),
    ):
        found = part.found.get(name, {})
        asked = f"≥ {BANDWIDTH:.0%} of {limit}"
        if not found.get("cases"):
            yield Line(f"{name} {asked}", found.get("error") or part.why, UNKNOWN)
        for of, share, words in rows(found.get("cases", [])):
            verdict = UNKNOWN if share is None else MET if share >= BANDWIDTH else NOT
            yield Line(f"{name} ({of}) {asked}", words if share is None else f"{share:.0%}; {words}", verdict)


_Row = tuple[str, float | None, str]


def _rotations(cases: list[dict[str, Any]]) -> Iterator[_Row]:
    """What was turned, the share of the limit, and how many times as long rivals take; see `benchmarks.gpu.rotate.measure`."""
    for case in cases:
        rivals = [f"{name} takes {case[f'times_{name}']:.1f}×" for name in ("torch", "dali") if case.get(f"times_{name}")]
        yield f"{case['size']}, {case['dtype']}", case["share_of_copy"], ", ".join(rivals)


def _spectrograms(cases: list[dict[str, Any]]) -> Iterator[_Row]:
    """The same of `benchmarks.gpu.stft.measure`: a row for each kind. Without bare cuFFT the limit would be another one."""
    for case in cases:
        kinds = list(dict.fromkeys(each["kind"] for each in case["contenders"] if each["name"] == "ours"))
        for kind in kinds:
            times = {each["name"]: each for each in case["contenders"] if each["kind"] == kind}
            ours, of = times.pop("ours"), f"{case['clips']} clips, {case['pairs']} pairs, {kind}"
            if "error" in ours or case["bare_cufft_ms"] is None:
                yield of, None, str(ours.get("error") or f"bare cuFFT: {case['bare_cufft_error']}")
                continue
            rivals = [f"{name} takes {each['ms'] / ours['ms']:.1f}×" for name, each in times.items() if "ms" in each]
            yield of, ours["share_of_bound"], ", ".join([*rivals, f"off by {ours['difference']:.1e}"])


def _loader(part: _Part) -> Iterator[Line]:
    for name in _MEANT:
        asked = f"batches equal the CPU's, {name}"
        yield part.line(asked, "equal: {}", f"equal {name}", "equal", ok=bool)
    yield part.line("mask, labels and flow equal the CPU's", "equal: {}", "equal maps", "equal", ok=bool)
    for name in _MEANT:
        asked = f"loader ≥ {SHARE:.0%} of nvJPEG alone, {name}"
        yield part.line(asked, "{:.1%} of it", f"clips {name}", "share", ok=lambda share: share >= SHARE)
        asked = f"CPU under {CORES:g} cores at that rate, {name}"
        yield part.line(asked, "{:.2f} cores", f"clips {name}", "cores", ok=lambda cores: cores < CORES)
        ours = part.found.get(f"clips {name}", {}).get("loader", {}).get("median")
        theirs = part.found.get(f"ordinary {name}", {}).get("clips_per_second")
        words = f"{ours:.0f} against {theirs:.0f} clips/s: {ours / theirs:.1f}×" if ours and theirs else part.why
        yield Line(f"faster than a torch DataLoader on all cores, {name}", words, _than(ours, theirs))
    yield part.line(
        f"views of pictures ≥ {SHARE:.0%} of nvJPEG alone", "{:.1%} of it", "pictures", "share", ok=lambda share: share >= SHARE
    )
    yield part.line(
        f"CPU under {CORES:g} cores at that rate, pictures", "{:.2f} cores", "pictures", "cores", ok=lambda cores: cores < CORES
    )


def _than(ours: float | None, theirs: float | None) -> str:
    return UNKNOWN if not ours or not theirs else MET if ours > theirs else NOT


def _formats(part: _Part) -> Iterator[Line]:
    from benchmarks.gpu.formats import WANTED
    from benchmarks.gpu.material import FORMATS

    for name in FORMATS:
        for frames in WANTED:
            found = part.found.get(name, {}).get(f"{frames} frames", {})
            asked = f"{name}, {frames} of 30 frames: loader ≥ {SHARE:.0%} of the decoder alone"
            if found.get("share") is None:
                yield Line(asked, found.get("error") or part.why, UNKNOWN)
                continue
            facts = part.found[name]
            words = f"{found['share']:.1%} of it, {found['loader']['median']:.0f} clips/s"
            words += f", {facts['bytes'] / 1024:.0f} KiB a clip, {facts['psnr']:.1f} dB"
            yield Line(asked, words, MET if found["share"] >= SHARE else NOT)


def _training(part: _Part) -> Iterator[Line]:
    asked = f"wait for data under {WAIT:.0%} of a step"
    yield part.line(asked, "{:.2%}", "wait", "share", ok=lambda share: share < WAIT)
    found = part.found.get("curves", {})
    words = f"greatest deviation {{:.2g}} nats, allowed {found.get('allowed', 0):.2g}"
    allowed = found.get("allowed", 0)
    yield part.line("loss curve of the CPU", words, "curves", "deviation", ok=lambda apart: apart <= allowed)


def _memory(part: _Part) -> Iterator[Line]:
    found = part.found.get("memory", {})
    asked = "no growth over 10,000 batches"
    if not found.get("quantities"):
        yield Line(asked, part.why, UNKNOWN)
        return
    grown = ", ".join(f"{name} {each['grown']:+.3g}" for name, each in found["quantities"].items())
    enough = found["batches"] >= found["wanted"]
    level = all(each["level"] for each in found["quantities"].values())
    yield Line(asked, f"{found['batches']} batches: {grown}", NOT if not level else MET if enough else UNKNOWN)


_LINES: dict[str, Callable[[_Part], Iterator[Line]]] = {
    "tests": _tests,
    "kernels": _kernels,
    "loader": _loader,
    "formats": _formats,
    "training": _training,
    "memory": _memory,
}


def markdown(result: Result) -> str:
    """The table, with what it was measured on. The CPU's figures of a rehearsal are named as what they are."""
    found = lines(result)
    machine = result.get("machine", {})
    packages = machine.get("packages", {})
    head = [f"# {result.get('device', 'unknown device')}", ""]
    if result.get("rehearsal"):
        head += ["A rehearsal on a CPU with small sizes: that all of it runs, and nothing about speed.", ""]
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "nvidia-dali-cuda130", "numba-cuda") if packages.get(name)
    )
    head += [f"{machine.get('processor')}, {machine.get('cores')} cores; {versions}; commit {machine.get('commit')}.", ""]
    head += [", ".join(f"{sum(line.verdict == verdict for line in found)} {verdict}" for verdict in (MET, NOT, UNKNOWN)) + ".", ""]
    rows = [f"| {_cell(line.asked)} | {_cell(line.found)} | {line.verdict} |" for line in found]
    return "\n".join([*head, "| Asked for | Found | |", "|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:240]
