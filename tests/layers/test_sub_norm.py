"""Batch norms over parts of a batch, and over the batches of a few workers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.testing import assert_close

from vidmodels.layers.sub_norm import SubBatchNorm3d, fit_batch_norms, split_batch_norms


def _net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.ReLU())
    nn.init.normal_(net[1].weight)
    nn.init.normal_(net[1].bias)
    return net


def _split(base: int, clips: int) -> nn.Module:
    net = _net()
    split_batch_norms(net)
    fit_batch_norms(net, clips, base)
    return net


def _clips(count: int) -> torch.Tensor:
    scale = torch.arange(1, count + 1).view(-1, 1, 1, 1, 1)  # so that parts differ in mean and variance
    return torch.randn(count, 2, 2, 3, 3, generator=torch.Generator().manual_seed(1)) * scale + scale


@pytest.mark.parametrize("sizes", [(4, 4, 4), (4, 4, 3)])
def test_each_part_is_normalised_as_if_it_were_alone(sizes):
    net, plain, clips = _split(4, 12), _net(), _clips(sum(sizes))
    clips.requires_grad_(True)
    out = net(clips)
    out.square().sum().backward()
    ours = [*(p.grad for p in net.parameters()), clips.grad]
    clips.grad = None
    wanted = torch.cat([plain(part) for part in clips.split(sizes)])
    wanted.square().sum().backward()
    assert_close(out, wanted)
    for found, other in zip(ours, [*(p.grad for p in plain.parameters()), clips.grad]):
        assert_close(found, other)


@pytest.mark.parametrize("count", [12, 11])
def test_running_statistics_are_those_of_the_whole_batch(count):
    net, plain = _split(4, 12), _net()
    for step in range(3):
        clips = _clips(count) + step
        net(clips), plain(clips)
    assert net.state_dict().keys() == plain.state_dict().keys()
    for key, value in plain.state_dict().items():
        assert_close(net.state_dict()[key], value)
    plain.load_state_dict(net.state_dict())
    assert_close(net.eval()(clips), plain.eval()(clips), rtol=0, atol=0)


def test_a_batch_of_the_base_size_or_less_is_a_plain_batch_norms():
    for clips in (4, 3, 1):
        net, plain = _split(4, clips), _net()
        assert isinstance(net[1], SubBatchNorm3d)
        assert_close(net(_clips(clips)), plain(_clips(clips)), rtol=0, atol=0)


def test_the_layout_in_memory_stays():
    clips = torch.randn(8, 3, 2, 4, 4).to(memory_format=torch.channels_last_3d)
    norm = nn.Sequential(nn.BatchNorm3d(3))
    split_batch_norms(norm)
    fit_batch_norms(norm, 8, 4)
    assert norm(clips).is_contiguous(memory_format=torch.channels_last_3d)


def _worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=4)
    mine = _clips(8)[2 * rank : 2 * rank + 2]
    outs = {}
    for base in (4, 8, 2):
        net = _split(base, 2)
        outs[base] = net(mine).detach()
    torch.save(outs, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_small_batches_are_joined_with_those_of_the_next_workers(tmp_path):
    """Four workers of two clips: a base of 4 joins two of them, of 8 all, of 2 none."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=4)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(4)]
    for base in (4, 8, 2):
        wanted = torch.cat([_net()(part) for part in _clips(8).split(base)])
        assert_close(torch.cat([part[base] for part in parts]), wanted)
