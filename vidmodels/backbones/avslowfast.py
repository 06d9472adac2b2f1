"""Three pathways: Slow and Fast see the frames, Audio hears a spectrogram, and lateral connections bring what Fast saw and
what Audio heard into Slow (Xiao et al. 2020, "Audiovisual SlowFast Networks for Video Recognition").

N clips, C channels, T frames of the Fast pathway, H height, W width, R rows and M mel bands of a spectrogram.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vidmodels.backbones.avslowfast_audio import AudioConfig, AudioNet, AudioToSlow
from vidmodels.backbones.resnet3d import STAGES, ResNet3d, ResNet3dConfig
from vidmodels.backbones.slowfast import FastToSlow, both_pathways
from vidmodels.core.errors import ConfigError

LEVELS = ("stem", *STAGES)
"""Where pathways are compared or joined; after res5 nothing is joined, but may be compared."""
PLACES = LEVELS[:4]


@dataclass(frozen=True)
class FusionConfig:
    """The lateral connections.

    fast_at, audio_at: whether Fast and Audio join Slow after stem, res2, res3, res4. alpha: frames of Fast for each of
    Slow; lateral_kernel, lateral_ratio: frames of Fast's convolutions, and their channels for each of Fast's.
    audio_alpha: rows of the spectrogram for each frame of Slow; audio_convs, audio_kernel: Audio's convolutions over time
    and their length; audio_width: channels between them, or (a fraction) their share of Audio's channels; drop_pathway:
    probability that a training step goes without Audio's laterals.
    """

    fast_at: tuple[bool, bool, bool, bool] = (False, False, True, True)
    audio_at: tuple[bool, bool, bool, bool] = (False, False, True, True)
    alpha: int = 8
    lateral_kernel: int = 5
    lateral_ratio: int = 2
    audio_alpha: int = 32
    audio_convs: int = 2
    audio_kernel: int = 5
    audio_width: int | float = 64
    drop_pathway: float = 0.8

    @property
    def first_audio(self) -> int:
        """The first level at which Audio joins, 4 where it never does."""
        return next((i for i, joins in enumerate(self.audio_at) if joins), 4)


class Pair(NamedTuple):
    """What a level knows of each clip, as means over space and time: visual [N, C], and of both sounds [N, C].

    visual has Fast's part, but not yet what Audio adds at this level.
    """

    visual: Tensor
    aligned: Tensor
    misaligned: Tensor


@dataclass
class Observed:
    """What a forward pass saw and heard.

    maps: after res5, Slow's and Fast's [N, C, T', H', W'] and Audio's [N, C, 1, R', M'], of the aligned sound; other_audio:
    of the misaligned one, or None; pairs: by level, where a misaligned sound was given; let_in: 0 where this step goes
    without Audio's laterals, else 1.
    """

    maps: list[Tensor]
    let_in: Tensor
    other_audio: Tensor | None = None
    pairs: dict[str, Pair] = field(default_factory=dict)


class AVSlowFast(nn.Module):
    """Slow, Fast and Audio residual networks with their lateral connections.

    Without sound, for the whole batch (audio=None) or for some clips of it (has_audio), Audio's laterals add 0 and its map
    is 0. The rows of such clips still count in the batch norms of Audio while training.
    """

    memory_format = torch.channels_last_3d
    no_decay: frozenset[str] = frozenset()
    num_layers = 5

    def __init__(self, slow: ResNet3dConfig, fast: ResNet3dConfig, audio: AudioConfig, fusion: FusionConfig) -> None:
        super().__init__()
        self.fusion = fusion
        fast_dims = (fast.stem_dim, *(stage.dim for stage in fast.stages))
        extra = tuple(dim * fusion.lateral_ratio if joins else 0 for dim, joins in zip(fast_dims, fusion.fast_at))
        self.slow = ResNet3d(dataclasses.replace(slow, extra=extra))
        self.fast = ResNet3d(fast)
        self.audio = AudioNet(audio)
        self.slow_dims = (slow.stem_dim, *(stage.dim for stage in slow.stages))
        self.laterals = nn.ModuleDict({str(i): self.make_fast_to_slow(i) for i, joins in enumerate(fusion.fast_at) if joins})
        self.audio_laterals = nn.ModuleDict(
            {
                str(i): self.make_audio_to_slow(i, self.slow_dims[i] + extra[i])
                for i, joins in enumerate(fusion.audio_at)
                if joins
            }
        )

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each map that `forward` returns."""
        return (*self.slow.dims, *self.fast.dims, self.audio.dims[-1])

    def make_fast_to_slow(self, level: int) -> FastToSlow:
        """A lateral connection from Fast after a level (0 the stem, 4 res5)."""
        dim = self.fast.config.stem_dim if level == 0 else self.fast.config.stages[level - 1].dim
        return FastToSlow(dim, self.fusion.lateral_ratio, self.fusion.lateral_kernel, self.fusion.alpha)

    def make_audio_to_slow(self, level: int, dim: int) -> AudioToSlow:
        """A lateral connection from Audio after a level to `dim` channels. Raises ConfigError where the rows do not fit."""
        fusion, reduction = self.fusion, self.audio.config.reductions[level]
        if fusion.audio_alpha % reduction:
            raise ConfigError(
                f"audio_alpha {fusion.audio_alpha} is not a multiple of {reduction}, by which Audio has fewer steps after "
                f"{LEVELS[level]}: choose more rows of the spectrogram for each frame of Slow"
            )
        width = fusion.audio_width
        between = width if isinstance(width, int) else int(self.audio.dims[level] * width)
        dims = [self.audio.dims[level], *[between] * (fusion.audio_convs - 1), dim]
        return AudioToSlow(dims, fusion.audio_kernel, fusion.audio_alpha // reduction)

    def forward(
        self,
        clips: Tensor | Sequence[Tensor],
        audio: Tensor | None = None,
        has_audio: Tensor | None = None,
        drop: bool | None = None,
    ) -> list[Tensor]:
        """Maps of Slow, Fast and Audio after res5; see `observe`."""
        return self.observe(clips, audio, has_audio=has_audio, drop=drop).maps

    def maps(self, clips: Tensor | Sequence[Tensor]) -> list[Tensor]:
        """Maps of the pathways that see, without sound."""
        return self(clips)[:2]

    def observe(
        self,
        clips: Tensor | Sequence[Tensor],
        audio: Tensor | None = None,
        misaligned: Tensor | None = None,
        has_audio: Tensor | None = None,
        drop: bool | None = None,
    ) -> Observed:
        """Run all pathways.

        clips: Fast's frames [N, 3, T, H, W], from which Slow's are taken, or both as [slow, fast]; audio: log-mel
        spectrograms [N, 1, R, M] of the same spans of time, and misaligned ones of other spans, or None; has_audio: bool
        [N], clips whose sound counts (None: all); drop: whether Audio's laterals are shut, by default at random while
        training and never else (DropPathway). Raises ConfigError where the rows do not fit the frames.
        """
        slow, fast = both_pathways(clips, self.fusion.alpha)
        let_in = self.let_in(drop)
        sound, gate = self._sound(slow, audio, misaligned, has_audio, let_in)
        slow, fast = self.slow.stem(slow), self.fast.stem(fast)
        sound = None if sound is None else self.audio.stem(sound)
        pairs: dict[str, Pair] = {}
        for i, level in enumerate(PLACES):
            heard = None if sound is None or str(i) not in self.audio_laterals else self.audio_laterals[str(i)](sound)
            if str(i) in self.laterals:
                slow = torch.cat([slow, self.laterals[str(i)](fast)], dim=1)
            if heard is not None:
                if misaligned is not None:
                    pairs[level] = pair_of(slow, heard)
                # times 0 and not left out when shut: every parameter keeps a gradient, the processes of a run stay in step
                slow = slow + heard[: slow.shape[0]] * gate.to(heard.dtype)
            slow, fast = self.slow.stages[i](slow), self.fast.stages[i](fast)
            sound = None if sound is None else self.audio.stages[i](sound)
        own, other = self._split(slow, sound, has_audio, misaligned is not None)
        return Observed([slow, fast, own], let_in, other, pairs)

    def blocks(self) -> list[nn.Module]:
        return [*self.slow.blocks(), *self.fast.blocks(), *(block for stage in self.audio.stages for block in stage)]

    def layer_id(self, name: str) -> int:
        """Layer of a parameter for layer-wise learning rates: 0 the stems and the laterals after them, 1 to 4 the stages."""
        part, rest = name.split(".", 1)
        return int(rest.split(".", 1)[0]) if part in ("laterals", "audio_laterals") else self.slow.layer_id(rest)

    def let_in(self, drop: bool | None) -> Tensor:
        """A scalar on the CPU, so that no step waits for the device."""
        if drop is not None:
            return torch.tensor(float(not drop))
        if not self.training:
            return torch.tensor(1.0)
        return (torch.rand(()) >= self.fusion.drop_pathway).float()

    def _sound(
        self,
        slow: Tensor,
        audio: Tensor | None,
        misaligned: Tensor | None,
        has_audio: Tensor | None,
        let_in: Tensor,
    ) -> tuple[Tensor | None, Tensor]:
        """Aligned and then misaligned spectrograms [N or 2N, 1, 1, R, M], and the factor of Audio's laterals, a scalar or
        [N, 1, 1, 1, 1]."""
        if audio is None:
            if misaligned is not None:
                raise ConfigError("misaligned audio was given without the aligned one: give both")
            return None, let_in
        n, frames = slow.shape[0], slow.shape[2]  # tracers take len(slow) for a constant
        rows = frames * self.fusion.audio_alpha
        for each in (audio, misaligned):
            if each is not None and (each.ndim != 4 or each.shape[0] != n or each.shape[2] != rows):
                raise ConfigError(
                    f"audio of shape {tuple(each.shape)} does not fit {n} clips with {frames} frames of Slow: give "
                    f"[{n}, 1, {rows}, mel bands]"
                )
        gate = let_in
        if has_audio is not None:
            here = has_audio.view(n, 1, 1, 1)
            audio = torch.where(here, audio, 0.0)  # what is not there may be anything, NaN included
            gate = here.unsqueeze(-1).to(audio.dtype) * let_in
        both = audio if misaligned is None else torch.cat([audio, misaligned])
        return both.unsqueeze(2), gate

    def _split(
        self, slow: Tensor, sound: Tensor | None, has_audio: Tensor | None, paired: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Audio's maps of the aligned and the misaligned sound; zeros for clips without."""
        if sound is None:
            return slow.new_zeros(slow.shape[0], self.audio.dims[-1], 1, 1, 1), None
        own, other = sound.chunk(2) if paired else (sound, None)
        if has_audio is not None:
            own = torch.where(has_audio.view(-1, 1, 1, 1, 1), own, 0.0)
        return own, other


def pair_of(visual: Tensor, heard: Tensor) -> Pair:
    """Means over space and time; heard: [2N, C, T', 1, 1], the aligned sounds before the misaligned ones."""
    aligned, misaligned = heard.mean((2, 3, 4)).chunk(2)
    return Pair(visual.mean((2, 3, 4)), aligned, misaligned)
