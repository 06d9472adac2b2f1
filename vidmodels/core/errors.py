"""Errors that a user can act on: each says what happened, where, and what to do."""

from __future__ import annotations


class VidmodelsError(Exception):
    """Base of all errors that come from outside (files, configs, requests); the command line prints them in one line."""

    exit_code = 1


class ConfigError(VidmodelsError):
    """A recipe, option or name that does not exist or cannot work."""

    exit_code = 2


class MediaError(VidmodelsError):
    """A video or sound that cannot be opened or decoded."""


class MediaLimitError(MediaError):
    """A video that is refused before decoding because it exceeds a limit."""


class DataError(VidmodelsError):
    """A data set whose files or annotations do not fit together."""


class WeightsError(VidmodelsError):
    """A weights file that is missing, damaged, unsafe, or made for another model."""


class CheckpointError(VidmodelsError):
    """A training checkpoint that cannot be written or verified."""


class RunError(VidmodelsError):
    """A run that cannot start or go on (storage, name, non-finite loss, too many bad files)."""


class MissingExtraError(VidmodelsError):
    """An optional part of the package that is not installed."""


class ServiceError(VidmodelsError):
    """A request that a service did not answer. code, status, field, request_id: what it said, None where it said nothing."""

    def __init__(
        self,
        message: str,
        code: str | None = None,
        status: int | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.field, self.request_id = code, status, field, request_id


def did_you_mean(word: str, choices) -> str:
    """`" (did you mean 'x'?)"` for the nearest of `choices`, or an empty string."""
    import difflib

    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
