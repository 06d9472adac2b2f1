"""Heat maps are drawn where they lie, and the rest of the picture stays what it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.visual.heatmap import HeatPainter, HeatRow, colours, overlay, save_heat_sheet, windows_of_sheet


def test_colours_rise_in_lightness():
    shades = colours(np.linspace(0, 1, 11)).mean(-1)
    assert (np.diff(shades) > 0).all()
    assert colours(np.zeros((2, 3))).shape == (2, 3, 3)


def test_heat_glows_and_its_absence_leaves_the_frame():
    frames = np.full((1, 4, 4, 3), (200, 100, 50), np.uint8)
    heat = np.zeros((1, 4, 4), np.float32)
    heat[0, 1, 2] = 1
    drawn = overlay(frames, heat)
    grey = 0.35 * frames[0, 0, 0].mean()
    np.testing.assert_allclose(drawn[0, 0, 0], 0.4 * frames[0, 0, 0] + grey, atol=1)
    assert drawn[0, 1, 2].min() > 130
    assert drawn.reshape(-1, 3).mean(-1).argmax() == 1 * 4 + 2
    np.testing.assert_array_equal(overlay(frames, np.full((1, 4, 4), np.nan)), overlay(frames, np.zeros((1, 4, 4))))


def test_sheet_has_a_strip_for_each_map(tmp_path):
    frames = np.full((10, 32, 32, 3), 90, np.uint8)
    heat = np.zeros((10, 32, 32), np.float32)
    heat[:, :8, :8] = 1
    heats = {"jumping": (heat, "score 97 %"), "fast pathway": (0 * heat, "adds +0.10 to the logit")}
    row = HeatRow(frames, heats, "0.00 to 1.00 s", "as the model sees it")
    image = cv2.imread(str(save_heat_sheet([row, row], tmp_path / "sheet.png", "Evidence", "m")))[..., ::-1]
    cells = 6 * 128 + 4 * 4 + 16  # six strips, gaps inside and between windows
    assert image.shape[0] == 84 + cells + 20
    left, top = 20 + 168, 84 + 128 + 4
    hot, cold = image[top + 8, left + 8], image[top + 100, left + 100]
    assert hot.mean() > 2 * cold.mean()
    np.testing.assert_array_equal(image[top + 132 + 8, left + 8], image[top + 132 + 100, left + 100])
    with pytest.raises(DataError, match="needs a window"):
        save_heat_sheet([], tmp_path / "none.png", "Evidence")


def test_sheets_show_windows_evenly():
    assert windows_of_sheet(100, 1) == [0, 20, 40, 59, 79, 99]
    assert windows_of_sheet(100, 3) == [0, 50, 99]
    assert windows_of_sheet(2, 1) == [0, 1]
    assert windows_of_sheet(1, 3) == [0]


def test_painted_frames_show_what_the_model_did_not_see():
    frame = np.full((60, 100, 3), (250, 10, 10), np.uint8)
    heat = np.zeros((16, 16), np.float32)
    heat[12:, 12:] = 1
    image = HeatPainter()(frame, heat, (0, 20, 60, 60), "archery", 0.5)
    assert image.shape == (180 + 34, 300, 3)  # three times as large, and a line below
    assert np.ptp(image[90, 10]) == 0  # outside of the crop: grey
    assert image[175, 235].mean() > 150  # the lower right of the crop glows
    assert image[90, 100, 0] > 1.5 * image[90, 100, 1]  # no evidence: still red
    with pytest.raises(DataError, match="does not lie over"):
        overlay(frame[None], heat[None])
