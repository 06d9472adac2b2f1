"""Three pathways and their laterals: shapes, silence, DropPathway."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vidmodels.backbones.avslowfast import AVSlowFast, FusionConfig
from vidmodels.backbones.avslowfast_audio import AudioBlock, AudioConfig, AudioNet, AudioStageConfig, AudioToSlow, init_audio
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.core.errors import ConfigError

OPTIONS = ResNetOptions(depth=(1, 1, 1, 1), width=8)
THIN = ResNetOptions(depth=(1, 1, 1, 1), width=8, width_divisor=4)


def audio_config(forms=("wide", "wide", "joint", "joint"), early_time: bool = False, stride: int = 2) -> AudioConfig:
    dims = (16, 32, 64, 128)
    stages = (AudioStageConfig(d, d // 4, 1, f, stride if i else 1) for i, (d, f) in enumerate(zip(dims, forms)))
    return AudioConfig(4, tuple(stages), early_time)


def backbone(audio: AudioConfig | None = None, **fusion) -> AVSlowFast:
    """16 frames of Fast, 4 of Slow, 64 rows; the zeros that blocks begin with are stirred."""
    torch.manual_seed(0)
    config = FusionConfig(**{"alpha": 4, "audio_alpha": 16, "audio_width": 8, **fusion})
    model = AVSlowFast(resnet_config("slow", OPTIONS), resnet_config("fast", THIN), audio or audio_config(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def clips(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 16, 32, 32, generator=torch.Generator().manual_seed(1))


def sounds(n: int = 2, seed: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, 64, 40, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("early_time", "middle"), [(False, "wide"), (False, "narrow"), (True, "narrow")])
def test_stages_halve_time_and_mel_bands(early_time, middle):
    net = AudioNet(audio_config((middle, middle, "joint", "joint"), early_time))
    x = net.stem(torch.randn(1, 1, 1, 128, 80))
    sizes = [x.shape[1:]]
    for stage in net.stages:
        x = stage(x)
        sizes.append(x.shape[1:])
    assert [tuple(size) for size in sizes] == [
        (4, 1, 128, 80), (16, 1, 128, 80), (32, 1, 64, 40), (64, 1, 32, 20), (128, 1, 16, 10),
    ]  # fmt: skip
    assert net.config.reductions == (1, 1, 2, 4, 8)


def test_an_early_stride_in_time_skips_what_comes_between():
    """PyTorchVideo's convolution a takes every second step, so that the others are never seen; the authors' b sees all."""
    stage = AudioStageConfig(8, 4, 1, "joint")
    x = torch.randn(1, 4, 1, 16, 8)
    other = x.clone()
    other[:, :, :, 1::2] = 0
    early, late = (AudioBlock(4, stage, 2, early_time=early).eval() for early in (True, False))
    with torch.no_grad():
        assert_close(early(x), early(other), rtol=0, atol=0)
        assert not torch.allclose(late(x), late(other), atol=1e-3)


@pytest.mark.parametrize("form", ["wide", "narrow", "joint"])
def test_fresh_blocks_are_identities(form):
    block = AudioBlock(8, AudioStageConfig(8, 4, 1, form), 1).eval()
    init_audio(block)
    x = torch.rand(1, 8, 1, 16, 8)
    with torch.no_grad():
        assert_close(block(x), x, rtol=0, atol=0)


@torch.no_grad()
def test_a_lateral_connection_knows_no_mel_band_and_one_step_for_each_frame():
    lateral = AudioToSlow((6, 4, 10), 5, 8).eval()
    x = torch.randn(2, 6, 1, 32, 12)
    out = lateral(x)
    assert out.shape == (2, 10, 4, 1, 1)
    assert_close(lateral(x.flip(-1)), out)
    assert not torch.allclose(lateral(x.flip(-2)), out, atol=1e-3)


@torch.no_grad()
def test_maps_and_dims():
    model = backbone()
    slow, fast, audio = model(clips(), sounds())
    assert (slow.shape, fast.shape) == ((2, 256, 4, 1, 1), (2, 64, 16, 1, 1))
    assert audio.shape == (2, 128, 1, 8, 5)
    assert model.dims == (256, 64, 128)
    assert [m.shape for m in model.maps(clips())] == [slow.shape, fast.shape]


@torch.no_grad()
def test_stages_that_do_not_reduce_leave_the_strides_to_the_laterals():
    model = backbone(audio_config(stride=1))
    assert model(clips(1), sounds(1))[2].shape == (1, 128, 1, 64, 40)
    assert model.audio_laterals["3"].convs[-1].conv.stride == (1, 16, 1)


@torch.no_grad()
def test_no_sound_is_the_same_as_sounds_that_do_not_count():
    model = backbone()
    video, nowhere = clips(), torch.zeros(2, dtype=torch.bool)
    silent = model(video)
    unheard = model(video, torch.full((2, 1, 64, 40), float("nan")), nowhere)
    assert_close(unheard[0], silent[0], rtol=0, atol=0)
    assert silent[2].shape == (2, 128, 1, 1, 1)
    assert silent[2].abs().sum() == unheard[2].abs().sum() == 0


@torch.no_grad()
def test_each_clip_has_its_own_sound_or_none():
    model, video, audio = backbone(), clips(), sounds()
    mixed = model(video, audio, torch.tensor([True, False]))
    heard, silent = model(video, audio), model(video)
    for number in (0, 1):
        assert_close(mixed[number][:1], heard[number][:1])
        assert_close(mixed[number][1:], silent[number][1:])
    assert_close(mixed[2][:1], heard[2][:1])
    assert not torch.allclose(heard[0], silent[0], atol=1e-3)


@torch.no_grad()
def test_dropping_shuts_the_laterals_only():
    model, video, audio = backbone(), clips(), sounds()
    dropped, silent, heard = model(video, audio, drop=True), model(video), model(video, audio)
    assert_close(dropped[0], silent[0], rtol=0, atol=0)
    assert_close(dropped[2], heard[2], rtol=0, atol=0)
    other = model(video, sounds(seed=3), drop=True)
    assert_close(other[0], dropped[0], rtol=0, atol=0)
    assert not torch.allclose(other[2], dropped[2], atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(("rate", "like"), [(0.0, False), (1.0, True)])
def test_rates_0_and_1_in_training(rate, like):
    model, video, audio = backbone(drop_pathway=rate), clips(), sounds()
    expected = model(video, audio, drop=like)
    model.train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.eval()
    assert_close(model(video, audio)[0], expected[0], rtol=0, atol=0)


def test_the_rate_of_dropping():
    model = backbone().train()
    torch.manual_seed(0)
    kept = torch.stack([model.let_in(None) for _ in range(10_000)])
    assert set(kept.tolist()) == {0.0, 1.0}
    assert 1 - kept.mean().item() == pytest.approx(0.8, abs=0.02)
    assert model.eval().let_in(None).item() == 1.0


def test_every_parameter_has_a_gradient_when_dropped():
    model = backbone().train()
    sum(m.square().mean() for m in model(clips(), sounds(), drop=True)).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert model.audio_laterals["2"].convs[0].conv.weight.grad.abs().sum() == 0


@torch.no_grad()
def test_pairs_are_means_before_audio_joins():
    model, video, audio, other = backbone(), clips(), sounds(), sounds(seed=3)
    seen = model.observe(video, audio, other)
    assert list(seen.pairs) == ["res3", "res4"]
    first = seen.pairs["res3"]
    assert_close(first.visual, model.observe(video, audio, other, drop=True).pairs["res3"].visual)
    swapped = model.observe(video, other, audio)
    assert_close(swapped.pairs["res3"].aligned, first.misaligned)
    assert_close(swapped.pairs["res3"].misaligned, first.aligned)
    assert_close(swapped.other_audio, seen.maps[2])
    # at res4 the pictures have heard the sound of res3, unless it was dropped
    assert not torch.allclose(swapped.pairs["res4"].visual, seen.pairs["res4"].visual, atol=1e-4)
    assert_close(seen.maps[0], model(video, audio)[0])


def test_layers_are_numbered():
    model = backbone(fast_at=(True,) * 4, audio_at=(True,) * 4)
    numbers = {name: model.layer_id(name) for name, _ in model.named_parameters()}
    assert numbers["audio.stem.conv_t.weight"] == numbers["laterals.0.conv.weight"] == 0
    assert numbers["audio.res5.0.c.conv.weight"] == numbers["slow.res5.blocks.0.conv_a.weight"] == 4
    assert numbers["audio_laterals.3.convs.1.conv.weight"] == 3
    assert set(numbers.values()) == set(range(model.num_layers))
    assert len(model.blocks()) == 12


@pytest.mark.parametrize(
    ("audio", "misaligned", "message"),
    [
        (sounds()[:, :, :60], None, r"audio of shape \(2, 1, 60, 40\) does not fit 2 clips with 4 frames .*give \[2, 1, 64"),
        (sounds(1), None, r"audio of shape \(1, 1, 64, 40\) does not fit 2 clips"),
        (sounds()[:, 0], None, r"audio of shape \(2, 64, 40\) does not fit"),
        (sounds(), sounds()[:, :, :32], r"audio of shape \(2, 1, 32, 40\) does not fit"),
        (None, sounds(), "misaligned audio was given without the aligned one: give both"),
    ],
)
def test_sounds_that_do_not_fit(audio, misaligned, message):
    with pytest.raises(ConfigError, match=message):
        backbone().observe(clips(), audio, misaligned)


def test_rows_that_the_laterals_cannot_divide():
    with pytest.raises(ConfigError, match="audio_alpha 6 is not a multiple of 4, by which Audio has fewer steps after res4"):
        backbone(audio_alpha=6)
