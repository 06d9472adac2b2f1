"""The networks of contrastive learning: what they count, what they remember, what follows what."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.rho_contrastive.parts import FRAMEWORKS, clips, small
from vidmodels import zoo
from vidmodels.core.errors import ConfigError

TRUNK = 31_634_496
# of the projection and prediction, and of the network that learns without prototypes (sheet of the published files)
HEADS = {"moco": 8_654_976, "simclr": 8_654_976, "swav": 8_659_072, "byol": 11_551_232}


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_counts_of_the_published_models(framework):
    name = f"rho_{framework}_slow_r50"
    with torch.device("meta"):
        model = zoo.create_model(name)
    assert count(model.online.backbone) == TRUNK
    assert count(model.online) == TRUNK + HEADS[framework]
    whole = 2 * count(model.online) if framework in ("moco", "byol") else count(model.online)
    assert count(model) == whole + (128_000 if framework == "swav" else 0) == zoo.entry(name).params


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_embeddings_are_of_unit_length_whatever_the_size_of_the_clips(framework):
    model = small(framework)
    for size in (clips(), torch.randn(2, 3, 6, 48, 40)):
        pooled, projection, prediction = model(size)
        assert pooled.shape == (len(size), 128)
        assert_close(model.features(size), pooled)
        for part in (projection, prediction):
            assert_close(part.norm(dim=1), torch.ones(len(size)))
        assert (prediction is projection) == (framework != "byol")


@pytest.mark.parametrize("framework", ["moco", "byol"])
def test_the_slow_copy_follows_parameters_and_nothing_else(framework):
    model = small(framework)
    online = {key: value.clone() for key, value in model.online.state_dict().items()}
    slow = {key: value.clone() for key, value in model.momentum.state_dict().items()}
    learned = {key for key, _ in model.online.named_parameters()}
    model.follow(0.9)  # the first time it is a copy
    for key, value in model.momentum.state_dict().items():
        assert_close(value, online[key] if key in learned else slow[key])
    with torch.no_grad():
        for parameter in model.online.parameters():
            parameter.mul_(2)
    model.follow(0.9)
    for key, parameter in model.momentum.named_parameters():
        assert_close(parameter, 0.9 * online[key] + 0.1 * 2 * online[key])
        assert not parameter.requires_grad
    assert model.iteration.item() == 2


def test_a_queue_is_written_from_where_it_was_left():
    model = small("moco")
    before = model.queue.clone()
    first, second = torch.randn(8, 16), torch.randn(8, 16)
    model.enqueue(first)
    model.enqueue(second)
    assert_close(model.queue, torch.cat([first, second, before[16:]]))
    model.enqueue(first)
    assert model.pointer.item() == 0
    with pytest.raises(ConfigError, match="queue of 24 keys is not a multiple of the 7"):
        model.enqueue(first[:7])


def test_a_memory_holds_the_last_embedding_of_each_video():
    model = small("simclr", memory=5)
    before = model.memory.clone()
    new = torch.randn(3, 16)
    model.remember(new, torch.tensor([4, -1, 0]))
    assert_close(model.memory[[4, 0]], new[[0, 2]])
    assert_close(model.memory[1:4], before[1:4])
    assert before.abs().max() <= (16 / 3) ** -0.5


def test_prototypes_are_of_unit_length():
    model = small("swav")
    model.normalise_prototypes()
    assert_close(model.prototypes.weight.norm(dim=1), torch.ones(12))


def test_an_unknown_framework():
    with pytest.raises(ConfigError, match="unknown framework 'dino': choose one of moco, byol, simclr, swav"):
        zoo.create_model("rho_moco_tiny", framework="dino")
