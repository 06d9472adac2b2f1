"""Even choices of frames, by the numbers of the references."""

from __future__ import annotations

from vidmodels.ops.frames import even_frames


def test_ends_are_included_and_the_rest_rounded_down():
    assert even_frames(32, 8).tolist() == [0, 4, 8, 13, 17, 22, 26, 31]
    assert even_frames(30, 8).tolist() == [0, 4, 8, 12, 16, 20, 24, 29]
    assert even_frames(3, 6).tolist() == [0, 0, 0, 1, 1, 2]
    assert even_frames(5, 5).tolist() == [0, 1, 2, 3, 4]
    assert even_frames(7, 1).tolist() == [0]
