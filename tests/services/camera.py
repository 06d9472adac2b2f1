"""A camera that pushes pictures into a stream of a service."""

from __future__ import annotations

import httpx
import numpy as np

from tests.services.lab import Lab


def pictures(count: int) -> list[tuple[float, bytes]]:
    """Frames of a camera: times and JPEGs."""
    import cv2

    found = []
    for number in range(count):
        frame = np.full((48, 64, 3), 40, np.uint8)
        frame[10:30, 2 * number % 40 : 2 * number % 40 + 20] = (200, 120, 30)
        found.append((number / 12, cv2.imencode(".jpg", frame)[1].tobytes()))
    return found


def push(service: Lab, stream: str, frames, headers=None) -> list[dict]:
    """Push frames one by one; the answers that came back."""
    base = f"{service.url}/v1/streams/{stream}/frames"
    headers = {**(headers or service.headers), "content-type": "image/jpeg"}
    rows: list[dict] = []
    for at, picture in frames:
        response = httpx.post(base, params={"time": at}, content=picture, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        rows += response.json()["results"]
    return rows


def create(service: Lab, **options) -> dict:
    url = f"{service.url}/v1/streams"
    response = httpx.post(url, json={"model": "moves", "fps": 12, **options}, headers=service.headers, timeout=60)
    assert response.status_code == 201, response.text
    return response.json()
