"""The vision transformer on clips of any size, and its image model."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vidmodels.backbones.vit import VideoViT, ViTConfig
from vidmodels.core.errors import ConfigError
from vidmodels.layers.transformer import Attention, drop_path_rates
from vidmodels.systems.mae_st.model import VideoClassifier, to_image_model

CONFIG = ViTConfig(32, 2, 4, 8, 32, (2, 8, 8))


def clips(frames: int = 8, size: int = 32) -> torch.Tensor:
    return torch.randn(2, 3, frames, size, size, generator=torch.Generator().manual_seed(0))


def changed(**changes) -> ViTConfig:
    return ViTConfig(**{**CONFIG.__dict__, **changes})


@torch.no_grad()
def test_embedding_is_the_convolution():
    model, x = VideoViT(CONFIG), clips()
    expected = functional.conv3d(x, model.patch_embed.weight, model.patch_embed.bias, (2, 8, 8)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.embed(x)[:, 1:], expected + model.pos.tokens((4, 4, 4)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("class_token", [True, False])
@torch.no_grad()
def test_any_length_and_crop(separable, class_token):
    model = VideoViT(changed(patch=(2, 16, 16), separable=separable, class_token=class_token)).eval()
    for frames, size in ((8, 32), (16, 32), (32, 160), (2, 16)):
        tokens = model(clips(frames, size)[:1])
        assert tokens.shape == (1, class_token + frames // 2 * (size // 16) ** 2, 32)
        assert torch.isfinite(tokens).all()


@torch.no_grad()
def test_kept_tokens_are_embedded_like_all():
    model, x = VideoViT(CONFIG), clips()
    keep = torch.tensor([[5, 0, 63], [1, 2, 3]])
    everything, some = model.embed(x), model.embed(x, keep)
    for n in range(2):
        torch.testing.assert_close(some[n, 1:], everything[n, 1:][keep[n]], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("frames", "size"), [(7, 32), (8, 36), (1, 32)])
def test_clips_that_patches_do_not_divide_are_refused(frames, size):
    with pytest.raises(ConfigError, match="choose a number of"):
        VideoViT(CONFIG)(clips(frames, size))
    with pytest.raises(ConfigError, match="choose a number of"):
        VideoViT(changed(num_frames=frames, size=size))


@pytest.mark.parametrize("separable", [True, False])
@torch.no_grad()
def test_image_model_embeds_a_still_clip_like_the_video_model(separable):
    model = VideoClassifier(changed(separable=separable), 5).eval()
    image = to_image_model(model).eval()
    still = clips(1)
    x = still.expand(-1, -1, 8, -1, -1)
    video = model.encoder.embed(x)[:, 1:] - model.encoder.pos.tokens((4, 4, 4))
    pictures = image.encoder.embed(still)[:, 1:] - image.encoder.pos.tokens((1, 4, 4))
    torch.testing.assert_close(video.view(2, 4, 16, 32), pictures.unsqueeze(1).expand(-1, 4, -1, -1), rtol=0, atol=1e-5)
    if separable:
        assert torch.equal(image.encoder.pos.tokens((1, 4, 4)), model.state_dict()["encoder.pos.spatial"])
    assert image(still).shape == (2, 5)
    assert torch.equal(image.head.weight, model.head.weight)


def test_drop_path_rises_linearly():
    assert drop_path_rates(0.2, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert drop_path_rates(0.2, 1) == [0]


def test_attention_refuses_heads_that_do_not_divide():
    with pytest.raises(ValueError, match="30 is not a multiple of num_heads 4"):
        Attention(30, 4)
