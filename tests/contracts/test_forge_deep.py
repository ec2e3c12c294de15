"""Forge's fuzz and invariant tests, for as long as they find useful."""

import pytest

from tests.contracts.test_mutants import CONTRACTS, forge

pytestmark = pytest.mark.deep


def test_more_histories_find_nothing() -> None:
    """Five hundred histories of 256 calls against the model; thousands of rounds and of lies."""
    done = forge(CONTRACTS, "test", FOUNDRY_PROFILE="deep")

    assert done.returncode == 0, done.stdout[-8_000:]
