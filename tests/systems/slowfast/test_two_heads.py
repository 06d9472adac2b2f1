"""That two heads on one backbone learn both: where a bar moves, and of what colour it is, from clips that lack some labels."""

from __future__ import annotations

import pytest
import torch

from vidmodels import zoo
from vidmodels.core.batch import Batch
from vidmodels.core.label_sets import LabelSets
from vidmodels.core.recipe import AugmentSection
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.classify import Classify

SETS = LabelSets({"color": ("red", "green", "blue"), "motion": ("left", "right")})


def bars(count: int, generator: torch.Generator) -> Batch:
    """Clips of 8 frames of a bar in noise that goes a pixel to one side in each frame, anywhere: one frame says no motion."""
    labels = torch.stack([torch.randint(size, (count,), generator=generator) for size in SETS.sizes.values()], 1)
    clips = torch.randint(0, 120, (count, 1, 8, 16, 16, 3), generator=generator, dtype=torch.uint8)
    for clip, (color, motion) in zip(clips[:, 0], labels.tolist()):
        start = int(torch.randint(16, (), generator=generator))
        for time, frame in enumerate(clip):
            frame[:, (start + (2 * motion - 1) * time) % 16, color] = 255
    valid = torch.ones(count, dtype=torch.bool)
    return Batch(clips, valid, torch.arange(count), [str(i) for i in range(count)], labels)


@pytest.mark.slow
def test_both_heads_learn():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = zoo.create_model("slowfast_tiny", num_classes=SETS.sizes, num_frames=8, size=16)
    task = Classify(SETS, model.input, AugmentSection(flip=0.0))
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for step in range(60):
        batch = bars(16, generator)
        batch.labels[torch.rand(16, 2, generator=generator) < 0.25] = -1
        (found,) = task.step(model, batch, StepContext(step, 60, generator))
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        (found,) = task.step(model, bars(200, generator), StepContext(0, 1, generator))
    assert found["color_top1"] > 0.9  # chance is 0.33
    assert found["motion_top1"] > 0.75  # chance is 0.5
    assert found["action_top1"] > 0.65
