"""The function that the card names: settings as plain values to an audiovisual SlowFast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from vidmodels.backbones.avslowfast import AVSlowFast, FusionConfig
from vidmodels.backbones.avslowfast_audio import AudioConfig, AudioForm, AudioStageConfig
from vidmodels.backbones.resnet3d import ResNet3dConfig
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import NumClasses
from vidmodels.heads.audiovisual import AudioVisualHead, AudioVisualModel, SyncHeads
from vidmodels.heads.clip import Activation, Average


@dataclass(frozen=True)
class AudioSettings:
    """What the configurations of the Audio pathway vary.

    audio_beta_inv: by which its channels are fewer than Slow's; audio_forms: of the blocks of each stage (see
    AudioStageConfig); audio_reduce: stages halve time and mel bands as those of the pictures halve space;
    audio_early_time: as in AudioConfig.
    """

    audio_beta_inv: int = 2
    audio_forms: tuple[AudioForm, ...] = ("wide", "wide", "joint", "joint")
    audio_reduce: bool = True
    audio_early_time: bool = False


@dataclass(frozen=True)
class HeadSettings:
    """size: side of the training crop in pixels, from which the pooling window follows (None: all is pooled)."""

    num_classes: NumClasses = 400
    size: int | None = 224
    dropout: float = 0.5
    activation: Activation = "softmax"
    average: Average = "scores"


@dataclass(frozen=True)
class SyncSettings:
    """sync: levels where sound and pictures are compared; they are needed for training only, () leaves them out.

    sync_min_variance, sync_max_similarity: what a pair of spectrograms must exceed, or not, to count.
    """

    sync: tuple[str, ...] = ("res3", "res4", "res5")
    sync_dim: int = 64
    sync_margin: float = 0.99
    sync_min_variance: float = 0.01
    sync_max_similarity: float = 0.99999


def avslowfast(
    num_frames: int = 32,
    audio_rows: int = 128,
    alpha: int = 8,
    beta_inv: int = 8,
    fast_temporal_blocks: Sequence[int] | None = None,
    **settings: Any,
) -> AudioVisualModel:
    """An audiovisual SlowFast: a classifier, or (num_classes=0) a model that learns from synchrony alone.

    num_frames: of Fast; audio_rows: of a clip's spectrogram; alpha: frames of Fast for each of Slow; beta_inv: by which
    Fast's channels are fewer; fast_temporal_blocks: blocks of Fast's stages with a temporal kernel, by default all.
    settings: fields of FusionConfig (but its alphas, which follow), AudioSettings, SyncSettings, HeadSettings and
    ResNetOptions. Raises ConfigError.
    """
    if num_frames % alpha:
        raise ConfigError(f"num_frames {num_frames} is not a multiple of alpha {alpha}, the Fast frames for each Slow one")
    slow_frames = num_frames // alpha
    if audio_rows % slow_frames and "audio_alpha" not in settings:
        raise ConfigError(f"audio_rows {audio_rows} is not a multiple of the {slow_frames} frames of Slow")
    fusion = _take(FusionConfig, settings, alpha=alpha, audio_alpha=audio_rows // slow_frames)
    audio, sync, head = (_take(kind, settings) for kind in (AudioSettings, SyncSettings, HeadSettings))
    options = ResNetOptions(**settings)
    if len(audio.audio_forms) != 4:
        raise ConfigError(f"audio_forms {tuple(audio.audio_forms)} must name the form of four stages")
    if not 0 <= fusion.drop_pathway <= 1:
        raise ConfigError(f"drop_pathway {fusion.drop_pathway} is not a probability")
    time = None if fast_temporal_blocks is None else tuple(fast_temporal_blocks)
    slow = resnet_config("slow", options)
    fast = resnet_config("fast", replace(options, width_divisor=beta_inv, temporal_blocks=time))
    backbone = AVSlowFast(slow, fast, _audio_config(slow, audio), fusion)
    heads = SyncHeads(backbone, sync.sync, sync.sync_dim, sync.sync_margin, sync.sync_min_variance, sync.sync_max_similarity)
    return AudioVisualModel(backbone, _head(backbone, head), heads)


def _take(kind: Any, settings: dict[str, Any], **own: Any) -> Any:
    """The dataclass `kind` of those settings that are its fields, which are taken out, else of `own` values."""
    given = {each.name: settings.pop(each.name) for each in fields(kind) if each.name in settings}
    return kind(**{**own, **given})


def _audio_config(slow: ResNet3dConfig, audio: AudioSettings) -> AudioConfig:
    thin = audio.audio_beta_inv
    stages = tuple(
        AudioStageConfig(
            stage.dim // thin,
            stage.inner // thin,
            len(stage.kernels),
            form,
            stride=2 if i > 0 and audio.audio_reduce else 1,
        )
        for i, (stage, form) in enumerate(zip(slow.stages, audio.audio_forms))
    )
    return AudioConfig(slow.stem_dim // thin, stages, audio.audio_early_time, slow.identity_start)


def _head(backbone: AVSlowFast, settings: HeadSettings) -> AudioVisualHead | None:
    if settings.num_classes == 0:
        return None
    window = None if settings.size is None else -(-settings.size // backbone.slow.config.stride)
    return AudioVisualHead(backbone.dims, settings.num_classes, window, settings.dropout, settings.activation, settings.average)
