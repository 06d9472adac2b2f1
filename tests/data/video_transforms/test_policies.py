"""RandAugment and AugMix: their operations by what they do, their draws by how often."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.testing import assert_close

from tests.data.video_transforms.parts import random_video, still_video
from vidmodels.core.errors import ConfigError
from vidmodels.data import video_transforms as vt
from vidmodels.data.video_transforms import policies
from vidmodels.data.video_transforms.operations import OPERATIONS, WITHOUT_VALUE, draw_operation

FULL = {name: None if scale is None else scale.at(10) for name, scale in policies.PYSLOWFAST.items()}
NEUTRAL = {
    **dict.fromkeys(("AdjustBrightness", "AdjustContrast", "AdjustSaturation", "AdjustSharpness"), 1.0),
    **dict.fromkeys(("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "SolarizeAdd"), 0.0),
    "Posterize": 8,
    "Solarize": 1.0,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_keep_shape_type_and_range(name, dtype):
    video = 0.2 + 0.6 * random_video()  # leaves contrast to be gained
    video = video if dtype.is_floating_point else (video * 255).to(dtype)
    out = vt.apply_operation(video, name, FULL[name])
    assert out.shape == video.shape
    assert out.dtype == dtype
    assert out.float().min() >= 0
    assert out.float().max() <= (1 if dtype.is_floating_point else 255)
    assert not torch.equal(out, video)


@pytest.mark.parametrize("name", NEUTRAL)
def test_operations_at_their_neutral_value_change_nothing(name):
    video = random_video(torch.uint8)
    assert torch.equal(vt.apply_operation(video, name, NEUTRAL[name]), video)


@pytest.mark.parametrize("name", OPERATIONS)
def test_float_and_uint8_agree(name):
    video = still_video(torch.uint8)
    out = vt.apply_operation(video / 255, name, FULL[name])
    whole = vt.apply_operation(video, name, FULL[name])
    # uint8 rounds after each step of an operation; a threshold may take the other side at one value
    assert ((out * 255 - whole).abs() > 2).float().mean() < 0.02


def test_what_operations_do():
    video = still_video()
    assert_close(vt.apply_operation(video, "AdjustBrightness", 0.5), video / 2)
    assert_close(vt.apply_operation(video, "Invert"), 1 - video)
    assert_close(vt.apply_operation(video, "Solarize", 0.4), torch.where(video > 0.4, 1 - video, video))
    assert_close(vt.apply_operation(video, "SolarizeAdd", 0.2), torch.where(video <= 0.5, video + 0.2, video))
    grey = vt.apply_operation(video, "AdjustSaturation", 0.0)
    assert_close(grey[0], grey[1])
    levels = vt.apply_operation(still_video(torch.uint8), "Posterize", 1.2)  # two bits
    assert set(levels.unique().tolist()) <= {0, 64, 128, 192}
    assert set(vt.apply_operation(still_video(torch.uint8), "Posterize", 0).unique().tolist()) <= {0, 128}
    moved = vt.apply_operation(video, "TranslateX", 0.25)  # 8 of 32 columns, to the right
    assert_close(moved[..., 8:], video[..., :-8])
    assert_close(moved[..., :8], torch.full_like(video[..., :8], 0.5))
    upright = vt.apply_operation(still_video(height=24, width=24), "Rotate", 90)
    assert_close(upright, still_video(height=24, width=24).rot90(1, (-2, -1)), atol=1e-4, rtol=0)
    stretched = vt.apply_operation(still_video(torch.uint8), "AutoContrast")
    assert stretched[2].min() == 0
    assert stretched[2].max() >= 254  # steps are rounded down


@pytest.mark.parametrize(("name", "axis", "across"), [("ShearX", -1, -2), ("ShearY", -2, -1)])
def test_shears_move_by_their_tangent(name, axis, across):
    line = torch.zeros(3, 1, 41, 41).index_fill(axis, torch.tensor([20]), 1)
    sheared = vt.apply_operation(line, name, 0.3, fill=0.0)[0, 0]
    sheared = sheared if across == -2 else sheared.T
    places = (sheared * torch.arange(41.0)).sum(1) / sheared.sum(1)  # where the line is, row by row
    assert (places[30] - places[10]).abs().item() == pytest.approx(0.3 * 20, abs=0.2)


def test_ranges():
    table = policies.RAND_AUGMENT
    assert len(table) == 14
    assert {name for name, scale in table.items() if scale is None} == set(WITHOUT_VALUE)
    for name, low, high in [
        ("AdjustContrast", 0.1, 1.9),
        ("Rotate", -30, 30),
        ("ShearX", -0.3, 0.3),
        ("TranslateY", -0.45, 0.45),
    ]:
        assert (table[name].at(10, True), table[name].at(10)) == (pytest.approx(low), pytest.approx(high))
        assert table[name].at(0) == table[name].at(0, True)
    assert [table["Posterize"].at(level) for level in (0, 5, 10)] == [4, 2, 0]
    assert [table["Solarize"].at(level) for level in (0, 10)] == [1, 0]
    assert len(policies.AUG_MIX) == 13
    assert policies.AUG_MIX["AdjustSharpness"].at(10) == pytest.approx(1.9)


def test_all_operations_are_drawn_on_both_sides():
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_operation(policies.RAND_AUGMENT, 9, generator) for _ in range(2800)]
    counts = Counter(name for name, _ in drawn)
    assert len(counts) == 14
    assert min(counts.values()) > 140
    turns = [value for name, value in drawn if name == "Rotate"]
    assert {round(turn) for turn in turns} == {-27, 27}
    assert 0.35 < sum(turn > 0 for turn in turns) / len(turns) < 0.65


def test_rand_augment_applies_as_many_as_the_probability_says(monkeypatch):
    applied = []
    monkeypatch.setattr(policies, "apply_operation", lambda video, name, value, fill: applied.append(name) or video)
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        vt.rand_augment(random_video(), num_layers=3, generator=generator)
    assert 680 < len(applied) < 820
    assert torch.equal(vt.rand_augment(random_video(), probability=0.0), random_video())


def test_aug_mix_stays_between_the_video_and_its_chains(monkeypatch):
    video = random_video()
    monkeypatch.setattr(policies, "apply_operation", lambda chain, name, value, fill: torch.ones_like(chain))
    shares = set()
    for seed in range(10):
        out = vt.aug_mix(video, generator=torch.Generator().manual_seed(seed))
        share = ((out - video) / (1 - video)).mean()
        assert_close(out, video + share * (1 - video), atol=1e-4, rtol=0)
        shares.add(round(share.item(), 3))
    assert len(shares) == 10


def test_chains_of_aug_mix(monkeypatch):
    applied = []
    monkeypatch.setattr(policies, "apply_operation", lambda chain, *rest: applied.append(rest[0]) or chain)
    generator = torch.Generator().manual_seed(0)
    lengths = []
    for _ in range(100):
        applied.clear()
        vt.aug_mix(random_video(), width=1, generator=generator)
        lengths.append(len(applied))
    assert set(lengths) == {1, 2, 3}
    applied.clear()
    assert_close(vt.aug_mix(random_video(), width=4, depth=2, generator=generator), random_video())
    assert len(applied) == 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: vt.RandAugment(magnitude=11), "the magnitude of a policy is 11"),
        (lambda: vt.AugMix(width=0), "cannot mix 0 chains"),
        (lambda: vt.apply_operation(random_video(), "Rotat", 3), r"no operation 'Rotat' \(did you mean 'Rotate'\?\)"),
        (lambda: vt.apply_operation(random_video(), "Rotate"), "the operation Rotate needs a value"),
    ],
)
def test_impossible_settings(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
