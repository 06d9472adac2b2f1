"""Contrastive learning on two workers: losses, gradients and memories are those of their joint batch on one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch.testing import assert_close

from tests.systems.rho_contrastive.parts import FRAMEWORKS, clips, context, small, task_of
from vidmodels.core.recipe import TrainSection
from vidmodels.ops.gather import collect, deal, gather_rows, max_over_workers, sum_over_workers
from vidmodels.training.distributed import World, close_world, init_world, wrap


def step(framework: str, world: World, train: bool = False) -> dict[str, torch.Tensor]:
    """One step on this worker's share of six videos, and what is left of it."""
    bare = small(framework, memory=6).train(train)
    model = wrap(bare, TrainSection(parallel="ddp"), world)
    mine = slice(world.rank * 6 // world.size, (world.rank + 1) * 6 // world.size)
    found = []
    parts = [clips(6, seed=i)[mine] for i in range(2)]
    for values in task_of(bare).losses(model, parts, torch.ones(len(parts[0]), dtype=torch.bool), context()):
        values["loss"].backward()
        found.append(values["loss"].detach())
    loss = sum_over_workers(torch.stack(found)) / world.size
    grads = {f"grad {name}": p.grad for name, p in bare.named_parameters() if p.grad is not None}
    return {"loss": loss, **grads, **{key: getattr(bare, key) for key in ("queue", "pointer") if hasattr(bare, key)}}


def worker(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    world = init_world("cpu", timeout_s=120)
    try:
        found = {framework: step(framework, world) for framework in FRAMEWORKS}
        for framework in FRAMEWORKS:
            assert step(framework, world, train=True)["loss"].isfinite().all()
        found["rows"] = rows(world)
        torch.save(found, Path(folder) / f"{rank}.pt")
    finally:
        close_world()


def rows(world: World) -> dict[str, torch.Tensor]:
    mine = torch.arange(3.0).unsqueeze(1) + 3 * world.rank
    dealt, order = deal(mine, torch.Generator().manual_seed(4))
    weight = (mine + 1).requires_grad_()
    (gather_rows(weight, gradient=True).sum() * (world.rank + 1)).backward()
    return {
        "gathered": gather_rows(mine), "flags": gather_rows(mine[:, 0] > 2), "dealt": dealt, "back": collect(dealt, order),
        "grad": weight.grad, "largest": max_over_workers(mine.max()),
    }  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, (port, str(folder)), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_rows_of_two_workers(answers):
    first, second = (part["rows"] for part in answers)
    everyone = torch.arange(6.0).unsqueeze(1)
    for part in (first, second):
        assert_close(part["gathered"], everyone)
        assert part["flags"].tolist() == [False] * 3 + [True] * 3
        assert part["largest"] == 5
        assert_close(part["grad"], torch.full((3, 1), 3.0))  # of both workers' losses
    dealt = torch.cat([first["dealt"], second["dealt"]])
    assert_close(dealt.sort(0).values, everyone)
    assert not torch.equal(dealt, everyone)
    assert_close(torch.cat([first["back"], second["back"]]), everyone)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_two_workers_take_the_step_of_one(answers, framework):
    alone = step(framework, World())
    for part in answers:
        assert part[framework].keys() == alone.keys()
        for key, value in alone.items():
            assert_close(part[framework][key], value, rtol=1e-3, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
