"""Several processes compute what one does, and their checkpoints are interchangeable."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch import nn

from tests.training.parts import TinyNet, data, one_step
from vidmodels.core.errors import CheckpointError, ConfigError, RunError
from vidmodels.core.recipe import OptimSection, TrainSection
from vidmodels.training.checkpoint import Checkpointer
from vidmodels.training.distributed import (
    World,
    all_reduce_mean,
    barrier,
    broadcast_object,
    close_world,
    init_world,
    is_sharded,
    unwrap,
    wrap,
)  # fmt: skip
from vidmodels.training.guard import FiniteGuard
from vidmodels.training.optim import build_optimizer, clip_gradients, freeze
from vidmodels.training.state import TrainState, load_state, newest_for_all, save_state

OPTIM = OptimSection(lr=0.02, layer_decay=0.8, weight_decay=0.1)
CLIP = 0.05  # every step is clipped


def build(kind: str, world: World, seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    train = TrainSection(parallel="fsdp" if kind == "fsdp" else "ddp", activation_checkpointing=kind == "fsdp")
    bare = TinyNet(seed)
    model = wrap(bare, train, world)
    return model, build_optimizer(bare, OPTIM)


def run_steps(model: nn.Module, optimizer, world: World, steps: range) -> list[float]:
    """Mean losses over all workers; each step's eight rows are shared out."""
    share = 8 // world.size
    losses = []
    for step in steps:
        x, y = data(step, slice(world.rank * share, (world.rank + 1) * share))
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        norm = clip_gradients(model, CLIP)
        assert norm.item() > CLIP
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(all_reduce_mean(loss.detach(), world).item())
    return losses


def whole(model: nn.Module) -> dict[str, torch.Tensor]:
    values = unwrap(model).state_dict()
    return {k: v.full_tensor() if hasattr(v, "full_tensor") else v.clone() for k, v in values.items()}


def worker(rank: int, size: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    world = init_world("cpu", timeout_s=120)
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del os.environ[name]
    assert init_world("cpu") == world == World(rank, size, rank)  # the group exists: as under Ray Train
    try:
        results = {job.__name__: job(world, Path(folder)) for job in (compare, guard, failing_save)}
        if rank == 0:
            torch.save(results, f"{folder}/results.pt")
        barrier(world)
    finally:
        close_world()


def compare(world: World, folder: Path) -> dict:
    """Six steps by DDP and FSDP2; at the third a checkpoint; the rest again from it, each way from each."""
    out: dict = {}
    for kind in ("ddp", "fsdp"):
        model, optimizer = build(kind, world, seed=world.rank if kind == "fsdp" else 0)
        if kind == "fsdp":
            assert is_sharded(model)
            local = unwrap(model).head.weight.to_local()
            assert local.numel() < 24 / world.size + 8 + 1
        losses = run_steps(model, optimizer, world, range(3))
        save_state(Checkpointer(folder / kind), TrainState(3, world_size=world.size), model, optimizer, None, world)
        out[kind] = losses + run_steps(model, optimizer, world, range(3, 6))
        out[f"{kind} weights"] = whole(model)
    for kind in ("ddp", "fsdp"):
        for origin in ("alone", "ddp", "fsdp"):
            model, optimizer = build(kind, world, seed=5)
            checkpoint = newest_for_all(Checkpointer(folder / origin), world)
            assert load_state(checkpoint, model, optimizer, None, world).step == 3
            out[f"{kind} from {origin}"] = run_steps(model, optimizer, world, range(3, 6))
    out["frozen"] = frozen_sgd(world, folder / "frozen")
    return out


def frozen_model(seed: int, world: World) -> tuple[nn.Module, torch.optim.Optimizer]:
    bare = TinyNet(seed)
    freeze(bare, ["body.0.*"])
    return wrap(bare, TrainSection(parallel="fsdp"), world), build_optimizer(bare, OptimSection(name="sgd", lr=0.1))


def frozen_sgd(world: World, folder: Path) -> list[list[float]]:
    """Two steps of SGD with half the model frozen, under FSDP2 from one process's checkpoint and from its own."""
    runs = []
    for origin in ("alone", "fsdp"):
        model, optimizer = frozen_model(4, world)
        load_state(newest_for_all(Checkpointer(folder / origin), world), model, optimizer, None, world)
        if origin == "alone":
            save_state(Checkpointer(folder / "fsdp"), TrainState(2), model, optimizer, None, world)
        runs.append(run_steps(model, optimizer, world, range(2, 4)))
    return runs


def guard(world: World, folder: Path) -> dict:
    """One worker has a bad loss: both skip, and the first one writes whose samples they were."""
    finite = FiniteGuard(2, folder / "bad.jsonl")
    loss = torch.tensor(float("nan") if world.rank == 1 else 1.0)
    first = finite.check(loss, torch.tensor(1.0), [f"video{world.rank}"], 4, world)
    message = ""
    try:
        finite.check(loss, torch.tensor(1.0), [f"clip{world.rank}"], 5, world)
    except RunError as error:
        message = str(error)
    good = FiniteGuard(2).check(torch.tensor(1.0), torch.tensor(1.0), ["x"], 6, world)
    shared = broadcast_object({"from": world.rank}, world)
    mean = all_reduce_mean(torch.tensor([1.0 + 2 * world.rank]), world).item()
    return {"first": first, "message": message, "good": good, "shared": shared, "mean": mean}


def failing_save(world: World, folder: Path) -> dict:
    """The first worker cannot write: every worker hears of it instead of waiting for ever."""
    model, optimizer = build("ddp", world)
    blocked = folder / "blocked"
    if world.rank == 0:
        blocked.write_text("a file, not a folder")
    barrier(world)
    with pytest.raises(CheckpointError, match="cannot be written to"):
        save_state(Checkpointer(blocked / "run"), TrainState(1), model, optimizer, None, world)
    return {"done": True}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, dict]:
    """Folder and results of all jobs, run once by two workers; before them one process alone writes its checkpoint."""
    folder = tmp_path_factory.mktemp("two")
    world = World()
    model, optimizer = build("alone", world)
    losses = run_steps(model, optimizer, world, range(3))
    save_state(Checkpointer(folder / "alone"), TrainState(3), model, optimizer, None, world)
    losses += run_steps(model, optimizer, world, range(3, 6))
    model_, optimizer_ = frozen_model(3, world)
    run_steps(model_, optimizer_, world, range(2))
    save_state(Checkpointer(folder / "frozen" / "alone"), TrainState(2), model_, optimizer_, None, world)
    frozen = run_steps(model_, optimizer_, world, range(2, 4))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(worker, args=(2, str(folder), port), nprocs=2)
    results = torch.load(folder / "results.pt", weights_only=True)
    return folder, {**results, "losses": losses, "weights": whole(model), "frozen": frozen}


def test_ddp_and_fsdp_learn_as_one_process_does(two):
    out, losses = two[1]["compare"], two[1]["losses"]
    assert len({round(loss, 4) for loss in losses}) == 6  # they move by far more than the tolerance
    assert out["ddp"] == pytest.approx(losses, abs=1e-5)
    assert out["fsdp"] == pytest.approx(out["ddp"], abs=1e-5)
    for name, value in two[1]["weights"].items():
        torch.testing.assert_close(out["fsdp weights"][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_resuming_equals_going_on_from_a_checkpoint_of_any_kind(two, kind):
    folder, results = two
    out, losses = results["compare"], results["losses"]
    assert out[f"{kind} from {kind}"] == out[kind][3:]  # bit-equal at the same world size
    for origin in ("alone", "ddp", "fsdp"):
        assert out[f"{kind} from {origin}"] == pytest.approx(losses[3:], abs=1e-5)
    model, optimizer = build("alone", World(), seed=5)
    load_state(Checkpointer(folder / kind).newest(), model, optimizer, None, World())
    assert run_steps(model, optimizer, World(), range(3, 6)) == pytest.approx(losses[3:], abs=1e-5)


def test_sgd_with_frozen_parameters_resumes_under_fsdp(two):
    from_alone, from_itself = two[1]["compare"]["frozen"]
    assert from_alone == from_itself
    assert from_alone == pytest.approx(two[1]["frozen"], abs=1e-5)


def test_the_three_ways_write_the_same_files(two):
    folders = [two[0] / kind / "step_00000003" for kind in ("alone", "ddp", "fsdp")]
    weights = [load_file(f / "model.safetensors") for f in folders]
    moments = [torch.load(f / "optimizer.pt", weights_only=True) for f in folders]
    for other, state in zip(weights[1:], moments[1:]):
        assert other.keys() == weights[0].keys()
        assert state["state"].keys() == moments[0]["state"].keys()
        assert group_settings(state) == group_settings(moments[0])
        for name, entry in state["state"].items():
            assert entry.keys() == moments[0]["state"][name].keys()
            for key, value in entry.items():
                torch.testing.assert_close(value, moments[0]["state"][name][key], rtol=1e-4, atol=1e-6)


def group_settings(moments: dict) -> list:
    return [(g["params"], g["lr_scale"], g["weight_decay"], g["lr"]) for g in moments["param_groups"]]


def test_a_bad_loss_on_one_worker_skips_the_step_on_both(two):
    folder, out = two[0], two[1]["guard"]
    assert out["first"] is False
    assert out["good"] is True
    assert out["message"].endswith(f"look at the samples video1, clip1 (all in {folder / 'bad.jsonl'})")
    assert out["shared"] == {"from": 0}
    assert out["mean"] == 2.0
    assert len((folder / "bad.jsonl").read_text().splitlines()) == 2


def test_a_save_that_fails_on_the_first_worker_fails_on_all(two):
    assert two[1]["failing_save"] == {"done": True}


def test_recomputed_activations_give_the_same_gradients_and_names():
    plain, thrifty = TinyNet(dropout=0.5), TinyNet(dropout=0.5)
    wrap(thrifty, TrainSection(activation_checkpointing=True), World())
    assert list(plain.state_dict()) == list(thrifty.state_dict())
    grads = []
    for model in (plain, thrifty):
        torch.manual_seed(0)
        model(torch.ones(4, 8)).square().sum().backward()
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads))


def test_recomputing_keeps_fewer_tensors():
    def kept(model: nn.Module) -> int:
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            model(torch.ones(64, 8))
        return sum(sizes)

    plain, thrifty = TinyNet(), wrap(TinyNet(), TrainSection(activation_checkpointing=True), World())
    assert kept(thrifty) < 0.6 * kept(plain)


@pytest.mark.slow
def test_a_compiled_model_keeps_its_names_and_its_numbers():
    plain, compiled = TinyNet(), wrap(TinyNet(), TrainSection(compile=True), World())
    assert list(plain.state_dict()) == list(compiled.state_dict())
    x = torch.randn(4, 8)
    torch.testing.assert_close(compiled(x), plain(x), rtol=1e-5, atol=1e-6)


def test_recomputing_needs_blocks():
    with pytest.raises(ConfigError, match="needs a model with blocks, which Linear has not"):
        wrap(nn.Linear(2, 2), TrainSection(activation_checkpointing=True), World())


def test_alone_nothing_is_wrapped_and_collectives_are_the_identity(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    world = init_world("cpu")
    assert world == World()
    model = TinyNet()
    assert wrap(model, TrainSection(parallel="fsdp"), world) is model
    value = torch.ones(3)
    assert all_reduce_mean(value, world) is value
    barrier(world)
    optimizer = build_optimizer(model, OPTIM)
    assert one_step(model, optimizer, 0).isfinite()


def test_half_an_environment_is_an_error_that_names_what_is_missing(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("MASTER_PORT", "1")
    with pytest.raises(RunError, match="RANK, MASTER_ADDR not set"):
        init_world("cpu")
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(RunError, match="WORLD_SIZE is 'two', not a number"):
        init_world("cpu")


def test_a_gpu_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        init_world("cuda")
    assert replace(World(), rank=1).rank == 1
