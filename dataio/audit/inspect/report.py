"""The report on a set, put together."""

from pathlib import Path

import jinja2

from dataio.audit import mixing
from dataio.audit.facts import binary, describe, duration, facts, flat, plain
from dataio.audit.inspect.charts import charts
from dataio.audit.inspect.classes import mixed_classes
from dataio.audit.inspect.clip_view import clip_view, still_view
from dataio.audit.inspect.figures.overlays import wheel
from dataio.audit.inspect.left_out import left_out
from dataio.audit.inspect.mixed import mixed
from dataio.audit.inspect.sample import chosen, look_into, sampled_shards
from dataio.audit.inspect.set_view import cards, kinds, level_rows, splits
from dataio.audit.inspect.text import ROWS, cut, short, uri
from dataio.format import manifest
from dataio.stream.order import random

STILLS = 48  # pictures on the contact sheet of an image set


def report(folder: Path, clips: int, seed: int) -> str:
    """See `dataio.audit.inspect.inspect`."""
    found = manifest.load(folder)
    still = found.media.picture == "still"
    stream = random.key("inspect", found.fingerprint, seed)
    rows = sampled_shards(found, stream)
    look = look_into(folder, found, rows, stream, STILLS if still else clips)
    shown = [clip_view(folder, clip) for clip in chosen(look.candidates, 0 if still else clips)]
    f = facts(found)
    page = {
        "title": short(folder.resolve().name),
        "f": f,
        "facts": [(name, text) for name, text in describe(f) if name in ("shards", "frames", "sound", "also")],
        "fingerprint": plain(f["fingerprint"]),
        "cards": cards(f),
        "splits": splits(f),
        "clips": shown,
        "stills": [v for clip in chosen(look.candidates, STILLS) if (v := still_view(folder, clip, found))] if still else [],
        "wheel": uri("png", wheel()) if any("flow" in clip for clip in shown) else "",
        "charts": charts(found, look, complete=len(look.counts) == len(found)),
        "kinds": kinds(look),
        "levels": level_rows(f),
        "mixing": [] if still else mixed(found, look, stream),
        "classes": mixed_classes(found, look),
        "batch": mixing.BATCH,
        "left_out": left_out(folder),
        "options": cut(flat(found.options)),
        "sampled": {"shards": len(look.counts), "of": len(found), "jsons": look.jsons, "seed": seed},
        "broken": [short(line) for line in look.broken[:ROWS]],
        "broken_more": max(0, len(look.broken) - ROWS),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"binary": binary, "duration": duration}
    html = environment.get_template("inspect.html").render(r=page)
    return html.encode(errors="replace").decode()  # half a surrogate pair in a json is no text
