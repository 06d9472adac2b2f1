"""Numbers, durations and sizes as short text, the same everywhere a person reads them. ASCII only."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """A metric in at most four significant digits: `0.8123`, `12.35`, `3.0e-05`, `1,234`, `nan`."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == int(value) and size < 1e7:
        return f"{int(value):,}"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}"
    if size >= 1000:
        return f"{value:,.0f}"
    digits = 4 if size < 1 else 3 - math.floor(math.log10(size))
    return f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as `0:42`, `12:05`, `3:07:09` or `2d 3:07:09`; `-:--` where they are not known."""
    if not math.isfinite(seconds) or seconds < 0:
        return "-:--"
    minutes, secs = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02d}:{secs:02d}" if days or hours else f"{minutes}:{secs:02d}"
    return f"{days}d {clock}" if days else clock


def size(num_bytes: float) -> str:
    """Bytes in decimal units: `512 B`, `1.5 kB`, `23.0 MB`, `4.2 GB`."""
    value = float(num_bytes)
    if value < 1000:
        return f"{value:.0f} B"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} TB"


def percent(share: float) -> str:
    """A share of one as `3 %`; one digit more below ten percent where it says something (`0.4 %`)."""
    if not math.isfinite(share):
        return "- %"
    value = 100 * share
    return f"{value:.1f} %" if 0.05 <= value < 9.95 and round(value, 1) != round(value) else f"{value:.0f} %"


def shorten(text: str, length: int) -> str:
    """The text, with its middle left out where it is longer than `length`: the end of a path names the file."""
    if len(text) <= length:
        return text
    head = (length - 3) // 3
    return f"{text[:head]}...{text[len(text) - (length - 3 - head) :]}"
