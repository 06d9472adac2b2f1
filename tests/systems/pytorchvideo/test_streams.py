"""The multi-stream classifier of pre-computed features: what a mask hides is not seen."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.mae_st.parts import stirred
from vidmodels.core.errors import ConfigError
from vidmodels.systems.pytorchvideo.streams import MultiStream, Stream, StreamConfig, masked_pool

ENCODERS = ["none", "lstm", "transformer"]
VALID = torch.tensor([[True, True, True, True, True], [True, False, True, True, False]])


def features(steps: int = 5, dim: int = 6) -> torch.Tensor:
    return torch.randn(2, steps, dim, generator=torch.Generator().manual_seed(0))


def stream(encoder: str = "none", **changes) -> Stream:
    torch.manual_seed(0)
    return stirred(Stream(StreamConfig(6, dim=8, encoder=encoder, depth=2, **changes)))


def test_pooling_over_what_is_there():
    x = torch.tensor([[[1.0], [5.0], [-9.0]], [[-2.0], [7.0], [-4.0]], [[1.0], [1.0], [1.0]]])
    valid = torch.tensor([[True, True, False], [True, False, True], [False, False, False]])
    assert masked_pool(x, valid, "mean").flatten().tolist() == [3, -3, 0]
    assert masked_pool(x, valid, "max").flatten().tolist() == [5, -2, 0]
    assert masked_pool(x, valid, "sum").flatten().tolist() == [6, -6, 0]


@pytest.mark.parametrize("pooling", ["mean", "max", "sum"])
@pytest.mark.parametrize("encoder", ENCODERS)
@torch.no_grad()
def test_hidden_steps_are_not_seen(encoder, pooling):
    model, x = stream(encoder, pooling=pooling), features()
    other = torch.where(VALID.unsqueeze(-1), x, torch.nan)
    assert_close(model(other, VALID), model(x, VALID))
    assert not torch.allclose(model(x, VALID)[1], model(x)[1], atol=1e-4)
    assert_close(model(x, VALID)[0], model(x)[0])


@torch.no_grad()
def test_an_lstm_sees_valid_steps_one_after_the_other():
    model, x = stream("lstm"), features()
    assert_close(model(x, VALID)[1], model(x[1:, [0, 2, 3]])[0])


@pytest.mark.parametrize(("encoder", "looks"), [("none", False), ("lstm", True), ("transformer", True)])
@torch.no_grad()
def test_encoders_see_the_order(encoder, looks):
    model, x = stream(encoder), features()
    assert torch.allclose(model(x.flip(1)), model(x), atol=1e-4) is not looks


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_absent_stream_is_its_learned_vector(encoder):
    model = stream(encoder)
    nothing = torch.zeros(2, 5, dtype=torch.bool)
    nothing[0] = True
    out = model(features(), nothing)
    assert_close(out[1], model.absent)
    out.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_streams_of_other_lengths_are_joined():
    model = MultiStream({"video": StreamConfig(6, 8, "transformer"), "audio": StreamConfig(3, 4, "lstm")}, num_classes=5).eval()
    given = {"video": features(), "audio": features(9, 3)}
    assert model(given).shape == (2, 5)
    assert model.features(given, {"video": VALID}).shape == (2, 12)
    assert (model.num_classes, model.activation) == (5, "softmax")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MultiStream({}, 5), "needs one stream at least"),
        (lambda: Stream(StreamConfig(6, dim=9, encoder="transformer")), "must be even and a multiple of num_heads 4"),
        (lambda: stream()(features(dim=7)), r"do not fit a stream of \[N, L, 6\]"),
        (lambda: stream()(features(), VALID[:, :3]), r"a mask of shape \(2, 3\)"),
        (lambda: MultiStream({"a": StreamConfig(6)}, 5)({"b": features()}), "features of b with masks of none .* streams a"),
    ],
)
def test_impossible_settings(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
