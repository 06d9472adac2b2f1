"""Heads of networks that see and hear: the class of a clip, and whether a sound belongs to it.

N clips, C channels, P positions of a pooled map, D features, K classes, R rows and M mel bands of a spectrogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.backbones.avslowfast import LEVELS, AVSlowFast, Observed, Pair, pair_of
from vidmodels.core.errors import ConfigError
from vidmodels.heads.clip import ClipHead, init_classifier, pool_windows
from vidmodels.losses.synchronisation import MARGIN, MAX_SIMILARITY, synchronisation_loss, valid_pairs
from vidmodels.ops.logmel import SILENCE


class AudioVisualHead(ClipHead):
    """ClipHead with the mean of Audio's map beside each position of the pictures' (AVSlowFast)."""

    def positions(self, maps: Sequence[Tensor]) -> Tensor:
        """What the linear layer takes, at each position: [N, P, D]; the last map is Audio's [N, C, 1, R', M']."""
        *visual, audio = maps
        pooled = torch.cat([pool_windows(each, self.window) for each in visual], dim=1).flatten(2).transpose(1, 2)
        heard = audio.mean((2, 3, 4)).unsqueeze(1).expand(-1, pooled.shape[1], -1)
        return torch.cat([pooled, heard], dim=2)


@dataclass
class Synchrony:
    """How well pictures and sounds of a batch were told together.

    losses: by level, 0 where the level does not count in this step. near, far: by level, distances [N] in 0..1 of each
    clip to its own sound and to the misaligned one, without gradient; valid: bool [N], pairs that count.
    """

    losses: dict[str, Tensor]
    valid: Tensor
    near: dict[str, Tensor] = field(default_factory=dict)
    far: dict[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum over levels, each with weight 1."""
        return torch.stack(list(self.losses.values())).sum()

    def accuracy(self, level: str) -> Tensor:
        """Share of the valid pairs whose own sound is nearer than the misaligned one; NaN without valid pairs."""
        return (self.valid & (self.near[level] < self.far[level])).sum() / self.valid.sum()


class SyncHead(nn.Module):
    """Linear layers from what was seen and what was heard to a common space: points on a sphere of radius 1/2."""

    def __init__(self, dim_visual: int, dim_audio: int, dim: int) -> None:
        super().__init__()
        self.visual = nn.Linear(dim_visual, dim)
        self.audio = nn.Linear(dim_audio, dim)
        init_classifier(self.visual)
        init_classifier(self.audio)

    def forward(self, pair: Pair) -> tuple[Tensor, Tensor, Tensor]:
        """Points [N, D] of the pictures, of the aligned and of the misaligned sound."""
        layers = (self.visual, self.audio, self.audio)
        visual, aligned, misaligned = (
            functional.normalize(layer(each).float(), dim=1) * 0.5 for layer, each in zip(layers, pair)
        )
        return visual, aligned, misaligned


class LastSyncHead(SyncHead):
    """The head after res5, with lateral connections of its own: nothing but the comparison needs them there."""

    def __init__(self, backbone: AVSlowFast, dim: int) -> None:
        ratio = backbone.fusion.lateral_ratio
        fused = backbone.slow.dims[0] + backbone.fast.dims[0] * ratio
        super().__init__(fused, fused, dim)
        self.fast_to_slow = backbone.make_fast_to_slow(4)
        self.audio_to_slow = backbone.make_audio_to_slow(4, fused)

    def pair(self, observed: Observed) -> Pair:
        """What is compared, from the maps after res5."""
        slow, fast, audio = observed.maps
        assert observed.other_audio is not None
        heard = self.audio_to_slow(torch.cat([audio, observed.other_audio]))
        return pair_of(torch.cat([slow, self.fast_to_slow(fast)], dim=1), heard)


class SyncHeads(nn.ModuleDict):
    """A head at each of several levels, such as ("res3", "res4", "res5"), by its name.

    Only levels up to the first where Audio joins Slow count in a step: after that the pictures have heard the sound. With
    Audio's laterals shut all of them do (AVSlowFast's public code).
    """

    def __init__(
        self,
        backbone: AVSlowFast,
        levels: Sequence[str],
        dim: int = 64,
        margin: float = MARGIN,
        min_variance: float = SILENCE,
        max_similarity: float = MAX_SIMILARITY,
    ) -> None:
        super().__init__()
        self.margin, self.min_variance, self.max_similarity = margin, min_variance, max_similarity
        self.first_audio = backbone.fusion.first_audio
        for level in levels:
            if level not in LEVELS:
                raise ConfigError(
                    f"there is no level {level!r} to compare sound and pictures at: choose of {', '.join(LEVELS)}"
                )
            number = LEVELS.index(level)
            if level == "res5":
                self[level] = LastSyncHead(backbone, dim)
            elif backbone.fusion.audio_at[number]:
                fused = backbone.slow_dims[number] + backbone.slow.config.extra[number]
                self[level] = SyncHead(fused, fused, dim)
            else:
                raise ConfigError(f"sound and pictures cannot be compared after {level}, where Audio has no lateral connection")

    def forward(self, observed: Observed, audio: Tensor, misaligned: Tensor, has_audio: Tensor | None = None) -> Synchrony:
        """Losses of what `AVSlowFast.observe` saw and heard; audio, misaligned: the spectrograms [N, 1, R, M] it was given."""
        valid = valid_pairs(audio, misaligned, self.min_variance, self.max_similarity)
        if has_audio is not None:
            valid = valid & has_audio
        found = Synchrony({}, valid)
        for level, head in self.items():
            assert isinstance(head, SyncHead)
            pair = head.pair(observed) if isinstance(head, LastSyncHead) else observed.pairs[level]
            visual, aligned, other = head(pair)
            counts = 1.0 if LEVELS.index(level) <= self.first_audio else 1 - observed.let_in
            found.losses[level] = counts * synchronisation_loss(visual, aligned, other, valid, self.margin)
            found.near[level] = (visual - aligned).detach().norm(dim=1)
            found.far[level] = (visual - other).detach().norm(dim=1)
        return found


@dataclass
class AudioVisualOutput:
    """logits [N, K], None where no class is asked for; synchrony: losses of the comparison of sound and pictures."""

    logits: Tensor | None
    synchrony: Synchrony


class AudioVisualModel(nn.Module):
    """Clips and their sound to logits; with misaligned sounds also to how well the two were told together.

    head: None for learning from synchrony alone, without labels. sync: None or empty where nothing is compared.
    """

    def __init__(self, backbone: AVSlowFast, head: AudioVisualHead | None, sync: SyncHeads | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.sync = SyncHeads(backbone, ()) if sync is None else sync
        self.num_classes = 0 if head is None else head.num_classes
        self.label_sets = None if head is None else head.label_sets
        self.activation = "softmax" if head is None else head.activation
        self.feature_dim = sum(backbone.dims)
        self.no_decay = frozenset(f"backbone.{pattern}" for pattern in backbone.no_decay)

    def forward(
        self,
        clips: Tensor | Sequence[Tensor],
        audio: Tensor | None = None,
        has_audio: Tensor | None = None,
        misaligned: Tensor | None = None,
        drop: bool | None = None,
    ) -> Tensor | AudioVisualOutput:
        """Logits [N, K] (without a head the pooled features [N, D]); an AudioVisualOutput where `misaligned` is given.

        clips: [N, C, T, H, W], or [slow, fast]; audio, misaligned: [N, 1, R, M] normalised log-mel, of the clips' own spans
        of time and of others; has_audio: bool [N], clips with sound (None: all); drop: see `AVSlowFast.observe`. Without
        sound the laterals add 0 and the head gets zeros for Audio's features. Raises ConfigError for shapes that do not fit.
        """
        observed = self.backbone.observe(clips, audio, misaligned, has_audio, drop)
        if misaligned is None or audio is None:
            return self.head(observed.maps) if self.head is not None else self._pooled(observed.maps)
        if not self.sync:
            raise ConfigError("misaligned audio was given, but the model compares nothing: create it with sync=('res3', ...)")
        logits = None if self.head is None else self.head(observed.maps)
        return AudioVisualOutput(logits, self.sync(observed, audio, misaligned, has_audio))

    def features(
        self, clips: Tensor | Sequence[Tensor], audio: Tensor | None = None, has_audio: Tensor | None = None
    ) -> Tensor:
        """Pooled embedding [N, D] of Slow, Fast and Audio: what the head's linear layer takes."""
        return self._pooled(self.backbone(clips, audio, has_audio))

    def blocks(self) -> list[nn.Module]:
        """Blocks, for checkpointing of activations, compilation and sharding."""
        return self.backbone.blocks()

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: the backbone's 0..num_layers - 1, the heads above them."""
        if name.startswith("backbone."):
            return self.backbone.layer_id(name.removeprefix("backbone."))
        return self.backbone.num_layers

    def _pooled(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat([each.mean((2, 3, 4)) for each in maps], dim=1) if self.head is None else self.head.pool(maps)
