"""One HTML file that shows what a set holds: facts, a few clips to see and hear, how it is spread and mixed, what was left out.

Self-contained: pictures and sounds are data URIs, there is no script, and nothing is fetched. All text comes from the set, and so
from others: it is escaped, cut to a length, and freed of control characters.

However large the set, a bounded part of it is read: manifest and build.json, the indexes of 64 shards, the json of about a thousand
clips, and the clips that are shown. Which ones is a pure function of the fingerprint and a seed.
"""

from pathlib import Path


def inspect(folder: Path, *, clips: int = 6, seed: int = 0) -> str:
    """The report on a set, as HTML; the same set, count and seed give the same text.

    A shard, a member or a build.json that cannot be read is named in the report, which tells what the rest holds.

    Args:
        clips: shown, of as many recordings as there are. About half a megabyte each, with four pairs and eight frames.
        seed: another seed, other clips.

    Raises:
        FileNotFoundError: there is no finished set. FormatError: its manifest is damaged.
        ValueError: a negative number of clips.
    """
    if clips < 0:
        raise ValueError(f"clips={clips} must be 0 or more")
    from dataio.audit.inspect.report import report  # matplotlib and PIL, which are slow to import

    return report(folder, clips, seed)
