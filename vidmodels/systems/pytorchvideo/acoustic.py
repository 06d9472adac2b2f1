"""A residual network on spectrograms alone: sound to classes.

N clips, T time steps, M mel bands, C channels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidmodels.backbones.avslowfast_audio import AudioConfig, AudioForm, AudioNet, AudioStageConfig
from vidmodels.backbones.resnet3d import STAGES
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.core.errors import ConfigError
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import ClipHead

FORMS: tuple[AudioForm, ...] = ("narrow", "narrow", "joint", "joint")


class AcousticNet(nn.Module):
    """The audio pathway of AVSlowFast as a backbone of its own: spectrograms [N, 1, T, M] to one map [N, C, 1, T', M']."""

    memory_format = torch.channels_last_3d
    no_decay: frozenset[str] = frozenset()
    num_layers = 5

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.net = AudioNet(config)

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each map that `forward` returns."""
        return (self.net.dims[-1],)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """The map after the last stage, as a list of one."""
        if audio.ndim != 4 or audio.shape[1] != 1:
            raise ConfigError(f"sound of shape {tuple(audio.shape)} is no batch of spectrograms: give [N, 1, T, M]")
        return [self.net(audio.unsqueeze(2))]

    def maps(self, audio: Tensor) -> list[Tensor]:
        return self(audio)

    def blocks(self) -> list[nn.Module]:
        return [block for stage in self.net.stages for block in stage]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stem, 1 to 4 the stages."""
        part = name.split(".")[1]
        return STAGES.index(part) + 1 if part in STAGES else 0


def acoustic_resnet(
    depth: int | tuple[int, ...] = 50, width: int = 64, num_classes: int = 400, dropout: float = 0.5
) -> ClipClassifier:
    """A classifier of spectrograms [N, 1, T, M], of any length and number of bands.

    depth: 50, 101, 152, or blocks of each stage; width: channels of the stem, all others follow. Convolutions over time and
    over mel bands side by side in the first two stages, joint in the last two; stages 2 to 4 halve both.
    """
    like = resnet_config("slow_c2d", ResNetOptions(depth=depth, width=width))
    stages = tuple(
        AudioStageConfig(stage.dim, stage.inner, len(stage.kernels), form, stage.stride[-1])
        for stage, form in zip(like.stages, FORMS)
    )
    backbone = AcousticNet(AudioConfig(width, stages))
    return ClipClassifier(backbone, ClipHead(backbone.dims, num_classes, None, dropout, average="logits"))
