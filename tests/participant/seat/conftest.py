"""Seats of tests say every few milliseconds that they live."""

import pytest

from participant.seat import attempt


@pytest.fixture
def lively(monkeypatch):
    monkeypatch.setattr(attempt, "ALIVE_SECONDS", 0.05)
