"""The laptop recipes learn: one seed, wide margins; the tables with three seeds come from `python -m tests.behaviour`."""

from __future__ import annotations

import pytest

from tests.behaviour.runs import Lab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("lab"))


def test_pre_training_gets_well_below_the_loss_of_each_patchs_mean(lab):
    """Measured 0.72 after these 2,000 steps."""
    _, metrics = lab.pretrain(0, 1000)
    assert metrics["loss"] < 0.85 * metrics["patch_mean_loss"]
