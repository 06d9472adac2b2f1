"""ViT-L pre-training on a GPU: clips/s by batch, share of the chip's measured matrix rate, sparse against dense."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from tests.bench.harness import Ratio
from tests.bench.model import DenseEncoder
from vidmodels.heads.reconstruct import DecoderConfig, MaskedDecoder
from vidmodels.systems.mae_st.builders import masked_autoencoder

MACS = 79.5e9  # of one pre-training forward of ViT-L at 0.9, dropped patches not embedded


def _median_ms(work: Callable[[], object], warm: int = 5, steps: int = 20) -> float:
    for _ in range(warm):
        work()
    times = []
    for _ in range(steps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def gpu() -> list[Ratio]:
    """Prints a table; the ratio is dense / sparse, forward and backward with the decoder."""
    if not torch.cuda.is_available():
        print("  no GPU on this machine, nothing to measure")
        return []
    device = torch.device("cuda")
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    rate = 2 * 8192**3 / (_median_ms(lambda: a @ a) / 1000)
    print(f"  {torch.cuda.get_device_name()}: matrix product {rate / 1e12:.0f} TFLOP/s in bf16")
    model = masked_autoencoder(dim=1024, depth=24, num_heads=16).to(device)
    best = (0.0, 8)
    for compiled in (False, True):
        if compiled:
            for block in model.blocks():
                block.compile()
        for batch in (8, 16, 32, 64):
            clips = torch.randn(batch, 3, 16, 224, 224, device=device)
            torch.cuda.reset_peak_memory_stats()
            ms = _median_ms(lambda clips=clips: _step(model, clips))
            speed = 1000 * batch / ms
            share = 6 * MACS * speed / rate
            peak = torch.cuda.max_memory_allocated() / 2**30
            figures = f"{speed:7.1f} clips/s  {100 * share:4.1f} % of the rate  {peak:.1f} GiB"
            print(f"  compile {compiled!s:<5} batch {batch:<3} {figures}")
            best = max(best, (speed, batch))
    return [_dense_ratio(model, best[1] // 4)]


def _step(model: nn.Module, clips: torch.Tensor) -> None:
    with torch.autocast("cuda", torch.bfloat16):
        loss = model(clips).loss
    loss.backward()
    model.zero_grad(set_to_none=True)


def _dense_ratio(model: nn.Module, batch: int) -> Ratio:
    clips = torch.randn(batch, 3, 16, 224, 224, device="cuda")
    dense = DenseEncoder(model.encoder).to("cuda")
    config = model.encoder.config
    decoder = MaskedDecoder(DecoderConfig(), config.dim, config.grid, 768).to("cuda")
    mask = (torch.rand(batch, 1568, device="cuda") < 0.9).float()
    natural = torch.arange(1568, device="cuda").expand(batch, -1)

    def dense_step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = decoder(dense(clips, mask), natural, config.grid).square().mean()
        loss.backward()

    slow, fast = _median_ms(dense_step, steps=10), _median_ms(lambda: _step(model, clips), steps=10)
    return Ratio("gpu_sparse", slow / fast, slow / fast, slow / fast, "> 4 (paper: 5.8x compute)")
