"""Weights whose heads are of other label sets: refused in one sentence, or a new head that the report says."""

from __future__ import annotations

import pytest

from vidmodels import zoo
from vidmodels.core.errors import WeightsError

KITCHEN = {"verb": 2, "noun": 3}


@pytest.mark.parametrize("name", ["slow_tiny", "x3d_tiny", "mvit_tiny", "avslowfast_tiny"])
@pytest.mark.parametrize(
    ("saved", "asked", "message"),
    [
        (KITCHEN, {"verb": 2, "noun": 4}, r"has classes 4 of noun, 2 of verb; the file has 3 of noun, 2 of verb"),
        (
            KITCHEN,
            {"verb": 2, "tool": 3},
            r"create the model with num_classes={'noun': 3, 'verb': 2}, or allow head",
        ),
        (7, KITCHEN, r"the file has 7 of one set: create the model with num_classes=7"),
        (KITCHEN, 7, r"has classes 7 of one set; the file has 3 of noun, 2 of verb"),
    ],
)
def test_other_label_sets(name, saved, asked, message, tmp_path):
    file = zoo.save_weights(zoo.create_model(name, num_classes=saved), tmp_path / "w.safetensors")
    model = zoo.create_model(name, num_classes=asked)
    with pytest.raises(WeightsError, match=message):
        zoo.load_weights(model, file)
    report = zoo.load_weights(model, file, allow=("head.projection.*",))
    wanted = {key for key in model.state_dict() if key.startswith("head.projection.") and key not in report.loaded}
    assert wanted
    assert set(report.new) == wanted


def test_a_start_of_mae_st(tmp_path):
    """Its classifier has the linear layers without a `projection` around them."""
    file = zoo.save_weights(zoo.create_model("mae_st_vit_tiny", num_classes=7), tmp_path / "w.safetensors")
    report = zoo.load_weights(
        zoo.create_model("mae_st_vit_tiny", num_classes=KITCHEN), file, allow=("head.weight", "head.bias")
    )
    assert set(report.new) == {f"head.{name}.{part}" for name in KITCHEN for part in ("weight", "bias")}
