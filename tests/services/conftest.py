"""Fixtures of the services' tests that need no Serve."""

from __future__ import annotations

import pytest

from tests.services.fake import listening, make_service


@pytest.fixture
def service(tmp_path):
    """A gateway over a fake backend, with a store `clips`."""
    return make_service(tmp_path, stores={"clips": str(tmp_path)})


@pytest.fixture
def address(service):
    """Where it listens."""
    with listening(service) as url:
        yield url
