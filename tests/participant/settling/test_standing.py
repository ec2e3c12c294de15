"""Standing: what is demanded is found however long ago it was, and how far was looked is said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from participant.settling.standing import Standing, standing_of
from tests.participant.settling.test_demand import NODE, Committed, committed
from veilsum.chain import logs
from veilsum.demo.chain import embedded_chain
from veilsum.settling.words import of_standing

BLOCKS = 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with embedded_chain() as url:
        yield url, tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="module")
def demanded(chain: tuple[str, Path]) -> Committed:
    """A demand that is open, and many blocks since."""
    here = committed(*chain)
    here.demander().demand(here.made.commit, NODE, b"")
    for _ in range(BLOCKS):
        here.run.endpoint.web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]
    return here


def said_of_demands(standing: Standing) -> str:
    """The last of the lines about demands."""
    return [each for each in of_standing(standing).splitlines() if each.startswith("demand")][-1]


def test_a_demand_is_found_however_many_blocks_have_passed(
    demanded: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ranges that a node accepts, from the block of the oldest round that is shown."""
    monkeypatch.setattr(logs, "MOST_BLOCKS", 3)
    programme = demanded.programme()
    round_ = programme.round(3)
    assert round_ is not None
    sent = logs.block_at(programme.endpoint, round_.matures_at - programme.terms().window)

    shown = standing_of(programme)

    assert [each.round for each in shown.demands or ()] == [3]
    assert shown.searched is not None
    assert (shown.searched.first, shown.searched.last) == (sent, shown.block)
    assert shown.block - sent > BLOCKS
    assert said_of_demands(shown) == f"demands    1 open, from block {sent} on"


def test_one_can_look_further_back_and_less_far(demanded: Committed) -> None:
    programme = demanded.programme()

    since = standing_of(programme, from_block=programme.height())
    all_ = standing_of(programme, from_block=0)

    assert (since.demands, since.block) == ((), all_.block)
    assert said_of_demands(since) == f"demands    none open, from block {since.block} on"
    assert len(all_.demands or ()) == 1
    assert said_of_demands(all_) == "demands    1 open, from block 0 on"


def test_who_is_told_a_part_is_told_how_far_that_goes(
    demanded: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no demand would look like none."""
    monkeypatch.setattr(logs, "MOST_BLOCKS", 1)
    monkeypatch.setattr(logs, "TELLING_SECONDS", -1.0)

    shown = standing_of(demanded.programme(), from_block=0)

    assert said_of_demands(shown) == (
        "demands    none open, from block 0 on to 0: this endpoint tells no more now; look again"
    )


def test_the_rounds_that_are_shown_are_those_that_a_coordinator_is_held_against(
    demanded: Committed,
) -> None:
    """From the newest back, as whoever does not know one of them is told."""
    later = demanded.run.statement(5, budget=0, before=demanded.made)
    demanded.run.chain.commit(later)

    shown = standing_of(demanded.programme())
    told = list(demanded.run.chain.newest(demanded.run.programme))

    assert [(each.number, each.matures_at) for each in shown.rounds] == [
        (each.number, each.matures_at) for each in told
    ]
    assert [(each.number, each.commit) for each in told] == [
        (5, later.commit.digest()),
        (3, demanded.made.commit.digest()),
    ]
