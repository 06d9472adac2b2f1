"""Identities of the masked autoencoder that hold whatever its weights are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch

from tests.systems.mae_st.parts import clips, tiny_classifier, tiny_masked
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import OptimSection
from vidmodels.ops.patches import unpatchify
from vidmodels.systems.mae_st.model import masked_mean_squared_error
from vidmodels.training.distributed import checkpoint_activations
from vidmodels.training.optim import param_groups

FORMS = ["mae_st", "pyslowfast"]


def noise(n: int = 2, length: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, length, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_ratio_0_is_the_classifiers_trunk(form):
    model, classifier = tiny_masked(form=form), tiny_classifier()
    classifier.encoder.load_state_dict(model.encoder.state_dict())
    classifier.norm.load_state_dict(model.norm.state_dict())
    x = clips()
    out = model(x, mask_ratio=0.0, noise=noise())
    order = out.masking.restore
    natural = out.latent[:, 1:].gather(1, order.unsqueeze(-1).expand(-1, -1, 48))
    trunk = classifier.norm(classifier.encoder(x))
    torch.testing.assert_close(natural, trunk[:, 1:], rtol=0, atol=1e-5)
    torch.testing.assert_close(out.latent[:, :1], trunk[:, :1], rtol=0, atol=1e-5)
    assert out.masking.mask.sum() == 0
    torch.testing.assert_close(model.features(x), classifier.features(x))


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_swapped_noise_swaps_roles_only(form):
    """Two kept tokens change places: the latent is permuted, the prediction stays; a kept and a dropped one: roles."""
    model, x = tiny_masked(form=form), clips(1)
    u = noise(1)
    order = u.argsort(1)[0]
    kept = order[:6]
    swapped = u.clone()
    swapped[0, kept[[0, 5]]] = u[0, kept[[5, 0]]]
    a, b = model(x, noise=u), model(x, noise=swapped)
    assert torch.equal(a.masking.mask, b.masking.mask)
    torch.testing.assert_close(a.latent[:, 1:][:, [5, 1, 2, 3, 4, 0]], b.latent[:, 1:], rtol=0, atol=1e-5)
    torch.testing.assert_close(a.prediction, b.prediction, rtol=0, atol=1e-5)
    kept_one, dropped_one = order[0], order[-1]
    swapped = u.clone()
    swapped[0, [kept_one, dropped_one]] = u[0, [dropped_one, kept_one]]
    c = model(x, noise=swapped)
    changed = (c.masking.mask != a.masking.mask)[0].nonzero().flatten()
    assert set(changed.tolist()) == {int(kept_one), int(dropped_one)}


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_latent_does_not_see_dropped_pixels(form):
    model, x, u = tiny_masked(form=form), clips(), noise()
    first = model(x, noise=u)
    assert first.masking.keep.shape == (2, 6)
    dropped = first.masking.mask.view(2, 1, 4, 4, 4, 1).expand(-1, 3, -1, -1, -1, 2 * 8 * 8)
    pixels = unpatchify(dropped.permute(0, 2, 3, 4, 5, 1).reshape(2, 64, -1), (4, 4, 4), (2, 8, 8))
    other = torch.where(pixels > 0, 100 * torch.randn_like(x), x)
    second = model(other, noise=u)
    assert torch.equal(first.latent, second.latent)
    assert torch.equal(first.prediction, second.prediction)
    assert not torch.equal(first.loss, second.loss)
    # and it does see the kept ones
    third = model(torch.where(pixels > 0, x, 2 * x), noise=u)
    assert (third.latent - first.latent).abs().max() > 1e-2


@torch.no_grad()
def test_loss_of_a_perfect_and_of_an_empty_prediction():
    model = tiny_masked()
    target = model.target(clips(4))
    mask = model(clips(4), noise=noise(4)).masking.mask
    assert masked_mean_squared_error(target, target, mask) == 0
    # an unbiased variance of 1 over n values: their mean square is (n - 1) / n
    n = target.shape[-1]
    assert n == 3 * 8 * 8
    loss = masked_mean_squared_error(torch.zeros_like(target), target, mask)
    assert loss.item() == pytest.approx((n - 1) / n, abs=2e-6)


@torch.no_grad()
def test_loss_counts_dropped_tokens_and_valid_clips_only():
    model, x = tiny_masked(), clips(3)
    out = model(x, noise=noise(3))
    per_token = (out.prediction - out.target).square().mean(-1)
    expected = sum(per_token[i][out.masking.mask[i] > 0].sum() for i in range(3)) / (3 * 58)
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    valid = torch.tensor([True, False, True])
    broken = x.clone()
    broken[1] = float("nan")
    two = model(broken, noise=noise(3), valid=valid)
    alone = model(x[[0, 2]], noise=noise(3)[[0, 2]])
    assert two.loss.item() == pytest.approx(alone.loss.item(), rel=1e-6)


def test_a_clip_that_does_not_count_gives_finite_gradients():
    model = tiny_masked()
    broken = clips()
    broken[1] = 0
    model(broken, noise=noise(), valid=torch.tensor([True, False])).loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    ("form", "frames"), [("mae_st", [0, 2, 4, 6, 8, 10, 12, 15]), ("pyslowfast", [0, 2, 4, 6, 8, 10, 12, 14])]
)
def test_predicted_frames(form, frames):
    model = tiny_masked(num_frames=16, pred_frames=8, form=form)
    assert model.target_frames(16).tolist() == frames
    ramp = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(1, 3, 16, 32, 32)
    slices = model.target(ramp, "pixel").view(8, 16, -1)
    assert slices.amin((1, 2)).tolist() == slices.amax((1, 2)).tolist() == frames


def test_whole_patches_are_predicted_where_asked():
    model = tiny_masked(pred_frames=None)
    assert model.target_frames(8).tolist() == list(range(8))
    assert model.target(clips()).shape == (2, 64, 2 * 8 * 8 * 3)


def test_impossible_numbers_of_predicted_frames_are_refused():
    for frames in (3, 6, 16):
        with pytest.raises(ConfigError, match=f"pred_frames {frames}"):
            tiny_masked(pred_frames=frames)


@torch.no_grad()
def test_reconstruction_keeps_the_visible_and_denormalises_the_rest():
    model, x = tiny_masked(), clips()
    out = model(x, noise=noise())
    out.prediction = out.target  # a perfect prediction gives the frames back
    frames = x[:, :, model.target_frames(8)]
    torch.testing.assert_close(model.reconstruct(x, out, "normalised"), frames, rtol=0, atol=1e-5)
    plain = model(x, noise=noise(), target="pixel")
    seen = model.reconstruct(x, plain, "pixel") == frames
    assert seen.float().mean() == pytest.approx(6 / 64, abs=1e-3)


@torch.no_grad()
def test_drop_path_and_dropout_act_in_training_only():
    model = tiny_classifier(drop_path=0.5, dropout=0.5)
    x = clips(4)
    assert torch.equal(model.eval()(x), model(x))
    torch.testing.assert_close(model(x), tiny_classifier()(x))  # the same weights without them
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(model(x), model(x))
    pretraining = tiny_masked(drop_path=0.5)
    assert torch.equal(pretraining(x, noise=noise(4)).latent, pretraining(x, noise=noise(4)).latent)


@pytest.mark.parametrize("make", [tiny_masked, tiny_classifier, lambda: tiny_masked(form="pyslowfast")])
def test_positions_and_tokens_of_the_model_are_spared_by_weight_decay(make):
    model = make()
    for pattern in model.no_decay:
        assert any(fnmatchcase(name, pattern) for name, _ in model.named_parameters()), f"{pattern} fits nothing"
    groups = param_groups(model, OptimSection(weight_decay=0.3))
    spared = {name for group in groups if not group["weight_decay"] for name in group["names"]}
    decayed = {name for group in groups if group["weight_decay"] for name in group["names"]}
    assert {name for name in spared | decayed if ".pos." in name or name.endswith("_token")} <= spared
    assert decayed >= {"encoder.patch_embed.weight", "encoder.blocks.0.mlp.fc1.weight"}


@pytest.mark.parametrize("make", [tiny_masked, tiny_classifier, lambda: tiny_masked(form="pyslowfast")])
def test_layers_cover_all_parameters_in_order(make):
    model = make()
    names = [name for name, _ in model.named_parameters()]
    layers = {name: model.layer_id(name) for name in names}
    assert set(layers.values()) == {0, 1, 2, 3}
    assert layers["encoder.patch_embed.weight"] == layers["encoder.cls_token"] == 0
    assert layers["encoder.pos.spatial"] == 0
    assert [layers[f"encoder.blocks.{i}.attn.qkv.weight"] for i in range(2)] == [1, 2]
    assert all(layers[name] == 3 for name in names if not name.startswith("encoder."))
    # the encoder's parameters come in the order of their layers
    encoder = [layers[name] for name in names if name.startswith("encoder.")]
    assert encoder == sorted(encoder)


@pytest.mark.parametrize("kind", ["masked", "classifier"])
def test_checkpointed_activations_give_equal_gradients(kind):
    def gradients(checkpointed: bool):
        model: Any
        if kind == "masked":
            model = tiny_masked(drop_path=0.3).train()
        else:
            model = tiny_classifier(drop_path=0.3, dropout=0.3).train()
        if checkpointed:
            checkpoint_activations(model)
        torch.manual_seed(5)
        loss = model(clips(), noise=noise()).loss if kind == "masked" else model(clips()).square().mean()
        loss.backward()
        return loss.item(), {name: p.grad for name, p in model.named_parameters()}

    (loss, plain), (other, recomputed) = gradients(False), gradients(True)
    assert loss == other
    assert plain.keys() == recomputed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(gradient, recomputed[name], rtol=1e-6, atol=1e-9, msg=name)
    assert sum(g is not None and bool(g.abs().sum() > 0) for g in plain.values()) > 0.9 * len(plain)
