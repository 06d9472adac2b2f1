"""Tasks of models that hear: masks and their share, negatives by progress, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from vidmodels.core.batch import Batch
from vidmodels.core.entry import AudioSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import AugmentSection, SoundSection
from vidmodels.tasks.audiovisual import ClassifyAudiovisual, LearnSynchrony, audio_of
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.hearing import misaligned_sound, refuse_mixing, sound_of
from vidmodels.zoo import create_model, input_of
from vidmodels.zoo import entry as zoo_entry

NO_CHANGE = AugmentSection(flip=0.0)
SPEC = AudioSpec(mels=40, rows=64)
LEVELS = ("res3", "res4", "res5")


def batch_of(n: int = 4, silent: tuple[int, ...] = (), other: bool = False) -> Batch:
    """Noise pictures with a tone of its own for each clip, and a higher one as its other sound."""
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(16000) / 16000
    tones = [0.3 * torch.sin(2 * math.pi * (300 + 150 * i) * time * (1 + time)) for i in range(n)]
    sound = torch.stack(tones).unsqueeze(1)
    has = torch.tensor([[i not in silent] for i in range(n)])
    sound = torch.where(has.unsqueeze(-1), sound, 0.0)
    return Batch(
        clips=torch.randint(0, 255, (n, 1, 16, 32, 32, 3), generator=generator, dtype=torch.uint8),
        valid=torch.ones(n, dtype=torch.bool), numbers=torch.arange(n), ids=[str(i) for i in range(n)],
        labels=torch.arange(n) % 3, sound=sound, sound_samples=torch.full((n,), 16000), has_sound=has,
        other_sound=sound.flip(-1) if other else None,
    )  # fmt: skip


def at(step: int, total: int = 196) -> StepContext:
    return StepContext(step, total, torch.Generator().manual_seed(0))


def test_the_share_of_clips_without_sound_is_logged():
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=3)
    task = ClassifyAudiovisual(("a", "b", "c"), model.input, NO_CHANGE)
    batch = batch_of(4, silent=(1,))
    batch.valid[3] = False  # undecoded: neither with sound nor without
    (logged,) = task.step(model, batch, at(0))
    assert logged["without_sound"].item() == pytest.approx(1 / 3)
    assert set(logged) == {"loss", "top1", "without_sound"}


def test_a_clip_without_sound_is_learned_from_its_pictures():
    """Whatever lies in the place of its sound: the loss does not change."""
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=3).eval()
    task = ClassifyAudiovisual(("a", "b", "c"), model.input, NO_CHANGE)
    quiet, noisy = batch_of(2, silent=(0,)), batch_of(2, silent=(0,))
    noisy.sound[0] = torch.randn(1, 16000)
    one, other = (next(task.step(model, batch, at(0)))["loss"].item() for batch in (quiet, noisy))
    assert one == pytest.approx(other, abs=1e-6)
    noisy.sound[1] = torch.randn(1, 16000)
    assert next(task.step(model, noisy, at(0)))["loss"].item() != pytest.approx(one, abs=1e-4)


def test_a_share_of_the_clips_is_learned_from_without_sound():
    """With all of them, whatever is heard changes nothing; what is counted is what the videos lack."""
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=3).eval()
    losses = []
    for share in (0.0, 1.0):
        task = ClassifyAudiovisual(("a", "b", "c"), model.input, NO_CHANGE, SoundSection(drop_clips=share))
        for silent in ((), (0, 1, 2, 3)):
            logged = next(task.step(model, batch_of(4, silent=silent), at(0)))
            assert logged["without_sound"] == len(silent) / 4
            losses.append(logged["loss"].item())
    assert losses[2] == losses[3] == pytest.approx(losses[1], abs=1e-6)
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)


def test_synchrony_adds_its_loss_with_its_weight():
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=3, sync=LEVELS, drop_pathway=1.0)
    found = {}
    for weight in (1.0, 3.0):
        torch.manual_seed(0)
        task = ClassifyAudiovisual(("a", "b", "c"), model.input, NO_CHANGE, SoundSection(sync_weight=weight))
        found[weight] = {key: value.item() for key, value in next(task.step(model, batch_of(other=True), at(0))).items()}
    assert found[1.0]["sync_loss"] > 0
    assert found[3.0]["loss"] - found[1.0]["loss"] == pytest.approx(2 * found[1.0]["sync_loss"], rel=1e-4)
    assert {"sync_res3", "sync_res4", "sync_res5"} <= set(found[1.0])


def test_without_labels_the_loss_is_that_of_synchrony():
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=0, sync=LEVELS, drop_pathway=1.0)
    (logged,) = LearnSynchrony(model.input, NO_CHANGE, SoundSection()).step(model, batch_of(other=True), at(0))
    logged["loss"].backward()
    assert 0 < logged["loss"].item() < 3
    assert model.backbone.audio.stem.conv_t.weight.grad.abs().sum() > 0


def test_negatives_are_of_other_videos_until_epoch_96_of_196():
    batch, sound = batch_of(8, other=True), SoundSection(easy_part=96 / 196, easy_share=0.75)
    own = misaligned_sound(batch, SPEC, SoundSection(easy_part=0.0, easy_share=0.0), at(0))
    early, late = (misaligned_sound(batch, SPEC, sound, at(step)) for step in (95, 96))
    torch.testing.assert_close(early, own.roll(-1, 0))
    torch.testing.assert_close(late[6:], own[6:])
    torch.testing.assert_close(late[:6], own[:6].roll(-1, 0))


def test_a_video_without_room_for_another_sound_does_not_count_and_serves_its_neighbour():
    """All other sounds are the clips' own: in the easy part all pairs count, in the hard one the kept ones do not."""
    torch.manual_seed(0)
    model = create_model("avslowfast_tiny", num_classes=0, sync=LEVELS, drop_pathway=1.0).eval()
    batch = batch_of(4)
    batch.other_sound = batch.sound.clone()
    own = sound_of(batch, SPEC)
    for sound, count in ((SoundSection(easy_part=1.0), 4), (SoundSection(easy_part=0.0, easy_share=0.5), 2)):
        other = misaligned_sound(batch, SPEC, sound, at(0))
        pixels = torch.zeros(4, 3, 16, 32, 32)
        assert model(pixels, own.rows, own.has_audio, misaligned=other).synchrony.valid.sum() == count


@pytest.mark.parametrize("key", ["mixup", "cutmix"])
def test_mixing_of_pictures_is_refused(key):
    with pytest.raises(ConfigError, match=f"data.augment.{key} 0.8 mixes pictures, but not their sounds: set it to 0"):
        refuse_mixing(AugmentSection(**{key: 0.8}))


def test_a_batch_without_sound_is_refused():
    batch = batch_of(2)
    batch.sound = None
    with pytest.raises(DataError, match="was read without sound"):
        sound_of(batch, SPEC)


def test_a_model_that_takes_no_sound_is_refused():
    with pytest.raises(ConfigError, match="the model takes no sound"):
        audio_of(zoo_entry("slowfast_tiny").input)


def test_the_input_of_a_model_follows_its_rows():
    row = zoo_entry("avslowfast_tiny")
    assert input_of(row, {"audio_rows": 128}).audio.rows == 128
    assert input_of(row, {"num_frames": 8}).audio == row.input.audio
