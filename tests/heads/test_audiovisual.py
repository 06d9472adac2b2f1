"""Heads that see and hear: positions of a larger crop, and the comparison of sound and pictures."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.backbones.test_avslowfast import backbone, clips, sounds
from vidmodels.core.errors import ConfigError
from vidmodels.heads.audiovisual import AudioVisualHead, SyncHeads


def test_the_sound_stands_beside_every_position():
    head = AudioVisualHead((3, 2, 4), 5, window=2).eval()
    slow, fast, audio = torch.randn(2, 3, 4, 3, 3), torch.randn(2, 2, 8, 3, 3), torch.randn(2, 4, 1, 8, 5)
    positions = head.positions([slow, fast, audio])
    assert positions.shape == (2, 4, 9)
    assert_close(positions[:, 1, :3], slow[:, :, :, :2, 1:].mean((2, 3, 4)))
    for number in range(4):
        assert_close(positions[:, number, 5:], audio.mean((2, 3, 4)))
    scores = head.projection(positions).softmax(-1).mean(1)
    assert_close(head([slow, fast, audio]).softmax(1), scores)
    assert_close(head.pool([slow, fast, audio]), positions.mean(1))


def compared(drop: bool | None, levels=("res3", "res4", "res5"), has_audio=None, other=None):
    model = backbone()
    heads = SyncHeads(model, levels, dim=16).eval()
    audio, misaligned = sounds(), sounds(seed=3) if other is None else other
    return heads(model.observe(clips(), audio, misaligned, has_audio, drop), audio, misaligned, has_audio)


def test_without_dropping_only_the_levels_before_pictures_have_heard_count():
    found = compared(drop=False)
    assert found.losses["res3"] > 0
    assert found.losses["res4"] == found.losses["res5"] == 0
    assert_close(found.loss, found.losses["res3"])


def test_with_dropping_all_levels_count():
    found = compared(drop=True)
    assert all(loss > 0 for loss in found.losses.values())
    assert_close(found.loss, torch.stack(list(found.losses.values())).sum())
    assert_close(found.losses["res3"], compared(drop=False).losses["res3"])


def test_the_loss_is_that_of_the_distances():
    found = compared(drop=True)
    for level, loss in found.losses.items():
        near, far = found.near[level], found.far[level]
        assert (near <= 1).all()
        assert (far <= 1).all()
        expected = (near.square() + (0.99 - far).clamp(min=0).square()).sum() / (2 * len(near))
        assert_close(loss, expected)
        assert found.accuracy(level) == (near < far).float().mean()


def test_clips_without_sound_do_not_count():
    found = compared(drop=True, has_audio=torch.tensor([True, False]))
    assert found.valid.tolist() == [True, False]
    near, far = found.near["res3"][:1], found.far["res3"][:1]
    assert_close(found.losses["res3"], ((near.square() + (0.99 - far).square()) / 2).squeeze())
    silent = compared(drop=True, other=torch.zeros(2, 1, 64, 40))
    assert silent.valid.tolist() == [False, False]
    assert silent.loss == 0


def test_the_last_head_has_laterals_of_its_own():
    heads = SyncHeads(backbone(), ("res3", "res5"), dim=16)
    keys = set(heads.state_dict())
    assert {"res5.fast_to_slow.conv.weight", "res5.audio_to_slow.convs.1.conv.weight"} <= keys
    assert not any(key.startswith("res3.") and "to_slow" in key for key in keys)


def test_every_parameter_has_a_gradient():
    model = backbone().train()
    heads = SyncHeads(model, ("res3", "res4", "res5"), dim=16)
    audio, other = sounds(), sounds(seed=3)
    heads(model.observe(clips(), audio, other, drop=False), audio, other).loss.backward()
    assert [name for name, p in heads.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (("res6",), "there is no level 'res6' to compare sound and pictures at: choose of stem, res2, res3, res4, res5"),
        (("res2",), "sound and pictures cannot be compared after res2, where Audio has no lateral connection"),
    ],
)
def test_levels_that_cannot_be(levels, message):
    with pytest.raises(ConfigError, match=message):
        SyncHeads(backbone(), levels)
