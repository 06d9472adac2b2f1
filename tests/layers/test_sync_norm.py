"""Batch norms over two workers compute what one does on both shares."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.testing import assert_close

from vidmodels.layers.sync_norm import SyncBatchNorm3d, synchronise_batch_norms

SHARES = (slice(0, 2), slice(2, 5))  # of different sizes


def _net() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.ReLU())
    nn.init.normal_(net[1].weight)
    return net


def _clips() -> torch.Tensor:
    return torch.randn(5, 2, 2, 3, 3, generator=torch.Generator().manual_seed(1)) * 2 + 1


def _worker(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    net = _net()
    synchronise_batch_norms(net)
    out = net(_clips()[SHARES[rank]])
    out.square().sum().backward()
    grads = [p.grad for p in net.parameters()]
    for grad in grads:
        dist.all_reduce(grad)
    torch.save({"out": out.detach(), "grads": grads, "state": net.state_dict()}, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_workers_compute_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_worker, (port, str(tmp_path)), nprocs=2)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    alone = _net()
    out = alone(_clips())
    out.square().sum().backward()
    assert_close(torch.cat([part["out"] for part in parts]), out)
    for ours, wanted in zip(parts[0]["grads"], alone.parameters()):
        assert_close(ours, wanted.grad, rtol=1e-4, atol=1e-5)
    for part in parts:
        for key, value in alone.state_dict().items():
            assert_close(part["state"][key], value)


def test_alone_it_is_a_batch_norm_and_keeps_its_names():
    net, plain = _net(), _net()
    synchronise_batch_norms(net)
    assert isinstance(net[1], SyncBatchNorm3d)
    assert net.state_dict().keys() == plain.state_dict().keys()
    assert_close(net(_clips()), plain(_clips()), rtol=0, atol=0)
