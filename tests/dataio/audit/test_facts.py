"""The facts of a set, against what its tars hold, and as a table that names of others cannot paint on."""

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from dataio.audit.facts import binary, dbfs, describe, duration, facts, flat, level, plain, rounded, table
from dataio.format import manifest
from dataio.format.clip import EARS


def shown(f: dict) -> str:
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=True, color_system=None).print(table(f))
    return out.getvalue()


def test_facts_of_a_set(shards):
    f = facts(manifest.load(shards))
    tars = sorted(shards.glob("*.tar"))
    assert (f["clips"], f["shards"], f["recordings"]) == (24, len(tars), 6)
    assert f["bytes"] == sum(path.stat().st_size for path in tars)
    assert f["mean_shard_bytes"] == round(f["bytes"] / len(tars))
    assert f["hours"] == pytest.approx(48 / 3600)
    assert (f["clip_seconds"], f["frames"], f["size"], f["picture"], f["sound"], f["sound_rate"]) == (
        2,
        4,
        [32, 64],
        "jpeg",
        "pcm",
        96000,
    )
    assert f["pairs"] == ["front", "right", "back", "left"]
    assert list(f["mean_rms"]) == list(EARS)
    assert f["mean_rms_dbfs"]["front.L"] == pytest.approx(20 * math.log10(f["mean_rms"]["front.L"]), abs=0.006)
    assert json.loads(json.dumps(f, allow_nan=False)) == f


def test_splits_add_up(shards):
    f = facts(manifest.load(shards))
    assert list(f["splits"]) == ["train", "val"]
    for key in ("clips", "shards", "recordings", "hours", "bytes"):
        assert sum(s[key] for s in f["splits"].values()) == pytest.approx(f[key])


def test_the_table_says_it(shards):
    text = shown(facts(manifest.load(shards)))
    for said in (
        "24 of 2 s, 48 s",
        "4 a clip, 32×64, jpeg",
        "96 kHz",
        "front, right, back, left",
        "train",
        "val",
        "encode.fps=2.0",
    ):
        assert said in text


def test_silence_and_stills_have_their_words(shards):
    found = manifest.load(shards)
    media = replace(found.media, clip_seconds=0.0, picture="still", pairs=(), classes=("cat", "dog"), size=(0, 0))
    f = facts(replace(found, media=media, mean_rms={"front.L": 0.0}))
    assert f["hours"] is None and f["classes"] == 2 and f["mean_rms_dbfs"] == {"front.L": None}
    said = dict(describe(f))
    assert said["clips"] == "24" and said["frames"] == "one picture a clip, of several sizes" and said["classes"] == "2"
    assert "silence" in said["mean level"] and "sound" not in said
    assert "train" in shown(f)


def test_names_of_others_neither_paint_nor_are_markup(shards):
    found = manifest.load(shards)
    hostile = "\x1b[31m[red]x[/red][/]\r\n\u202e"
    f = facts(
        replace(
            found, splits=(hostile, "val"), options={hostile: {hostile: [hostile]}}, media=replace(found.media, picture=hostile)
        )
    )
    text = shown(f)
    assert "\x1b" not in text.replace("\x1b[1m", "").replace("\x1b[0m", "") and "\r" not in text and "\u202e" not in text
    assert "[red]x[/red][/]" in text


def test_no_shards():
    f = facts(manifest.build([], manifest.Media(2.0, 8, (4, 8), 96_000, ()), {}, {}))
    assert (f["clips"], f["bytes"], f["mean_shard_bytes"], f["splits"]) == (0, 0, 0, {})
    assert shown(f)


def test_words_for_numbers():
    assert [binary(v) for v in (0, 1023, 1024, 1.5 * 2**20, 200 * 2**30, 5 * 2**50)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.5 MiB", "200 GiB", "5120 TiB",
    ]  # fmt: skip
    assert [duration(v) for v in (0.01, 0.1, 1.5, 35.7, 1e6)] == ["36 s", "6.0 min", "1.5 h", "36 h", "1,000,000 h"]
    assert dbfs(1.0) == 0 and dbfs(0.1) == pytest.approx(-20) and dbfs(0) == -math.inf
    assert rounded(-math.inf) is None and rounded(-3.0103) == -3.01
    assert level(-20.0) == "−20.0 dBFS" and level(None) == "silence"
    assert plain("a\tb\u202ec é 中") == "a\ufffdb\ufffdc é 中"
    assert flat({"b": {"y": 1, "x": [1, 2]}, "a": "t"}) == [("a", "t"), ("b.x", "[1, 2]"), ("b.y", "1")]
