"""Logging of programs: levels by name, lines for people or JSON lines for machines, on standard error."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TextIO

from vidmodels.core.errors import ConfigError, did_you_mean

LEVELS = ("debug", "info", "warning", "error")
OWN_PACKAGES = ("vidmodels", "pipelines", "services")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per record: `time` (ISO 8601, UTC), `level`, `logger`, `message`, the record's `extra` fields and,
    for a caught error, `error` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD and key not in line}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class _Handler(logging.StreamHandler):
    """Marks the handler that `setup_logging` put in place, so that a second call replaces it."""


def setup_logging(level: str = "warning", json_lines: bool = False, stream: TextIO | None = None) -> None:
    """Send log records to `stream` (default: standard error); calling it again replaces what it set.

    level: debug, info, warning or error, for this project's loggers; other libraries log from warning on.
    Raises ConfigError for another level.
    """
    if level.lower() not in LEVELS:
        raise ConfigError(f"there is no log level {level!r}{did_you_mean(level, LEVELS)}: choose one of {', '.join(LEVELS)}")
    number = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(max(number, logging.WARNING))
    for name in OWN_PACKAGES:
        logging.getLogger(name).setLevel(number)
