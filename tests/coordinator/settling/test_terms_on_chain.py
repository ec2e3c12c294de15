"""A coordinator commits in a programme of its own key and its own arithmetic, or not at all."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordinator.adapters.chain import SettlementChain
from coordinator.settling.shape import Shape
from privacy.errors import ConfigError, WrongContext
from tests.contracts.settlement_run import Run, settlement_run
from veilsum.demo.chain import embedded_chain

SHAPE = Shape(b"\x07" * 32, 32, 32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with embedded_chain() as url:
        folder = tmp_path_factory.mktemp("run")
        yield settlement_run(url, folder, sites=1, arithmetic=SHAPE.arithmetic)


def test_its_own_programme_is_taken(run: Run) -> None:
    run.chain.require_terms(run.programme, SHAPE)


@pytest.mark.parametrize(
    "shape",
    [
        replace(SHAPE, arithmetic=b"\x08" * 32),
        replace(SHAPE, leaves_per_chunk=31),
        replace(SHAPE, last_chunk_leaves=31),
    ],
    ids=["arithmetic", "leaves", "last leaves"],
)
def test_a_programme_for_other_plans_is_refused(run: Run, shape: Shape) -> None:
    """Anyone could show an honest round as malformed there, and take half of the bond."""
    with pytest.raises(ConfigError, match="pays for plans of another arithmetic"):
        run.chain.require_terms(run.programme, shape)


def test_a_programme_of_another_key_is_refused(run: Run) -> None:
    """Its commits would be refused one by one, each for gas."""
    chain: SettlementChain = replace(run.chain, key=run.gas_key)

    with pytest.raises(ConfigError, match="takes commits from"):
        chain.require_terms(run.programme, SHAPE)


def test_a_programme_that_is_not_open_is_refused(run: Run) -> None:
    with pytest.raises(WrongContext, match="is not open on this contract"):
        run.chain.require_terms("ab" * 32, SHAPE)
