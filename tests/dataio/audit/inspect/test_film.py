"""The frames of a container are those of the clip, at equal distances, with their times."""

import io

import numpy as np
from PIL import Image

from dataio.audit.inspect.film import picture, video_frames
from tests.media import make_video, numbered, read_number


def frame_numbers(frames) -> list[int]:
    return [read_number(rgb) for _, rgb in frames]


def test_frames_of_an_encoded_container(tmp_path):
    """Sixteen frames at 8 a second: every second one, with the stamps of the json."""
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(16)), fps=8)
    frames = video_frames((tmp_path / "v.mp4").read_bytes(), [10 + i / 8 for i in range(16)], 16, 10.0, None)
    assert frame_numbers(frames) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [stamp for stamp, _ in frames][:3] == ["10.00 s", "10.25 s", "10.50 s"]


def test_frames_of_a_copied_container_begin_at_the_clip(tmp_path):
    """The file begins 0.75 s before the clip, whose first frame is then number 6."""
    make_video(tmp_path / "v.mp4", (numbered(i) for i in range(22)), fps=8, b_frames=2)
    frames = video_frames((tmp_path / "v.mp4").read_bytes(), [], 22, 100.0, 0.75)
    assert frame_numbers(frames) == [6, 8, 10, 12, 14, 16, 18, 20]
    assert [stamp for stamp, _ in frames][:2] == ["1:40.00", "1:40.25"]


def test_palette_labels_keep_their_numbers():
    image = Image.fromarray(np.array([[3, 200]], np.uint8))
    image.putpalette([255, 0, 0] * 256)
    out = io.BytesIO()
    image.save(out, "PNG")
    assert picture(out.getvalue(), "L").tolist() == [[3, 200]]
