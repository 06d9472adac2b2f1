"""Published and own files of MViTv2: all layouts load, and the report says what happened."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models.video.mvit import MSBlockConfig
from torchvision.models.video.mvit import MViT as TorchvisionMViT

from tests.backbones.mvit_parts import clips, clips_of, settings_of, stirred, timm, torchvision
from tests.backbones.mvit_plain import V2, V2_IMAGE, Shape, random_state, run
from vidmodels import zoo
from vidmodels.core.errors import WeightsError
from vidmodels.systems.mvitv2.weights import load, load_tensors


def tiny(s: Shape = V2, seed: int = 0, **changes: Any) -> Any:
    torch.manual_seed(seed)
    return stirred(zoo.create_model("mvitv2_tiny_video", **{**settings_of(s), **changes}), seed)


def squeezed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Pool kernels of two axes, as in the image repository's models."""
    return {key: value.squeeze(2) if ".pool_" in key else value for key, value in state.items()}


LAYOUTS = {
    "PySlowFast": (V2, dict), "torchvision": (V2, torchvision), "PySlowFast, image, kernels of two axes": (V2_IMAGE, squeezed),
    "PySlowFast, image, kernels of three axes": (V2_IMAGE, dict), "timm": (V2_IMAGE, partial(timm, s=V2_IMAGE)),
    "timm, class token": (replace(V2_IMAGE, cls=True), partial(timm, s=V2_IMAGE)),
    "timm, growth in the MLP": (replace(V2_IMAGE, in_attention=False), partial(timm, s=replace(V2_IMAGE, in_attention=False))),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@torch.no_grad()
def test_published_files_answer_as_published(layout, tmp_path):
    s, renamed = LAYOUTS[layout]
    state = random_state(s)
    torch.save({"model_state": renamed(state), "epoch": 3, "cfg": "MVIT:\n  DEPTH: 4"}, tmp_path / "checkpoint.pyth")
    model = tiny(s)
    report = zoo.load_weights(model, tmp_path / "checkpoint.pyth")
    assert report.format == layout.split(",")[0]
    assert (report.new, report.resized, report.dropped) == ([], {}, {})
    assert set(report.loaded) == set(model.state_dict())
    assert_close(model(clips_of(s)), run(state, s, clips_of(s))["logits"], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_model_of_torchvision():
    blocks = [
        MSBlockConfig(1, 8, 8, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 4, 4]),
        MSBlockConfig(2, 8, 16, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
        MSBlockConfig(2, 16, 16, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 2, 2]),
        MSBlockConfig(4, 16, 32, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 1, 1]),
    ]
    theirs = stirred(
        TorchvisionMViT((32, 32), 4, blocks, True, False, True, True, num_classes=5, norm_layer=partial(nn.LayerNorm, eps=1e-6))
    )
    model = tiny()
    assert set(load_tensors(model, theirs.state_dict(), "torchvision").loaded) == set(model.state_dict())
    assert_close(model(clips()), theirs(clips()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "model", "words"),
    [
        ({"in_attention": False}, {}, "growth='mlp', this one has growth='attention': pass growth='mlp' to create_model"),
        ({}, {"growth": "mlp"}, "growth='attention', this one has growth='mlp': pass growth='attention' to create_model"),
        ({"every_q": False}, {}, "pool_every_query=False"),
        ({"cls": False}, {}, "class_token=False"),
        ({"space": False}, {}, "relative_space=False"),
        ({"time": False}, {}, "relative_time=False"),
        ({"positions": "separable"}, {}, "positions='separable', this one has positions='none'"),
    ],
)
def test_a_file_of_another_form_is_refused_with_the_setting_to_pass(file, model, words):
    with pytest.raises(WeightsError) as caught:
        load_tensors(tiny(**model), random_state(replace(V2, **file)), "some/file.pyth")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_token_of_an_image_model():
    with pytest.raises(WeightsError, match="class_token=True, this one has class_token=False"):
        load_tensors(tiny(V2_IMAGE), random_state(replace(V2_IMAGE, cls=True)), "in21k")


@pytest.mark.parametrize("s", [replace(V2, in_attention=False), replace(V2_IMAGE, in_attention=False)])
@torch.no_grad()
def test_growth_in_the_mlp_loads_with_its_setting(s):
    state, model = random_state(s), tiny(s)
    assert load_tensors(model, state, "file").new == []
    assert_close(model(clips_of(s)), run(state, s, clips_of(s))["logits"], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_tables_for_longer_clips_and_other_crops_are_resized():
    state, model = random_state(V2), tiny(num_frames=8, size=64)
    report = load_tensors(model, state, "file")
    assert report.new == []
    assert report.resized["backbone.layers.0.attn.relative.time"] == "(3, 8) -> (7, 8)"
    assert report.resized["backbone.layers.0.attn.relative.height"] == "(15, 8) -> (31, 8)"
    assert len(report.resized) == 3 * 4
    line = nn.functional.interpolate(state["blocks.0.attn.rel_pos_w"].T[None], size=31, mode="linear")[0].T
    assert_close(model.state_dict()["backbone.layers.0.attn.relative.width"], line)
    # a model of the file's size takes the larger clips too, with the same tables resized as it runs
    native = tiny()
    load_tensors(native, state, "file")
    assert_close(native(clips(1, 8, 64, 64)), model(clips(1, 8, 64, 64)), rtol=1e-5, atol=1e-5)


class TestVideoFromImages:
    @torch.no_grad()
    def test_a_still_clip_is_taken_like_its_picture(self):
        """Centre frames and tables of zeros along time: every time step computes what the image model does."""
        image = replace(V2_IMAGE, residual="grid")
        state, video, picture = random_state(image), tiny(replace(V2, cls=False)), tiny(image)
        report = load_tensors(video, state, "image")
        load_tensors(picture, state, "image")
        assert report.new == []
        assert report.resized["backbone.layers.0.attn.relative.time"] == "nothing in a file of images -> (3, 8) of zeros"
        assert report.resized["backbone.layers.3.attn.pool_v.conv.weight"] == "(8, 1, 1, 3, 3) -> (8, 1, 3, 3, 3)"
        x = clips_of(image)
        (moving,), (still,) = video.backbone.maps(x.expand(-1, -1, 4, -1, -1)), picture.backbone.maps(x)
        assert_close(moving, still.expand(-1, -1, 2, -1, -1), rtol=1e-4, atol=1e-5)
        assert_close(video(x.expand(-1, -1, 4, -1, -1)), picture(x), rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_kernels_repeated_over_time_are_the_other_way(self, tmp_path):
        state, model = random_state(V2_IMAGE), tiny()
        torch.save(state, tmp_path / "image.pth")
        load(model, tmp_path / "image.pth", inflate="repeat")
        kernel = model.state_dict()["backbone.layers.0.attn.pool_q.conv.weight"]
        assert torch.equal(kernel, state["blocks.0.attn.pool_q.weight"].expand(-1, -1, 3, -1, -1))

    @pytest.mark.parametrize("cls", [False, True])
    def test_class_token_is_the_files_or_new(self, cls):
        model = tiny()
        report = load_tensors(model, random_state(replace(V2_IMAGE, cls=cls)), "image")
        assert report.new == ([] if cls else ["backbone.cls_token"])
        assert not model.state_dict()["backbone.layers.0.attn.relative.time"].any()

    def test_strides_of_images_give_tables_of_other_lengths(self):
        """Image models begin with a stride of 4, video models with 8: their last tables differ."""
        wide = replace(V2_IMAGE, size=64, kv_stride=(1, 2, 2))
        report = load_tensors(tiny(size=64, kv_stride=(1, 8, 8)), random_state(wide), "image")
        assert report.resized["backbone.layers.1.attn.relative.height"] == "(31, 8) -> (15, 8)"

    def test_its_head_must_be_let_go(self):
        with pytest.raises(WeightsError, match="a head of 5 classes, the model one of 7"):
            load_tensors(tiny(num_classes=7), random_state(V2_IMAGE), "image")
        report = load_tensors(tiny(num_classes=7), random_state(V2_IMAGE), "image", allow=("head.*",))
        assert "head.projection.weight" in report.new


def test_unknown_keys_of_timm_are_named():
    state = {**timm(random_state(V2_IMAGE), V2_IMAGE), "stages.1.downsample.weight": torch.zeros(3)}
    with pytest.raises(WeightsError, match=r"looks like timm, but has keys .* 'stages\.1\.downsample\.weight'"):
        load_tensors(tiny(V2_IMAGE), state, "file")


def test_a_masked_autoencoder_is_not_taken_for_it():
    state = {**random_state(V2), "decoder_embed.weight": torch.zeros(3), "mask_token": torch.zeros(1, 1, 8)}
    with pytest.raises(WeightsError, match="is this a checkpoint of another model"):
        load_tensors(tiny(), state, "file")


def test_own_files_make_the_same_model_again(tmp_path):
    model = tiny(seed=1)
    path = zoo.save_weights(model, tmp_path / "model.safetensors", {"classes": list("abcde")})
    again, metadata = zoo.load_model(path)
    assert metadata["name"] == "mvitv2_tiny_video"
    assert again.backbone.config == model.backbone.config
    assert torch.equal(again.eval()(clips()), model(clips()))


def test_own_files_of_images_start_video_models(tmp_path):
    path = zoo.save_weights(tiny(V2_IMAGE, seed=1), tmp_path / "model.safetensors")
    report = zoo.load_weights(tiny(), path)
    assert report.format == "vidmodels"
    assert report.new == ["backbone.cls_token"]
