"""The published members of the ResNet family as configurations: C2D, I3D, Slow and the two pathways of SlowFast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidmodels.backbones.resnet3d import BlockKind, NonLocalConfig, ResNet3dConfig, Size3, StageConfig
from vidmodels.core.errors import ConfigError, did_you_mean

DEPTHS: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@dataclass(frozen=True)
class Arch:
    """stem: frames of the first convolution; kernels: those of convolution a in each stage, repeated over its blocks."""

    stem: int
    kernels: tuple[tuple[int, ...], ...]
    pool1: Size3 = (1, 1, 1)


_C2D = ((1,), (1,), (1,), (1,))
_I3D = ((3,), (3, 1), (3, 1), (1, 3))
ARCHS = {
    "c2d": Arch(1, _C2D, (2, 1, 1)),
    "i3d": Arch(5, _I3D, (2, 1, 1)),
    "slow_c2d": Arch(1, _C2D),
    "slow_i3d": Arch(5, _I3D),
    "slow": Arch(1, ((1,), (1,), (3,), (3,))),
    "fast": Arch(5, ((3,), (3,), (3,), (3,))),
}


@dataclass(frozen=True)
class ResNetOptions:
    """What the published configurations vary.

    depth: 18, 50, 101, 152, or blocks of each stage; width: channels of the stem, all others follow; width_divisor: by
    which the Fast pathway is thinner; temporal_blocks: the first so many blocks of each stage have the temporal kernel
    (None: all); groups: of convolution b; non_local: one per stage; stem_pool: the stem halves space once more by pooling;
    identity_start: see ResNet3dConfig.
    """

    depth: int | tuple[int, ...] = 50
    width: int = 64
    width_divisor: int = 1
    groups: int = 1
    strides: tuple[int, ...] = (1, 2, 2, 2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)
    temporal_blocks: tuple[int, ...] | None = None
    non_local: Sequence[NonLocalConfig] = (NonLocalConfig(),) * 4
    block: BlockKind = "bottleneck"
    drop_path: float = 0.0
    stem_pool: bool = True
    identity_start: bool = True


def resnet_config(arch: str, options: ResNetOptions) -> ResNet3dConfig:
    """The configuration of a member of the family. Raises ConfigError for an unknown name or depth."""
    if arch not in ARCHS:
        raise ConfigError(f"there is no architecture {arch!r}{did_you_mean(arch, ARCHS)}: choose one of {', '.join(ARCHS)}")
    form = ARCHS[arch]
    blocks = _blocks(options.depth)
    temporal = options.temporal_blocks or blocks
    stages = []
    for i, (count, with_time, cycle) in enumerate(zip(blocks, temporal, form.kernels)):
        kernels = tuple(cycle[k % len(cycle)] if k < with_time else 1 for k in range(count))
        stages.append(
            StageConfig(
                dim=options.width * 4 * 2**i // options.width_divisor,
                inner=options.groups * options.width * 2**i // options.width_divisor,
                kernels=kernels,
                stride=(1, options.strides[i], options.strides[i]),
                dilation=options.dilations[i],
                groups=options.groups,
                non_local=options.non_local[i],
            )
        )
    return ResNet3dConfig(
        tuple(stages),
        stem_dim=options.width // options.width_divisor,
        stem_kernel=form.stem,
        stem_pool=options.stem_pool,
        pool1=form.pool1,
        block=options.block,
        drop_path=options.drop_path,
        identity_start=options.identity_start,
    )


def _blocks(depth: int | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(depth, int):
        if len(depth) != 4 or min(depth) < 1:
            raise ConfigError(f"depth {tuple(depth)} must name the blocks of four stages, as in (3, 4, 6, 3)")
        return tuple(depth)
    if depth not in DEPTHS:
        raise ConfigError(f"there is no ResNet of depth {depth}: choose one of {', '.join(map(str, DEPTHS))}")
    return DEPTHS[depth]
