"""One trio of processes for all tests of a module: CrypTen takes seconds to load."""

import pytest

from tests.privacy.mpc.trio import three_processes


@pytest.fixture(scope="session")
def trio():
    pytest.importorskip("torch")
    pytest.importorskip("omegaconf")
    with three_processes() as three:
        yield three
