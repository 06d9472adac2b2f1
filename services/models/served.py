"""Models in memory that answer for clips, several calls at once: what a replica does, without Serve.

N clips, T frames, S side of a model's crop, C colours, A audio samples, K classes, D channels of an embedding, R boxes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from services.catalogue import TASKS, ServedInfo
from vidmodels.core.errors import VidmodelsError, WeightsError

if TYPE_CHECKING:
    from vidmodels.ops.logmel import AudioInput

BATCHED = ("scores", "embed")
"""What is computed for several calls at once; anything else goes call by call."""


@dataclass(frozen=True)
class Wanted:
    """A model that a replica shall hold.

    source: models:/NAME/VERSION of the registry at the address `registry` (None: the default one), or a weights file.
    """

    name: str
    registered: str
    version: str
    source: str
    precision: str = "float32"
    registry: str | None = None
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """What is asked of a model.

    what: scores or embed, answered by Rows; explain (maps float16 [N, T, S, S], classes, scores); actions (scores [R, K]).
    clips: uint8 [N, T, S, S, C]; waves: float32 [N, A] for a model that hears; values: further ones of `what`.
    """

    model: str
    what: str
    clips: np.ndarray
    waves: np.ndarray | None = None
    values: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Rows:
    """Scores float32 [N, K] or embeddings [N, D]; heard: for each sound whether it was one, None without sounds."""

    values: np.ndarray
    heard: tuple[bool, ...] | None = None


Fetch = Callable[[str, str | None], str]
"""From models:/NAME/VERSION and the address of its registry to a file of this machine."""


def fetched(source: str, address: str | None) -> str:
    """A `Fetch` in this process. Raises VidmodelsError."""
    from vidmodels.zoo import registry

    return str(registry(address).fetch(source).path)


@contextlib.contextmanager
def fetching_apart() -> Iterator[Fetch]:
    """A `Fetch` in a child: a registry's client would take 100 MB of a replica for as long as it lives."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield lambda source, address: pool.submit(fetched, source, address).result()


class ServedModel:
    """A model with its predictor. Raises WeightsError for weights that do not load."""

    def __init__(self, wanted: Wanted, device: str | None = None, fetch: Fetch | None = None) -> None:
        from vidmodels.inference.action_predictor import ActionPredictor
        from vidmodels.predictors import make_predictor

        self.wanted = wanted
        source = wanted.source
        path = (fetch or fetched)(source, wanted.registry) if source.startswith("models:") else source
        self.predictor = make_predictor(path, device=device, precision=wanted.precision)
        entry: Any = self.predictor.model.entry
        self._actions = ActionPredictor(self.predictor) if entry.task == "detect_actions" else None
        self.answers = TASKS.get(entry.task, ())
        if not self.answers:
            raise WeightsError(f"{wanted.name} is a model for {entry.task}, and the service has no answers of that kind")

    def info(self, app: str) -> ServedInfo:
        """What is known of it."""
        predictor, wanted = self.predictor, self.wanted
        entry: Any = predictor.model.entry
        count = getattr(predictor.model, "num_classes", 0)
        names = predictor.classes or tuple(f"class {number}" for number in range(count if isinstance(count, int) else 0))
        return ServedInfo(
            wanted.name, wanted.registered, wanted.version, app, entry.name, self.answers,
            dataclasses.asdict(predictor.spec), tuple(names), getattr(predictor.model, "label_sets", None),
            predictor.precision, entry.licence, wanted.tags,
        )  # fmt: skip

    def at_once(self, call: Call) -> int:
        """How many clips like those of a call are computed together."""
        from vidmodels.inference.portions import at_once

        return at_once(call.clips.shape, self.predictor.batch_size, self.predictor.device)

    def compute(self, call: Call) -> Any:
        """The answer to one call. Raises VidmodelsError."""
        # what came through the object store is read-only, which torch does not take without a warning
        clips = call.clips if call.clips.flags.writeable else call.clips.copy()
        if call.what in BATCHED:
            sound = self._sound(call)
            answer = self.predictor.scores if call.what == "scores" else self.predictor.embed
            every = 1 if call.waves is None else len(call.clips) // len(call.waves)
            heard = None if sound is None else tuple(sound.has_audio[::every].tolist())
            return Rows(answer(clips, sound), heard)
        if call.what == "actions":
            assert self._actions is not None
            return self._actions.scores(clips, call.values["boxes"])
        assert call.what == "explain"
        return self._explain(call, clips)

    def _sound(self, call: Call) -> AudioInput | None:
        """The spectrogram of each clip: that of its window, for all of the window's crops."""
        import torch

        from vidmodels.ops.logmel import AudioInput, audio_input

        audio = self.predictor.spec.audio
        if call.waves is None or audio is None:
            return None
        repeats = len(call.clips) // len(call.waves)
        found = audio_input(torch.from_numpy(np.array(call.waves)), audio, present=torch.from_numpy(call.waves.any(1)))
        return AudioInput(*(values.repeat_interleave(repeats, 0) for values in found))

    def _explain(self, call: Call, clips: np.ndarray) -> dict[str, Any]:
        import torch

        from vidmodels.data.transforms import pixels_of
        from vidmodels.inference.explain import explanation
        from vidmodels.tasks.classify import scores_of

        predictor = self.predictor
        pixels = pixels_of(torch.from_numpy(clips).to(predictor.device), predictor.spec)
        sound = self._sound(call)
        inputs: dict[str, Any] = {} if sound is None else {
            "audio": sound.rows.to(predictor.device), "has_audio": sound.has_audio.to(predictor.device),
        }  # fmt: skip
        found = explanation(predictor.model, pixels, call.values.get("target"), **inputs)
        scores = scores_of(predictor.model, found.logits).gather(1, found.target.unsqueeze(1))
        return {
            "method": found.method,
            "maps": found.maps.half().cpu().numpy(),
            "target": found.target.cpu().tolist(),
            "scores": scores.squeeze(1).float().cpu().tolist(),
        }


def compute_all(models: dict[str, ServedModel], calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
    """The numbers of some calls and their answers, each as soon as it is known; an error of one is its answer alone.

    Calls for the same thing of the same model are computed together, as many as are fastest so. Where that fails, each is
    tried alone.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, call in enumerate(calls):
        alone = -1 if call.what in BATCHED else number
        shapes = (call.clips.shape[1:], None if call.waves is None else call.waves.shape[1:])
        groups.setdefault((call.model, call.what, shapes, alone), []).append(number)
    for group in groups.values():
        model = models[calls[group[0]].model]
        for numbers in _portions(group, calls, model):
            parts = [calls[number] for number in numbers]
            found = _together(model, parts) if len(parts) > 1 else None
            yield from zip(numbers, found or [_alone(functools.partial(model.compute, part)) for part in parts])


def _portions(group: Sequence[int], calls: Sequence[Call], model: ServedModel) -> Iterator[list[int]]:
    """The numbers of equal calls, in parts that the model computes together."""
    part: list[int] = []
    clips = 0
    for number in group:
        count = len(calls[number].clips)
        if part and clips + count > model.at_once(calls[number]):
            yield part
            part, clips = [], 0
        part.append(number)
        clips += count
    yield part


def _together(model: ServedModel, calls: Sequence[Call]) -> list[Any] | None:
    """One batch of several calls, or None where it cannot be computed."""
    first = calls[0]
    clips = np.concatenate([call.clips for call in calls])
    waves = None
    if first.waves is not None:
        waves = np.concatenate([np.repeat(c.waves, len(c.clips) // len(c.waves), 0) for c in calls])  # type: ignore[arg-type]
    rows = _alone(lambda: model.compute(Call(first.model, first.what, clips, waves)))
    if isinstance(rows, Exception):
        return None
    parts = np.split(rows.values, np.cumsum([len(call.clips) for call in calls])[:-1])
    if rows.heard is None:
        return [Rows(part) for part in parts]
    every = [len(call.clips) // len(call.waves) for call in calls]  # type: ignore[arg-type]
    ends = np.cumsum([len(call.clips) for call in calls])
    return [Rows(part, rows.heard[end - len(part) : end : step]) for part, end, step in zip(parts, ends.tolist(), every)]


def _alone(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except VidmodelsError as error:
        return error
    except (RuntimeError, ValueError) as error:  # torch's: the replica lives on, and the caller is told
        return WeightsError(f"the model failed: {str(error).splitlines()[0][:300] if str(error) else type(error).__name__}")
