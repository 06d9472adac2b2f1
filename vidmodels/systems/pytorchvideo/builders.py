"""The functions that the card names: settings as plain values to channel-separated and R(2+1)D networks."""

from __future__ import annotations

from dataclasses import replace

from vidmodels.backbones.resnet3d import ConvB, ResNet3d, ResNet3dConfig, Size3
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import Average, ClipHead

Depth = int | tuple[int, ...]
CSN_STRIDES: tuple[Size3, ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
R2PLUS1D_STRIDES: tuple[Size3, ...] = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))


def csn(
    depth: Depth = 101,
    width: int = 64,
    num_classes: NumClasses = 400,
    num_frames: int = 32,
    size: int | None = 224,
    strides: tuple[Size3, ...] = CSN_STRIDES,
    stem_pool: bool = True,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    identity_start: bool = True,
) -> ClipClassifier:
    """A channel-separated network, ir-CSN (Tran et al. 2019): the 3x3x3 convolutions see one channel each.

    depth: 50, 101, 152, or blocks of each stage; width: channels of the stem, all others follow; strides: (time, height,
    width) of the stages' first blocks; size: side of the training crop, from which the head's window follows (None: the
    head pools all). identity_start: blocks begin as the identity. The number of frames changes no weight.
    """
    options = ResNetOptions(depth, width, drop_path=drop_path, stem_pool=stem_pool, identity_start=identity_start)
    return _classifier(_config(options, strides, "depthwise", stem_kernel=3), num_classes, size, dropout, "logits")


def r2plus1d(
    depth: Depth = 50,
    width: int = 64,
    num_classes: NumClasses = 400,
    num_frames: int = 16,
    size: int | None = 224,
    strides: tuple[Size3, ...] = R2PLUS1D_STRIDES,
    dropout: float = 0.5,
    drop_path: float = 0.0,
    identity_start: bool = True,
) -> ClipClassifier:
    """R(2+1)D with bottlenecks (Tran et al. 2018), as PyTorchVideo has it: a 3x1x1 convolution, then a 1x3x3 one.

    There is no pooling after the stem, and no wider middle between the two convolutions. Settings are those of `csn`.
    """
    options = ResNetOptions(depth, width, drop_path=drop_path, stem_pool=False, identity_start=identity_start)
    return _classifier(_config(options, strides, "2plus1d", stem_kernel=1), num_classes, size, dropout, "scores")


def _config(options: ResNetOptions, strides: tuple[Size3, ...], conv_b: ConvB, stem_kernel: int) -> ResNet3dConfig:
    # as a 2-D network, then with the strides and the second convolution that are its own
    base = resnet_config("slow_c2d", options)
    if len(strides) != len(base.stages) or any(len(stride) != 3 for stride in strides):
        raise ConfigError(f"strides {tuple(strides)} must name (time, height, width) of four stages, as in {CSN_STRIDES}")
    stages = tuple(replace(stage, stride=(t, h, w)) for stage, (t, h, w) in zip(base.stages, strides))
    return replace(base, stages=stages, conv_b=conv_b, stem_kernel=stem_kernel)


def _classifier(
    config: ResNet3dConfig, num_classes: NumClasses, size: int | None, dropout: float, average: Average
) -> ClipClassifier:
    backbone = ResNet3d(config)
    window = None if size is None else -(-size // config.stride)
    return ClipClassifier(backbone, ClipHead(backbone.dims, num_classes, window, dropout, average=average))
