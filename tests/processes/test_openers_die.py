"""Makers of keys, vouchers and sealers are killed; the round goes on with the next in order.

One federation, two rounds, four deaths: each test reads what is left of them.
"""

from collections.abc import Iterator

import pytest

from coordinator.rounds.state import Phase, Round
from privacy.records import KeyRecord, SealedModel
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b", "site-c")


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("openers")
    with federation(folder, SITES, wanted=2, quorum=3) as made:
        made.start_coordinator()
        made.start_site("site-a", "keying.before_offer:1=kill")
        made.start_site("site-b")
        made.start_site("site-c", "keying.before_vouch:2=kill")
        made.wait_for_death("site-a")
        made.wait_for("another key", lambda: bool(_round(made, 1).key_record))
        made.start_site("site-a", "agree.before_seal:1=kill")
        made.wait_for_death("site-c")
        made.start_site("site-c")
        made.wait_for_death("site-a")
        made.wait_for_phase(1, Phase.DONE)
        made.start_site("site-a", "agree.after_seal:1=kill")
        made.wait_for_death("site-a")
        made.wait_for_phase(2, Phase.DONE)
        made.run_to_the_end()
        yield made


def test_the_next_opener_makes_the_key_when_its_maker_dies(survived: Federation) -> None:
    """site-a had made one and died before it was offered."""
    record = survived.document("key", _round(survived, 1).key_record, KeyRecord)

    assert record.maker == "site-b"
    assert set(_round(survived, 1).key_signers) >= {"site-b", "site-c"}


def test_a_key_is_used_though_one_opener_dies_before_vouching(survived: Federation) -> None:
    """More than half suffice; one may be dead: site-c, or site-a if it is slow to return."""
    signers = _round(survived, 2).key_signers

    assert len(signers) == 2
    assert "site-b" in signers


def test_the_next_opener_seals_when_the_sealer_dies_before_it_has(survived: Federation) -> None:
    """It was site-a's turn."""
    sealed = survived.document("model", _round(survived, 1).sealed_model, SealedModel)

    assert sealed.sealer == "site-b"
    assert _round(survived, 1).agreed == ("site-b", "site-c")


def test_a_model_counts_though_its_sealer_died_after_sealing(survived: Federation) -> None:
    """The others open it, find the model they have made, and sign."""
    sealed = survived.document("model", _round(survived, 2).sealed_model, SealedModel)

    assert sealed.sealer == "site-a"
    assert _round(survived, 2).agreed == ("site-b", "site-c")


def test_nothing_is_lost_and_nothing_counts_twice(survived: Federation) -> None:
    """Every site is in every sum, and has spent for it once."""
    for number in (1, 2):
        assert survived.cohort(number) == SITES
        assert survived.difference(number) == {0}
        for name in SITES:
            assert survived.spending(name, number) == ["COMMIT", "SENT"]


def test_who_was_dead_when_a_model_was_released_holds_it_too(survived: Federation) -> None:
    """site-a was dead at both releases."""
    releases = {survived.newest_release(name) for name in SITES}

    assert len(releases) == 1
    assert releases.pop()[:2] == (2, _round(survived, 2).release)


def test_a_failpoint_is_told_when_set_and_when_it_acts(survived: Federation) -> None:
    """Nobody must wonder why a process died; one started without has none."""
    wanted = [event["name"] for event in survived.log("site-a", "failpoint_set")]
    acted = [event["where"] for event in survived.log("site-a", "failpoint")]

    assert wanted == ["keying.before_offer", "agree.before_seal", "agree.after_seal"]
    assert acted == [f"{name}:1" for name in wanted]
    assert survived.log("site-b", "failpoint_set") == []
    assert survived.log("site-b", "failpoint") == []


def _round(made: Federation, number: int) -> Round:
    current = made.round(number)
    assert current is not None
    return current
