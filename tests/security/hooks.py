"""What schemathesis sends where the description says only "a model" or "a video": names that exist, files that are some."""

from __future__ import annotations

import io
import random
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.data.videos import write
from tests.security.fuzz import mutated
from tests.services.camera import pictures

MODEL = "moves"


def _clip() -> bytes:
    target = io.BytesIO()
    write(target, count=24, fps=12, size=(48, 64), format="mp4")
    return target.getvalue()


def _damaged(whole: bytes, count: int) -> list[bytes]:
    rng = random.Random(0)
    return [mutated(whole, rng) for _ in range(count)]


CLIP, PICTURE = _clip(), pictures(1)[0][1]
VIDEOS = st.sampled_from([CLIP, *_damaged(CLIP, 15)]) | st.binary(max_size=2000)
PICTURES = st.sampled_from([PICTURE, *_damaged(PICTURE, 15)]) | st.binary(max_size=2000)
for kind in ("video/mp4", "video/webm"):
    schemathesis.openapi.media_type(kind, VIDEOS)
for kind in ("image/jpeg", "image/png"):
    schemathesis.openapi.media_type(kind, PICTURES)
schemathesis.openapi.format("binary", VIDEOS)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Every other name of a model is that of one which is served."""
    if isinstance(body, dict) and isinstance(body.get("model"), str) and len(body["model"]) % 2 == 0:
        return {**body, "model": MODEL}
    return body
