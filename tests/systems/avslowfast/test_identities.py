"""What must hold for an audiovisual SlowFast, whatever its weights."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.avslowfast.parts import clips, sounds, tiny
from vidmodels.backbones.slowfast import slow_frames
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import OptimSection
from vidmodels.heads.audiovisual import AudioVisualOutput
from vidmodels.training.distributed import checkpoint_activations
from vidmodels.training.optim import param_groups
from vidmodels.zoo import create_model


@torch.no_grad()
def test_when_dropped_a_sound_reaches_the_head_only():
    """Another sound changes the logits by what the head's own columns for Audio make of it, and by nothing else."""
    model, video, one, other = tiny(), clips(), sounds(seed=1), sounds(seed=2)
    difference = model(video, other, drop=True) - model(video, one, drop=True)
    heard = [model.backbone(video, sound, drop=True)[2].mean((2, 3, 4)) for sound in (one, other)]
    columns = model.head.projection.weight[:, -heard[0].shape[1] :]
    assert difference.abs().max() > 1e-3
    assert_close(difference, (heard[1] - heard[0]) @ columns.T, rtol=1e-4, atol=1e-4)
    through_laterals = model(video, other) - model(video, one)
    assert not torch.allclose(through_laterals, difference, atol=1e-3)


@torch.no_grad()
def test_without_sound_the_head_gets_zeros():
    model, video = tiny(), clips()
    features = model.features(video)
    assert features.shape == (2, sum(model.backbone.dims))
    assert features[:, -model.backbone.dims[2] :].abs().sum() == 0
    assert_close(model(video), model.head.projection(features))
    nothing = torch.zeros(2, dtype=torch.bool)
    assert_close(model(video, sounds(), nothing), model(video), rtol=0, atol=0)


@torch.no_grad()
def test_fast_s_frames_alone_are_enough():
    model, fast, sound = tiny(), clips(), sounds()
    both = [fast[:, :, slow_frames(16, 8)], fast]
    assert_close(model(fast, sound), model(both, sound), rtol=0, atol=0)
    assert_close(model.features(fast, sound), model.features(both, sound), rtol=0, atol=0)


@torch.no_grad()
def test_a_larger_crop_gives_the_mean_of_the_scores_of_its_positions():
    """Trained at 32 pixels, tested at 64: 2 x 2 positions, each with the same sound."""
    model, video, sound = tiny(), clips(size=64), sounds()
    each = model.head.projection(model.head.positions(model.backbone(video, sound)))
    assert each.shape[1] == 4
    assert_close(model(video, sound).softmax(1), each.softmax(-1).mean(1))
    assert_close(tiny(average="logits")(video, sound), each.mean(1))


@torch.no_grad()
def test_misaligned_sounds_change_no_logit():
    model, video, sound = tiny(), clips(), sounds()
    found = model(video, sound, misaligned=sounds(seed=5))
    assert isinstance(found, AudioVisualOutput)
    assert_close(found.logits, model(video, sound))
    assert list(found.synchrony.losses) == ["res3", "res4", "res5"]


def test_learning_from_synchrony_alone_needs_no_class():
    model = tiny(num_classes=0).train()
    found = model(clips(), sounds(), misaligned=sounds(seed=5), drop=True)
    assert found.logits is None
    found.synchrony.loss.backward()
    # a fresh head of synchronisation sees all that the pathways do, but what comes after res5's map
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert model.eval()(clips(), sounds()).shape == (2, sum(model.backbone.dims))


def test_a_step_with_labels_and_synchrony_reaches_every_parameter():
    for drop in (False, True):
        model = tiny().train()
        found = model(clips(), sounds(), misaligned=sounds(seed=5), drop=drop)
        (found.logits.square().mean() + found.synchrony.loss).backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
@pytest.mark.parametrize("mels", [40, 80])
def test_any_number_of_mel_bands_is_taken(mels):
    assert torch.isfinite(tiny()(clips(), sounds(mels=mels))).all()


def test_recomputed_activations_give_the_same_gradients():
    model, again = (tiny(dropout=0.0).train() for _ in range(2))
    checkpoint_activations(again)
    for each in (model, again):
        each(clips(), sounds(), drop=False).square().mean().backward()
    for (name, one), (_, other) in zip(model.named_parameters(), again.named_parameters()):
        if one.grad is not None and other.grad is not None:
            assert_close(one.grad, other.grad, msg=name)


def test_layers_for_learning_rates():
    groups = param_groups(tiny(), OptimSection(layer_decay=0.5))
    scale = {name: group["lr_scale"] for group in groups for name in group["names"]}
    assert scale["head.projection.weight"] == scale["sync.res3.visual.weight"] == 1.0
    assert scale["backbone.audio.res5.0.c.conv.weight"] == 0.5
    assert scale["backbone.audio.stem.conv_t.weight"] == scale["backbone.slow.stem.conv.weight"] == 0.5**5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 30}, "num_frames 30 is not a multiple of alpha 8"),
        ({"audio_rows": 130}, "audio_rows 130 is not a multiple of the 4 frames of Slow"),
        ({"audio_rows": 8}, "audio_alpha 2 is not a multiple of 4, by which Audio has fewer steps after res4"),
        ({"drop_pathway": 1.5}, "drop_pathway 1.5 is not a probability"),
        ({"drop_patway": 0.5}, "avslowfast_r50_4x16 has no setting 'drop_patway'"),
        ({"audio_forms": ("wide",)}, r"audio_forms \('wide',\) must name the form of four stages"),
        ({"audio_at": (False,) * 4}, "sound and pictures cannot be compared after res3"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        create_model("avslowfast_r50_4x16", width=8, depth=(1, 1, 1, 1), **settings)


def test_sounds_without_a_head_to_compare_them():
    with pytest.raises(ConfigError, match=r"the model compares nothing: create it with sync=\('res3', ...\)"):
        tiny(sync=())(clips(), sounds(), misaligned=sounds())
