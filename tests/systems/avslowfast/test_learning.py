"""That it learns: classes that only the sound tells, classes that only the picture tells, and which sound belongs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.entry import AudioSpec
from vidmodels.ops.logmel import audio_input
from vidmodels.zoo import create_model

SPEC = AudioSpec(mels=16, rows=32)
SETTINGS = {
    "width": 8, "depth": (1, 1, 1, 1), "beta_inv": 4, "num_frames": 8, "size": 16, "audio_rows": 32, "alpha": 2,
    "audio_width": 8, "dropout": 0.0,
}  # fmt: skip


def tones(hertz: Tensor, generator: torch.Generator) -> Tensor:
    """Spectrograms [N, 1, 32, 16] of one second of a tone in noise each."""
    at = torch.arange(16000) / 16000
    loud = 0.1 + 0.4 * torch.rand(len(hertz), 1, generator=generator)
    wave = loud * torch.sin(2 * math.pi * hertz.unsqueeze(1) * at)
    return audio_input(wave + 0.02 * torch.randn(wave.shape, generator=generator), SPEC).rows


def pictures(n: int, generator: torch.Generator) -> Tensor:
    return 0.3 * torch.randn(n, 3, 8, 16, 16, generator=generator)


def train(model, steps: int, loss_of, lr: float = 5e-3) -> None:
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.zero_grad()
        loss_of().backward()
        optimiser.step()
    model.eval()


@torch.no_grad()
def accuracy(model, video: Tensor, labels: Tensor, sound: Tensor | None) -> float:
    return (model(video, sound).argmax(1) == labels).float().mean().item()


def test_a_class_that_only_the_sound_tells():
    """Two tones, and the same kind of picture for both: right with sound, at chance without."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = create_model("avslowfast_r50_4x16", num_classes=2, sync=(), **SETTINGS)

    def batch(n: int) -> tuple[Tensor, Tensor, Tensor]:
        labels = torch.arange(n) % 2
        return pictures(n, generator), tones(500 + 1500 * labels.float(), generator), labels

    def loss() -> Tensor:
        video, sound, labels = batch(8)
        return functional.cross_entropy(model(video, sound), labels)

    train(model, 40, loss)
    video, sound, labels = batch(60)
    assert accuracy(model, video, labels, sound) > 0.9
    assert 0.35 <= accuracy(model, video, labels, None) <= 0.65


def test_a_class_that_only_the_picture_tells():
    """Bright on the left or the right; the tone is drawn at random, and a part of the clips is silent."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = create_model("avslowfast_r50_4x16", num_classes=2, sync=(), **SETTINGS)

    def batch(n: int) -> tuple[Tensor, Tensor, Tensor]:
        labels = torch.arange(n) % 2
        video = pictures(n, generator)
        video[labels == 0, :, :, :, :8] += 1
        video[labels == 1, :, :, :, 8:] += 1
        return video, tones(500 + 1500 * torch.randint(2, (n,), generator=generator).float(), generator), labels

    def loss() -> Tensor:
        video, sound, labels = batch(8)
        heard = torch.rand(8, generator=generator) < 0.7
        return functional.cross_entropy(model(video, sound, heard), labels)

    train(model, 40, loss)
    video, sound, labels = batch(60)
    assert accuracy(model, video, labels, sound) > 0.9
    assert accuracy(model, video, labels, None) > 0.9


def flashes_and_beeps(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Videos of calm and busy stretches: clips of one, its beeps, and the beeps of another stretch of the same video.

    A clip has 8 frames of an eighth of a second; with each flash goes a beep. Calm has 1 to 3 of them, busy 6 to 8.
    """
    busy = torch.arange(n) % 2 == 0

    def events(many: Tensor) -> Tensor:
        counts = torch.where(
            many, torch.randint(6, 9, (n,), generator=generator), torch.randint(1, 4, (n,), generator=generator)
        )
        return torch.rand(n, 8, generator=generator).argsort(1) < counts.unsqueeze(1)  # bool [N, 8]

    def beeps(on: Tensor) -> Tensor:
        envelope = on.float().repeat_interleave(2000, 1)
        wave = 0.4 * envelope * torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
        return audio_input(wave + 0.01 * torch.randn(wave.shape, generator=generator), SPEC).rows

    on, elsewhere = events(busy), events(~busy)
    video = pictures(n, generator) + on.float().view(n, 1, 8, 1, 1)
    return video, beeps(on), beeps(elsewhere)


def test_synchrony_alone_tells_which_sound_belongs():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = create_model("avslowfast_r50_4x16", num_classes=0, drop_pathway=1.0, **SETTINGS)

    def loss() -> Tensor:
        video, sound, other = flashes_and_beeps(8, generator)
        return model(video, sound, misaligned=other).synchrony.loss

    train(model, 40, loss)
    video, sound, other = flashes_and_beeps(60, generator)
    with torch.no_grad():
        found = model(video, sound, misaligned=other, drop=True).synchrony
    assert found.valid.all()
    for level in ("res3", "res4", "res5"):
        assert found.accuracy(level).item() == pytest.approx(1, abs=0.1), level
