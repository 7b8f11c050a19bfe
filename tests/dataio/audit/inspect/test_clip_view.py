"""Whatever a clip is made of is shown, and what cannot be is named."""

import numpy as np

from dataio.format.flow import encode_flow
from tests.dataio.audit.inspect.pages import CLIPS, FOREIGN, FRAME, SOUND, facts, jpeg, make_set, png, report, wav
from tests.media import make_video, numbered


def test_flow_mask_and_labels_are_laid_over_the_frame(tmp_path):
    flow = np.zeros((16, 32, 2), np.float32)
    flow[4:8, 4:8] = (5, 0)
    mask = np.zeros((16, 32), np.uint8)
    mask[:8] = 255
    labels = np.zeros((16, 32), np.uint8)
    labels[:, :8] = 7
    files = {"f000.jpg": jpeg(FRAME), "f001.jpg": jpeg(FRAME), "flow.png": encode_flow(flow), "mask.png": png(mask)}
    files |= {"labels.png": png(labels), "front.wav": wav(SOUND), "json": facts()}
    page = report(make_set(tmp_path / "s", [[("r-000000", "r", 0.0, files)]], CLIPS))
    assert "full colour 5.0 pixels; known for 100.0 % of the pixels" in page.text
    assert "Moving foreground: 50.00 % of the picture" in page.text
    assert "0 (75.0 %)" in page.text and "7 (25.0 %)" in page.text
    assert "One recording: there is nothing to mix" in page.text and "1 ears in digital silence" in page.text


def test_a_container_and_flac_make_a_clip(tmp_path):
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(4)), fps=2)
    files = {"mp4": (tmp_path / "v.mp4").read_bytes(), "front.flac": wav(SOUND, kind="FLAC"), "json": facts()}
    page = report(make_set(tmp_path / "s", [[("r-000000", "r", 0.0, files)]], CLIPS))
    assert sum(tag == "figure" for tag, _ in page.tags) >= 4 + 4 + 2
    assert "as recorded" in page.text and "front, right ear" in page.text


def test_tars_of_others(tmp_path):
    """Pictures, sound of any shape, text, and names that are no clips of ours."""
    mono = (np.sin(np.arange(3000) / 10) * 0.5)[:, None]
    files = {
        "png": png(np.arange(64, dtype=np.uint8).reshape(8, 8)),
        "flac": wav(mono, 16_000, "FLAC"),
        "cls": b"281",
        "bin": b"\x00" * 9,
    }
    broken = {"jpg": b"no jpeg", "wav": b"RIFF", "json": b"[1]", "mp4": b"0" * 100}
    page = report(
        make_set(tmp_path / "s", [[("läng lich/x y", "t", 0.0, files)], [("k", "u", 0.0, broken), ("e", "u", 0.0, {})]], FOREIGN)
    )
    assert "läng lich/x y" in page.text and "281" in page.text and "flac, channel 1" in page.text
    for what in ("jpg:", "wav:", "json: is no JSON object", "mp4:"):
        assert what in page.text
    assert "as recorded" not in page.text


def test_huge_members_and_pictures_are_named_not_loaded(tmp_path):
    files = {"f000.jpg": jpeg(FRAME), "wav": b"\0" * (64 * 2**20 + 1), "png": png(np.zeros((8200, 8200), np.uint8))}
    page = report(make_set(tmp_path / "s", [[("k", "t", 0.0, files)]], FOREIGN))
    assert "wav: is too large to be shown: 64.0 MiB" in page.text and "png: is too large to be shown: 8200x8200" in page.text
