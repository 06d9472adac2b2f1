"""Benchmarks of MAE-ST's arithmetic: sparse against dense encoding, the training step against a plain formulation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.bench.harness import Ratio, alternate, ratio, seconds, shown
from vidmodels.backbones.vit import VideoViT, ViTConfig
from vidmodels.heads.reconstruct import DecoderConfig, MaskedDecoder
from vidmodels.layers import transformer
from vidmodels.ops.masking import sample_masking
from vidmodels.systems.mae_st.model import VideoClassifier
from vidmodels.training.precision import cpu_has_bf16

LARGE = ViTConfig(dim=1024, depth=12, num_heads=16)


class DenseEncoder(nn.Module):
    """The encoder that sees all tokens, a mask token in place of each dropped one (MAE-ST, table 2)."""

    def __init__(self, encoder: VideoViT) -> None:
        super().__init__()
        self.encoder = encoder
        self.mask_token = nn.Parameter(torch.zeros(1, 1, encoder.config.dim))

    def forward(self, clips: Tensor, mask: Tensor) -> Tensor:
        x = self.encoder.embed(clips)
        cls, tokens = x[:, :1], x[:, 1:]
        positions = self.encoder.pos.tokens(self.encoder.grid_of(clips))
        x = torch.cat([cls, torch.where(mask.unsqueeze(-1) > 0, self.mask_token + positions, tokens)], dim=1)
        for block in self.encoder.blocks:
            x = block(x)
        return x


def sparse(with_decoder: bool = False, rounds: int = 3) -> list[Ratio]:
    """Forward and backward of ViT-L's width, 12 blocks, one 16 x 224 clip: dense / sparse at 0.9."""
    torch.manual_seed(0)
    encoder = VideoViT(LARGE)
    dense = DenseEncoder(encoder)
    decoder = MaskedDecoder(DecoderConfig(), LARGE.dim, LARGE.grid, 768) if with_decoder else None
    clips = torch.randn(1, 3, 16, 224, 224)
    masking = sample_masking("random", 1, LARGE.grid, 0.9)
    natural = torch.arange(masking.mask.shape[1]).expand(1, -1)

    def run(encode: Callable[[], Tensor], restore: Tensor) -> float:
        def step() -> None:
            out = encode()
            if decoder is not None:
                out = decoder(out, restore, LARGE.grid)
            out.square().mean().backward()

        return seconds(step)

    def run_sparse() -> float:
        return run(lambda: encoder(clips, masking.keep), masking.restore)

    def run_dense() -> float:
        return run(lambda: dense(clips, masking.mask), natural)

    run_sparse(), run_dense()
    a, b = alternate(run_dense, run_sparse, rounds)
    shown("dense, mask tokens in the encoder", a)
    shown("sparse", b)
    name = "sparse_decoder" if with_decoder else "sparse"
    return [ratio(name, a, b, ">= 3" if with_decoder else ">= 5")]


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention as the formula stands in the paper."""
    return ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1) @ v


def step(bf16: bool = False, rounds: int = 3) -> list[Ratio]:
    """One fine-tuning step of ViT-B (1,568 tokens, one clip): plain formulation / ours.

    Plain: unfused attention, AdamW one parameter at a time, float32. Ours: `attend`, fused AdamW, bf16 autocast if asked.
    """
    name = "step_bf16" if bf16 else "step"
    if bf16 and not cpu_has_bf16():
        print("  step_bf16: this CPU has no bfloat16 units, nothing to measure")
        return []
    torch.manual_seed(0)
    config = ViTConfig(dim=768, depth=12, num_heads=12)
    clips, labels = torch.randn(1, 3, 16, 224, 224), torch.zeros(1, dtype=torch.long)

    def side(attention: Callable[..., Tensor], fused: bool, half: bool) -> Callable[[], float]:
        model = VideoClassifier(config)
        options = {"fused": True} if fused else {"foreach": False}
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, **options)

        def work() -> None:
            original, transformer.attend = transformer.attend, attention
            try:
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    loss = functional.cross_entropy(model(clips).float(), labels)
                loss.backward()
            finally:
                transformer.attend = original
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        work()
        return lambda: seconds(work)

    a, b = alternate(side(plain_attention, False, False), side(transformer.attend, True, bf16), rounds)
    shown("plain formulation, float32", a)
    shown("ours, bf16 autocast" if bf16 else "ours, float32", b)
    return [ratio(name, a, b, ">= 2" if bf16 else ">= 1.15")]


def masked_step(rounds: int = 3) -> list[Ratio]:
    """One pre-training step of ViT-B at 0.9: plain formulation / ours, float32."""
    from vidmodels.systems.mae_st.builders import masked_autoencoder

    torch.manual_seed(0)
    clips = torch.randn(1, 3, 16, 224, 224)

    def side(attention: Callable[..., Tensor], fused: bool) -> Callable[[], float]:
        model = masked_autoencoder(dim=768, depth=12, num_heads=12)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, **({"fused": True} if fused else {"foreach": False}))

        def work() -> None:
            original, transformer.attend = transformer.attend, attention
            try:
                model(clips).loss.backward()
            finally:
                transformer.attend = original
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        work()
        return lambda: seconds(work)

    a, b = alternate(side(plain_attention, False), side(transformer.attend, True), rounds)
    shown("plain formulation", a)
    shown("ours", b)
    return [ratio("masked_step", a, b, ">= 1.0")]
