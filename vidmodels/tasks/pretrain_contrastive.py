"""Persistent contrastive learning: embeddings of clips of one video, at whatever distance in time, shall agree.

B videos, R clips of each (rho), E width of an embedding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.recipe import AugmentSection, ContrastiveTaskSection
from vidmodels.data.transforms import prepare
from vidmodels.losses.contrastive import byol_loss, info_nce_logits, info_nce_loss, nt_xent_loss, sinkhorn_codes, swav_loss
from vidmodels.ops.gather import collect, deal, gather_rows, max_over_workers, rank, sum_over_workers
from vidmodels.tasks.base import StepContext

Losses = Generator[dict[str, Tensor], None, Tensor]


@dataclass(frozen=True)
class PretrainContrastive:
    """One of four frameworks (section 3 of the paper), with any number of clips of a video.

    The loss of each clip of MoCo and BYOL is back-propagated by itself, so that memory is that of one clip; SimCLR and SwAV
    compare all clips at once. bare: the model without wrappers, whose slow copy and memories are used. epochs: of the run.
    synchronised: batch norms are, over all workers, so that no batch is shuffled. rows: sample numbers to rows of the memory.
    """

    settings: ContrastiveTaskSection
    input: InputSpec
    augment: AugmentSection
    bare: Any
    epochs: float
    synchronised: bool = False
    rows: Callable[[Tensor], Tensor] | None = None

    def step(self, model: Any, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss` of each clip, or of all; `agreement`: its share of the mean cosine of clips that shall agree."""
        videos, clips = batch.clips.shape[:2]
        ready = prepare(batch, self.input, self.augment, context.generator)
        parts = list(ready.clips.unflatten(0, (videos, clips)).unbind(1))
        valid = ready.valid.view(videos, clips).all(1)
        embedding = yield from self.losses(model, parts, valid, context)
        if self.bare.config.memory and self.rows is not None:
            rows = torch.where(valid.cpu(), self.rows(batch.numbers), -1).to(embedding.device)
            self.bare.remember(gather_rows(embedding), gather_rows(rows))

    def losses(self, model: Any, parts: Sequence[Tensor], valid: Tensor, context: StepContext) -> Losses:
        """Of prepared clips, R of [B, C, T, H, W] in the order of time; valid: bool [B], videos that count.

        The generator returns the embeddings [B, E] of the first clips.
        """
        run = {"moco": self._moco, "byol": self._byol, "simclr": self._simclr, "swav": self._swav}
        return (yield from run[self.bare.config.framework](model, parts, valid, context))

    def momentum(self, share: float) -> float:
        """1 - (1 - m0) (cos(pi e / E) + 1) / 2 after a share e / E of the run, rising to 1 (the paper's appendix)."""
        return 1 - (1 - self.settings.momentum) * (math.cos(math.pi * share) + 1) / 2

    def _moco(self, model: Any, parts: Sequence[Tensor], valid: Tensor, context: StepContext) -> Losses:
        keys = self._keys(parts, context)
        found = []
        for i, clips in enumerate(parts):
            query = model(clips).projection
            found.append(query.detach())
            others = [key for j, key in enumerate(keys) if j != i]
            logits = info_nce_logits(query, others, self.bare.queue, self.settings.temperature)
            yield {"loss": info_nce_loss(logits, valid), "agreement": _agreement(query, others) / len(parts)}
        for key in keys if self.settings.multi_view_queue else keys[:1]:
            self.bare.enqueue(gather_rows(key))
        if context.step * len(gather_rows(valid)) < len(self.bare.queue):
            self._forget_gradients()  # until the queue holds keys, there is nothing to learn from
        return found[0]

    def _byol(self, model: Any, parts: Sequence[Tensor], valid: Tensor, context: StepContext) -> Losses:
        keys = self._keys(parts, context)
        found = []
        for i, clips in enumerate(parts):
            _, projection, prediction = model(clips)
            found.append(projection.detach())
            others = [key for j, key in enumerate(keys) if j != i]
            yield {
                "loss": byol_loss(prediction, others, self.settings.temperature, valid),
                "agreement": _agreement(prediction, others) / len(parts),
            }
        return found[0]

    def _simclr(self, model: Any, parts: Sequence[Tensor], valid: Tensor, context: StepContext) -> Losses:
        found = [model(clips).projection for clips in parts]
        pairs = itertools.pairwise(found)
        losses = [nt_xent_loss(a, b, self.settings.temperature, valid, _with_gradient, rank()) for a, b in pairs]
        yield {"loss": torch.stack(losses).sum(), "agreement": _agreement(found[0], found[1:])}
        return found[0].detach()

    def _swav(self, model: Any, parts: Sequence[Tensor], valid: Tensor, context: StepContext) -> Losses:
        settings = self.settings
        self.bare.normalise_prototypes()
        found = [model(clips).projection for clips in parts]
        scores = [self.bare.scores(projection) for projection in found]
        codes = []
        for part in scores[:2]:  # a video that could not be decoded takes no share of a prototype
            known = sinkhorn_codes(part[valid], settings.epsilon, settings.iterations, sum_over_workers, max_over_workers)
            codes.append(torch.zeros_like(part, dtype=known.dtype).masked_scatter_(valid[:, None], known))
        yield {"loss": swav_loss(scores, codes, settings.temperature, valid), "agreement": _agreement(found[0], found[1:])}
        if context.step / context.total_steps * self.epochs <= 1:
            self.bare.prototypes.weight.grad = None
        return found[0].detach()

    def _keys(self, parts: Sequence[Tensor], context: StepContext) -> list[Tensor]:
        """Of all clips, one after the other, before anything is learned from them."""
        # the published code takes the value that was computed at the end of the step before
        self.bare.follow(self.momentum(max(context.step - 1, 0) / context.total_steps))
        if self.synchronised or self.bare.config.framework != "moco":
            return [self.bare.keys(clips) for clips in parts]
        keys = []
        for number, clips in enumerate(parts):
            # the same on all workers, unlike the generator of augmentation
            generator = torch.Generator().manual_seed(context.step * len(parts) + number)
            dealt, order = deal(clips, generator)
            keys.append(collect(self.bare.keys(dealt), order))
        return keys

    def _forget_gradients(self) -> None:
        for parameter in self.bare.parameters():
            parameter.grad = None

    def describe(self) -> dict[str, Any]:
        return {"task": "pretrain_contrastive", **self.settings.model_dump(mode="json")}


def _agreement(query: Tensor, others: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.stack([(query * other).sum(1).mean() for other in others]).mean()


def _with_gradient(rows: Tensor) -> Tensor:
    return gather_rows(rows, gradient=True)
