"""Multiscale vision transformers: clips of any size, identities that hold whatever the weights are, and their geometry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from tests.backbones.mvit_parts import clips, clips_of, config_of, make, stirred
from tests.backbones.mvit_plain import IMAGE, V2, V2_IMAGE, Shape
from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.backbones.mvit_attention import BlockOptions, MViTBlock, Pooling, TokenPool, pool_tokens
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import OptimSection
from vidmodels.layers.transformer import Block
from vidmodels.training.distributed import checkpoint_activations
from vidmodels.training.optim import param_groups

FORMS = {"v1": Shape(), "v2": V2, "v1 image": IMAGE, "v2 image": V2_IMAGE, "joint": Shape(positions="joint")}


class TestGeometry:
    def test_keys_and_values_of_b_are_7_by_7_in_all_stages(self):
        grid, found = (8, 56, 56), []
        for shape in MViTConfig().blocks():
            assert shape.kv_pool is not None
            found.append(shape.kv_pool.grid(grid))
            grid = shape.q_pool.grid(grid) if shape.q_pool else grid
        inside = [found[i] for i in range(16) if i not in (1, 3, 14)]
        assert set(inside) == {(8, 7, 7)}
        # the first block of a stage has the stage's stride on the grid of the one before
        assert {found[i] for i in (1, 3, 14)} == {(8, 14, 14)}
        assert grid == (8, 7, 7)

    def test_tokens_of_b(self):
        with torch.device("meta"):
            model = MViT(MViTConfig())
        lengths = []
        for block in model.layers:
            block.register_forward_hook(lambda _module, _inputs, out: lengths.append(out.shape[1]))
        model(torch.empty(1, 3, 16, 224, 224, device="meta"))
        assert lengths == [25089, 6273, 6273, *[1569] * 11, 393, 393]

    def test_widths_of_b(self):
        shapes = MViTConfig().blocks()
        assert [s.dim_in for s in shapes] == [96, 192, 192, *[384] * 11, 768, 768]
        assert [s.dim_out for s in shapes] == [192, 192, 384, *[384] * 10, 768, 768, 768]
        assert [s.dim // s.num_heads for s in shapes] == [96] * 16
        shapes = MViTConfig(growth="attention").blocks()
        assert [s.dim_in for s in shapes] == [96, 96, 192, 192, *[384] * 11, 768]
        assert [s.dim_out for s in shapes] == [96, 192, 192, *[384] * 11, 768, 768]

    @pytest.mark.parametrize(
        ("changes", "cell"), [({}, 32), ({"q_strides": ((1, 2, 2), (1, 1, 1), (1, 2, 2))}, 16), ({"stage_starts": ()}, 4)]
    )
    def test_pixels_of_a_cell_of_the_last_map(self, changes, cell):
        config = MViTConfig(**changes, num_frames=2, size=64)
        assert config.stride == cell
        with torch.device("meta"):
            (found,) = MViT(config).maps(torch.empty(1, 3, 2, 64, 96))
        assert found.shape[3:] == (64 // cell, 96 // cell)

    def test_cells_that_are_not_square(self):
        with pytest.raises(ConfigError, match=r"cells of 32 x 16 pixels: give patch_stride and q_strides that are equal"):
            _ = MViTConfig(q_strides=((1, 2, 2), (1, 2, 1), (1, 2, 2))).stride

    def test_kernels_by_the_rule(self):
        shapes = MViTConfig(pool_kernel=None).blocks()
        assert [s.kv_pool.kernel if s.kv_pool else None for s in shapes if s.num_heads in (1, 8)] == [(1, 9, 9), None, None]
        assert {s.q_pool.kernel for s in shapes if s.q_pool} == {(1, 3, 3)}

    def test_pools_only_where_there_is_something_to_pool(self):
        assert [i for i, s in enumerate(MViTConfig().blocks()) if s.q_pool] == [1, 3, 14]
        assert [i for i, s in enumerate(MViTConfig(pool_unstrided=False).blocks()) if not s.kv_pool] == [14, 15]
        assert all(s.q_pool for s in MViTConfig(pool_every_query=True).blocks())

    def test_drop_path_rises_to_the_last_block(self):
        rates = [s.drop_path for s in MViTConfig(drop_path=0.3).blocks()]
        assert rates == pytest.approx([0.02 * i for i in range(16)])

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"dim": 97, "num_heads": 2}, "dim 97 is not a multiple of num_heads 2"),
            ({"growth": "both"}, "growth 'both' does not exist: choose one of mlp, attention"),
            ({"pool_mode": "sum"}, "pool_mode 'sum' does not exist: choose one of conv, max, avg"),
            ({"stage_starts": (3, 1)}, r"stage_starts \(3, 1\) must rise"),
            ({"stage_starts": (0, 3)}, r"stage_starts \(0, 3\) must rise and lie between 0 and the depth 16"),
            ({"stage_starts": (1, 16)}, r"stage_starts \(1, 16\) must rise"),
            ({"size": 3}, "16 frames of side 3 are smaller"),
            ({"q_strides": ((1, 2, 2),)}, "q_strides has 1 strides for the 3 stages"),
        ],
    )
    def test_impossible_settings(self, changes, words):
        with pytest.raises(ConfigError, match=words) as caught:
            MViTConfig(**changes)
        assert "\n" not in str(caught.value)


class TestClips:
    @pytest.mark.parametrize("form", ["v1", "v2", "joint"])
    @torch.no_grad()
    def test_any_length_and_crop(self, form):
        model = make(FORMS[form]).backbone
        for frames, height, width in ((4, 32, 32), (8, 32, 32), (4, 64, 48), (6, 40, 56), (2, 16, 16), (3, 33, 35)):
            tokens, grid = model.tokens(clips(1, frames, height, width))
            (mapped,) = model.maps(clips(1, frames, height, width))
            assert tokens.shape[1] == 1 + grid[0] * grid[1] * grid[2]
            assert mapped.shape == (1, 32, *grid)
            assert torch.isfinite(tokens).all()
            torch.testing.assert_close(mapped.flatten(2).transpose(1, 2), tokens[:, 1:], rtol=0, atol=0)

    @pytest.mark.parametrize("form", ["v1 image", "v2 image"])
    @torch.no_grad()
    def test_images_with_and_without_an_axis_of_time(self, form):
        model = make(FORMS[form])
        x = clips(2, 1)
        assert torch.equal(model(x), model(x[:, :, 0]))
        assert model(clips(1, 1, 48, 64)).shape == (1, 5)
        with pytest.raises(ConfigError, match=r"takes \[N, 3, H, W\] or \[N, 3, 1, H, W\], not \(2, 3, 2, 32, 32\)"):
            model(clips(2, 2))

    @pytest.mark.parametrize("shape", [(3, 4, 32, 32), (1, 1, 4, 32, 32), (2, 4, 3, 32, 32)])
    def test_other_shapes_are_refused(self, shape):
        with pytest.raises(ConfigError, match=r"takes \[N, 3, T, H, W\], not \("):
            make(Shape())(torch.zeros(shape))

    @torch.no_grad()
    def test_colours_in_the_other_order(self):
        x = clips()
        assert torch.equal(make(V2, reverse_channels=True)(x), make(V2)(x.flip(1)))
        assert not torch.equal(make(V2)(x), make(V2)(x.flip(1)))


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_a_batch_is_its_clips(form):
    model, x = make(FORMS[form]), clips_of(FORMS[form], 3)
    torch.testing.assert_close(model(x), torch.cat([model(clip[None]) for clip in x]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["v1", "v2", "v2 image"])
@torch.no_grad()
def test_swapped_axes_transpose_the_maps(form):
    """Height and width are treated alike, in clips, kernels and tables."""
    s = FORMS[form]
    model, swapped = make(s).backbone, make(s).backbone
    state = model.state_dict()
    for key, value in model.state_dict().items():
        if value.ndim == 5:
            state[key] = value.transpose(3, 4)
        elif key.endswith("relative.height"):
            state[key] = model.state_dict()[key.replace("height", "width")]
        elif key.endswith("relative.width"):
            state[key] = model.state_dict()[key.replace("width", "height")]
        elif key.endswith("pos.spatial"):
            state[key] = value.view(1, 8, 8, -1).transpose(1, 2).flatten(1, 2)
    swapped.load_state_dict(state)
    x = clips(2, s.frames, 48, 32)
    expected = model.maps(x)[0].transpose(3, 4)
    torch.testing.assert_close(swapped.maps(x.transpose(3, 4))[0], expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.maps(x.transpose(3, 4))[0], expected, atol=1e-2)


@torch.no_grad()
def test_tables_of_zeros_are_attention_without_positions():
    model, plain = make(V2), make(replace(V2, space=False, time=False))
    state = model.state_dict()
    for key in state:
        if ".relative." in key:
            state[key] = torch.zeros_like(state[key])
    model.load_state_dict(state)
    plain.load_state_dict({key: value for key, value in state.items() if ".relative." not in key})
    torch.testing.assert_close(model(clips()), plain(clips()), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_class_token_gets_no_positions():
    """In one block the class token's own answer does not change with the tables, those of the grid do."""
    model = make(V2).backbone
    x, grid = model.embed(clips())
    before = model.layers[0](x, grid)
    for table in model.layers[0].attn.relative.parameters():
        table.add_(1.0 * torch.randn_like(table))
    after = model.layers[0](x, grid)
    assert torch.equal(after[:, 0], before[:, 0])
    assert (after[:, 1:] - before[:, 1:]).abs().max() > 0.01


@torch.no_grad()
def test_without_pools_a_block_is_that_of_a_plain_transformer():
    config = MViTConfig(dim=16, depth=1, num_heads=4, stage_starts=(), kv_stride=(1, 1, 1), pool_kernel=None)
    block, plain = stirred(MViTBlock(config.blocks()[0], config.options)), Block(16, 4).eval()
    plain.load_state_dict(block.state_dict())
    x = torch.randn(2, 13, 16)
    torch.testing.assert_close(block(x, (3, 2, 2)), plain(x), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_kernels_never_touch_the_class_token():
    """It is normed, not mixed with the grid."""
    attention = make(V2).backbone.layers[1].attn
    x = torch.randn(2, 129, attention.shape.dim)
    for pool in (attention.pool_q, attention.pool_k, attention.pool_v):
        before = pool(x, (2, 8, 8), 2, True)
        pool.conv.weight.add_(1.0)
        after = pool(x, (2, 8, 8), 2, True)
        assert torch.equal(after[:, 0], before[:, 0])
        assert not torch.allclose(after[:, 1:], before[:, 1:], atol=0.1)


@torch.no_grad()
def test_positions_tell_frames_apart():
    """The mean over tokens of a model without class token and positions cannot tell the order of rows; with tables it can."""
    s = replace(V2, cls=False, space=False, time=False, kernel=(1, 1, 1), q_strides=((1, 1, 1),) * 2, kv_stride=(1, 1, 1))
    x = clips(1, 8)
    moved = x.unflatten(2, (4, 2)).flip(2).flatten(2, 3)  # the order of time steps, as whole patches
    blind = make(replace(s, every_q=False), patch=(2, 7, 7), patch_padding=(0, 3, 3))
    torch.testing.assert_close(blind(x), blind(moved), rtol=1e-5, atol=1e-5)
    seeing = make(replace(s, time=True), patch=(2, 7, 7), patch_padding=(0, 3, 3))
    assert (seeing(x) - seeing(moved)).abs().max() > 1e-3


class TestPooling:
    @torch.no_grad()
    def test_heads_share_the_kernel_and_norm(self):
        pool = stirred(TokenPool(Pooling((3, 3, 3), (1, 2, 2)), 4, "conv"))
        x = torch.randn(2, 1 + 2 * 6 * 6, 12)
        both = pool(x, (2, 6, 6), 3, True)
        assert both.shape == (2, 1 + 2 * 3 * 3, 3, 4)
        for head in range(3):
            one = pool(x[..., 4 * head : 4 * head + 4], (2, 6, 6), 1, True)
            torch.testing.assert_close(both[:, :, head], one[:, :, 0], rtol=1e-5, atol=1e-6)

    @torch.no_grad()
    def test_the_class_token_is_normed_but_not_pooled(self):
        pool = stirred(TokenPool(Pooling((3, 3, 3), (1, 2, 2)), 4, "conv"))
        x = torch.randn(2, 73, 4)
        expected = functional.layer_norm(x[:, 0], (4,), pool.norm.weight, pool.norm.bias, 1e-6)
        torch.testing.assert_close(pool(x, (2, 6, 6), 1, True)[:, 0, 0], expected)

    @pytest.mark.parametrize("mode", ["max", "avg"])
    @torch.no_grad()
    def test_other_modes_have_no_weights(self, mode):
        pool = TokenPool(Pooling((1, 3, 3), (1, 2, 2)), 4, mode)
        assert not list(pool.parameters())
        x = torch.randn(2, 72, 4)
        volume = x.transpose(1, 2).reshape(2, 4, 2, 6, 6)
        plain = getattr(functional, f"{mode}_pool3d")(volume, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        torch.testing.assert_close(pool(x, (2, 6, 6), 1, False)[:, :, 0], plain.flatten(2).transpose(1, 2))

    @torch.no_grad()
    def test_one_clip_is_not_copied(self):
        """Its tokens lie as the convolution wants them."""
        x = torch.randn(1, 73, 8)
        volume = x[:, 1:].unflatten(1, (2, 6, 6)).permute(0, 4, 1, 2, 3)
        assert volume.is_contiguous(memory_format=torch.channels_last_3d)
        assert pool_tokens(x, (2, 6, 6), Pooling((1, 1, 1), (1, 2, 2)), "max", True).shape == (1, 19, 8)


def test_settings_of_blocks_are_those_of_the_model():
    assert MViTConfig().options == BlockOptions()


@torch.no_grad()
def test_start_weights_of_both_codes():
    torch.manual_seed(0)
    video = MViT(config_of(Shape(dim=32)))
    linear, norm = video.layers[0].mlp.fc1, video.layers[0].norm1  # type: ignore[union-attr]
    assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)  # type: ignore[operator, union-attr]
    assert torch.equal(linear.bias, torch.full((128,), 0.02))  # type: ignore[arg-type, union-attr]
    assert torch.equal(norm.bias, torch.full((32,), 0.02))  # type: ignore[arg-type, union-attr]
    assert video.patch_embed.weight.std().item() == pytest.approx(0.02, rel=0.05)
    image = MViT(replace_config(config_of(V2_IMAGE), init="image"))
    assert all(p.abs().max() == 0 for name, p in image.named_parameters() if name.endswith("bias") and "patch" not in name)
    assert image.patch_embed.weight.std().item() > 0.03
    narrow = MViT(replace_config(config_of(Shape(dim=32)), init="xavier"))
    assert narrow.layers[0].mlp.fc1.weight.std().item() == pytest.approx((2 / (32 + 128)) ** 0.5, rel=0.05)  # type: ignore
    assert narrow.layers[0].mlp.fc1.bias.abs().max() == 0  # type: ignore[union-attr, operator]


def replace_config(config: MViTConfig, **changes: Any) -> MViTConfig:
    return MViTConfig(**{**config.__dict__, **changes})


@torch.no_grad()
def test_drop_path_and_dropout_act_in_training_only():
    model, x = make(V2, drop_path=0.5, dropout=0.5), clips(4)
    torch.testing.assert_close(model(x), make(V2)(x))
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_layers_cover_all_parameters_in_order():
    model = make(Shape())
    layers = {name: model.layer_id(name) for name, _ in model.named_parameters()}
    assert set(layers.values()) == set(range(6))
    assert layers["backbone.patch_embed.weight"] == layers["backbone.cls_token"] == layers["backbone.pos.spatial"] == 0
    assert [layers[f"backbone.layers.{i}.attn.qkv.weight"] for i in range(4)] == [1, 2, 3, 4]
    assert layers["backbone.norm.weight"] == layers["head.projection.weight"] == 5


def test_weight_decay_is_on_all_but_one_dimensional_parameters():
    """The published recipes decay positions and class tokens."""
    decayed = {
        name
        for group in param_groups(make(replace(V2, positions="separable")), OptimSection(weight_decay=0.3))
        if group["weight_decay"]
        for name in group["names"]
    }
    assert decayed >= {"backbone.cls_token", "backbone.pos.spatial", "backbone.layers.0.attn.relative.height"}
    assert not any(name.endswith("bias") or ".norm" in name for name in decayed)


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_checkpointed_activations_give_equal_gradients(form):
    def gradients(checkpointed: bool):
        model = make(FORMS[form], drop_path=0.3, dropout=0.3).train()
        if checkpointed:
            checkpoint_activations(model)
        torch.manual_seed(5)
        loss = model(clips()).square().mean()
        loss.backward()
        return loss.item(), {name: p.grad for name, p in model.named_parameters()}

    (loss, plain), (other, recomputed) = gradients(False), gradients(True)
    assert loss == other
    for name, gradient in plain.items():
        assert gradient is not None, name
        torch.testing.assert_close(gradient, recomputed[name], rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize("form", ["v1", "v2", "v2 image"])
def test_training_and_inference_compute_the_same(form):
    """Without gradients the bias is made in parts and the fused kernel used."""
    model, x = make(FORMS[form]), clips_of(FORMS[form])
    with torch.inference_mode():
        fast = model(x)
    torch.testing.assert_close(model(x), fast, rtol=1e-5, atol=1e-5)
    loss = model.train()(x).square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("form", ["v1", "v2"])
@torch.no_grad()
def test_bfloat16_is_near_float32(form):
    model, x = make(FORMS[form]), clips()
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(x)
    assert (rough.float() - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_compiles_without_breaks(form):
    model, x = make(FORMS[form]), clips()
    expected = model(x)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected, rtol=1e-5, atol=1e-5)


def moving_squares() -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips of each of four directions, [8, 3, 4, 32, 32], and the directions."""
    found, labels = torch.zeros(8, 3, 4, 32, 32), torch.arange(8) % 4
    for i, label in enumerate(labels.tolist()):
        for t in range(4):
            step = 4 * t - 6
            y, x = (12, 12 + step) if label < 2 else (12 + step, 12)
            if label % 2:
                y, x = 24 - y, 24 - x
            found[i, :, t, y + i // 4 : y + 8 + i // 4, x : x + 8] = 1.0
    return found - found.mean(), labels


@pytest.mark.parametrize("form", ["v1", "v2"])
def test_learns_directions_of_motion_and_needs_the_order_of_frames(form):
    x, labels = moving_squares()
    model = make(replace(FORMS[form], dim=16, classes=4)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(x).argmax(1), labels)
        # backwards, each direction is its opposite
        assert (model(x.flip(2)).argmax(1) == labels).sum() <= 2


def test_mean_pooling_of_maps_smaller_than_the_kernel():
    """What lies outside counts as zero: of a map of 2 x 2 cells in 3 x 3 windows, each mean is of all four cells over nine."""
    tokens = torch.arange(4.0).view(1, 4, 1)
    pooled = pool_tokens(tokens, (1, 2, 2), Pooling((1, 3, 3), (1, 1, 1)), "avg", class_token=False)
    assert pooled.flatten().tolist() == pytest.approx([6 / 9] * 4)
    wide = torch.randn(2, 2 * 5 * 5, 3)
    ours = pool_tokens(wide, (2, 5, 5), Pooling((1, 3, 3), (1, 2, 2)), "avg", class_token=False)
    volume = wide.transpose(1, 2).unflatten(2, (2, 5, 5))
    theirs = functional.avg_pool3d(volume, (1, 3, 3), (1, 2, 2), (0, 1, 1)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
