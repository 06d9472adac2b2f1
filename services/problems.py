"""What can go wrong with a request: a code that programs read, a sentence that people read, an HTTP status."""

from __future__ import annotations

from typing import Any

from vidmodels.core.errors import ConfigError, DataError, MediaError, MediaLimitError, MissingExtraError, VidmodelsError

STATUSES = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_model": 404,
    "unknown_stream": 404,
    "method_not_allowed": 405,
    "upload_stalled": 408,
    "stream_lost": 410,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid": 422,
    "media_unreadable": 422,
    "media_limit": 422,
    "too_many_requests": 429,
    "internal": 500,
    "overloaded": 503,
    "not_ready": 503,
    "deadline": 504,
    "spool_full": 507,
}
"""Every code with its status; a code is never used with another one."""


class Problem(Exception):
    """A request that gets no answer.

    code: of STATUSES; message: what, where, what to do; field: path of the field that is wrong; retry_after: seconds.
    It travels between processes as it is.
    """

    def __init__(self, code: str, message: str, field: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(code, message, field, retry_after)
        self.code, self.message, self.field, self.retry_after = code, message, field, retry_after

    @property
    def status(self) -> int:
        return STATUSES[self.code]

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "request_id": request_id}
        if self.field is not None:
            body["field"] = self.field
        return {"error": body}


def problem_of(error: VidmodelsError) -> Problem:
    """An error of the library as an answer: what a request's media or options cause is the caller's; the rest is ours."""
    if isinstance(error, MediaLimitError):
        return Problem("media_limit", str(error))
    if isinstance(error, MediaError):
        return Problem("media_unreadable", str(error))
    if isinstance(error, (ConfigError, DataError)):
        return Problem("invalid", str(error))
    if isinstance(error, MissingExtraError):
        return Problem("internal", "the service lacks an optional part of the package")
    return Problem("internal", "the model cannot answer")
