"""Who has earned what, round by round, and how far the chain knows of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from coordinator.rounds.state import Phase, Round, Rules
from coordinator.settling.settle import Result, Statement
from coordinator.settling.settlement import End, Settlement, participation
from coordinator.wire.codec import payout_to_wire
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.errors import ChainUnavailable, ConfigError, IllegalEvent, NotYet, WrongContext
from privacy.records import Entry, Score, Scores
from privacy.settlement.commitment import Cohort, Slot
from privacy.settlement.payouts import Domain
from tests import fakes
from tests.coordinator.memory_store import MemoryStore

RULES = Rules(fakes.OPENERS, fakes.SITES, 2, 2, 5.0, 60.0)
DOMAIN = Domain(1, "0x" + "c3" * 20, "d4" * 32)
ADDRESSES = {"hospital-a": "0x" + "a1" * 20, "hospital-b": "0x" + "b2" * 20}
A, B = ADDRESSES.values()


def a_round(number, phase, *names):
    entries = tuple(Entry(name, "a" * 64, ()) for name in names)
    return Round(number, RULES, phase, committed=entries, release="e" * 64)


ROUNDS = {
    1: a_round(1, Phase.DONE, "hospital-a", "hospital-b"),
    2: a_round(2, Phase.ABORTED, "hospital-b"),
    3: a_round(3, Phase.DONE, "hospital-a"),
}


@dataclass
class Outcomes:
    """Results of rounds without records, and scores that come when the test says so."""

    opened: dict[int, Scores] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=lambda: dict(ADDRESSES))
    changed: dict[int, dict[str, str]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    left_out: str = ""

    def of(self, current):
        self.asked.append(current.number)
        slots = tuple(Slot(place, b"c" * 32) for place in range(len(current.committed)))
        digit = f"{current.number:064x}"
        return Result(current.number, digit, digit, digit, Cohort(slots), bytes(32))

    def payees(self, number):
        return self.changed.get(number, self.addresses)

    def cohort(self, current):
        members = (each.participant for each in current.committed)
        return tuple(name for name in members if name != self.left_out)

    def scores(self, current):
        if current.number not in self.opened:
            raise NotYet("no scores yet")
        return self.opened[current.number]


@dataclass
class FakeChain:
    """A contract that keeps commits in memory, and a fork that can drop the newest."""

    commits: list[bytes] = field(default_factory=list)
    final: bool = True
    down: bool = False
    over: bool = False
    refuses: bool = False

    def is_over(self, programme):
        return self.over

    def domain(self, programme):
        return Domain(1, "0x" + "c3" * 20, programme)

    def commit(self, made: Statement):
        if self.down:
            raise ChainUnavailable("down")
        if self.refuses:
            raise IllegalEvent("the contract refused: SettlementEnded(end=5)")
        digest = made.commit.digest()
        if digest not in self.commits:
            newest = self.commits[-1] if self.commits else bytes(32)
            if newest.hex() != made.commit.parent:
                raise IllegalEvent("another parent")
            self.commits.append(digest)
        return f"0x{digest.hex()}"

    def is_final(self, made):
        return self.final and made.commit.digest() in self.commits


def settling(store=None, chain=None, outcomes=None, wanted=2, method=Method.PARTICIPATION):
    drawn = itertools.count(1)
    return Settlement(
        settings=SimpleNamespace(escrow="1000", programme=DOMAIN.programme, method=method),
        store=MemoryStore() if store is None else store,
        wanted=wanted,
        outcomes=outcomes or Outcomes(),
        entropy=lambda count: next(drawn).to_bytes(count, "big"),
        attach=lambda: chain if chain is not None else FakeChain(),
    )


def test_only_released_rounds_count_and_each_once_for_each_site():
    assert participation(ROUNDS) == {"hospital-a": 2, "hospital-b": 1}
    assert participation({}) == {}


def test_each_released_round_is_one_commit_in_order():
    """The escrow's equal parts, by who took part; an aborted round pays nobody."""
    chain = FakeChain()
    settlement = settling(chain=chain)

    settlement.run(ROUNDS)

    assert len(chain.commits) == 2
    assert settlement.is_done()
    paid = {name: settlement.payout(name)[0].amount() for name in ADDRESSES}
    assert paid == {"hospital-a": 250 + 500, "hospital-b": 250}


def test_a_site_that_the_seats_left_out_is_not_paid_for_the_round():
    """It contributed, and the sum is not of its update."""
    settlement = settling(outcomes=Outcomes(left_out="hospital-b"), wanted=1)

    settlement.run({1: ROUNDS[1]})

    assert settlement.payout("hospital-a")[0].amount() == 1000


def test_a_round_is_committed_before_the_programme_is_over():
    """Who leaves early has earned what it has earned."""
    settlement = settling()

    settlement.run({1: ROUNDS[1]})

    assert settlement.transaction(1).startswith("0x")
    assert not settlement.is_done()
    assert settlement.payout("hospital-b")[0].amount() == 250


def test_nothing_is_paid_before_it_is_committed():
    settlement = settling()

    with pytest.raises(NotYet, match="not settled yet"):
        settlement.payout("hospital-a")
    assert not settlement.is_done()


def test_a_participant_is_told_its_own_entitlement_and_by_which_commit():
    settlement = settling()
    settlement.run(ROUNDS)

    entitlement, commit = settlement.payout("hospital-a")

    assert entitlement.payee == A
    assert entitlement.round == commit.round == 3
    answer = payout_to_wire(entitlement, commit, DOMAIN.contract, 2)
    assert answer.entitlement == canonical.encode(entitlement)
    assert answer.commit == canonical.encode(commit)


def test_a_participant_is_told_what_it_has_by_the_commit_of_any_round():
    """Its score of a round stands there alone, whatever was committed since."""
    settlement = settling()
    settlement.run(ROUNDS)

    entitlement, commit = settlement.payout("hospital-a", 1)

    assert (entitlement.round, commit.round) == (1, 1)
    assert commit == settlement.committed(1)
    assert entitlement.amount() == 250
    with pytest.raises(NotYet, match="round 2 is not committed"):
        settlement.payout("hospital-a", 2)


def test_a_round_that_is_stated_and_not_committed_is_shown_to_nobody():
    settlement = settling(chain=FakeChain(down=True))
    with pytest.raises(ChainUnavailable):
        settlement.run(ROUNDS)

    with pytest.raises(NotYet, match="round 1 is not committed"):
        settlement.payout("hospital-a", 1)


def test_a_leaf_is_found_by_the_address_that_its_own_round_was_planned_with():
    """A member that has another address now was once shown no leaf, as if it had earned nothing."""
    settlement = settling(
        outcomes=Outcomes(changed={1: {**ADDRESSES, "hospital-a": "0x" + "9" * 40}})
    )
    settlement.run(ROUNDS)

    before, after = settlement.payout("hospital-a", 1)[0], settlement.payout("hospital-a")[0]

    assert (before.payee, before.amount()) == ("0x" + "9" * 40, 250)
    assert (after.payee, after.amount()) == (A, 500)


@pytest.mark.parametrize("name", ["hospital-c", "auditor"])
def test_who_earned_nothing_is_told_so_and_does_not_wait(name):
    """It must be able to end when the programme has."""
    settlement = settling()
    settlement.run(ROUNDS)

    entitlement, commit = settlement.payout(name)

    assert entitlement is None
    assert payout_to_wire(entitlement, commit, DOMAIN.contract, 0).entitlement == b""


def test_a_chain_that_is_down_loses_nothing_and_the_same_is_sent_later():
    """The statement is on disk before anything is sent: salts are not drawn again."""
    store, chain = MemoryStore(), FakeChain(down=True)
    settlement = settling(store, chain)
    with pytest.raises(ChainUnavailable):
        settlement.run(ROUNDS)
    kept = dict(store.documents("settlement-statement"))

    chain.down = False
    settling(store, chain).run(ROUNDS)

    assert dict(store.documents("settlement-statement"))["000001"] == kept["000001"]


def test_a_commit_that_is_not_final_is_waited_for_and_what_it_was_made_from_is_kept():
    chain = FakeChain(final=False)
    settlement = settling(chain=chain)

    with pytest.raises(ChainUnavailable, match="not final yet"):
        settlement.run(ROUNDS)
    assert settlement.holds(1)
    assert not settlement.is_done()

    chain.final = True
    settlement.run(ROUNDS)

    assert settlement.is_done()


def test_what_a_commit_was_made_from_is_kept_until_it_can_be_disputed_no_more():
    """A demand can come until the round has matured, long after its commit is final."""
    settlement = settling()
    settlement.run(ROUNDS)
    assert settlement.holds(1)

    settlement.close(1, End.MATURED)

    assert not settlement.holds(1)
    assert settlement.holds(3)


def test_a_round_that_has_matured_is_built_upon_without_what_it_was_made_from():
    """Where rounds come faster than blocks are final, no newest commit is; a restart must go on."""
    store, chain = MemoryStore(), FakeChain(final=False)
    first = settling(store, chain)
    with pytest.raises(ChainUnavailable, match="not final yet"):
        first.run({1: ROUNDS[1]})
    first.close(1, End.MATURED)
    chain.final, outcomes = True, Outcomes()

    again = settling(store, chain, outcomes)
    again.run(ROUNDS)

    assert outcomes.asked == [3]
    assert again.is_done()


def test_a_programme_whose_last_round_has_matured_is_done():
    """Whoever saw it first: sites wait until they are told."""
    chain = FakeChain(final=False)
    settlement = settling(chain=chain)
    with pytest.raises(ChainUnavailable, match="not final yet"):
        settlement.run(ROUNDS)
    for number in (1, 3):
        settlement.close(number, End.MATURED)

    settlement.run(ROUNDS)

    assert settlement.is_done()


def test_a_round_that_is_void_is_not_what_a_site_is_told_to_claim_by():
    """It pays nobody; what was earned before stands."""
    settlement = settling()
    settlement.run(ROUNDS)

    settlement.close(3, End.VOID)

    entitlement, commit = settlement.payout("hospital-a")
    assert (entitlement.round, commit.round, entitlement.amount()) == (1, 1, 250)


def test_where_every_round_is_void_a_site_is_told_that_nothing_is_paid():
    """It would wait for ever."""
    settlement = settling()
    settlement.run({1: ROUNDS[1]})
    settlement.halt()

    settlement.close(1, End.VOID)

    assert settlement.is_done()
    with pytest.raises(WrongContext, match="every round is void"):
        settlement.payout("hospital-a")


def test_a_commit_that_a_fork_has_dropped_is_sent_again():
    chain = FakeChain(final=False)
    settlement = settling(chain=chain)
    with pytest.raises(ChainUnavailable):
        settlement.run(ROUNDS)
    dropped = chain.commits.pop()
    with pytest.raises(ChainUnavailable):
        settlement.run(ROUNDS)

    assert chain.commits[-1] == dropped


def test_what_cannot_be_committed_before_the_end_ends_the_settlement():
    """It is refused for ever; sites wait, and what it was made from takes room."""
    chain, store = FakeChain(), MemoryStore()
    settlement = settling(store, chain)
    settlement.run({1: ROUNDS[1]})
    chain.refuses = chain.over = True

    with capture_logs() as logs:
        settlement.run(ROUNDS)
        settlement.run(ROUNDS)

    assert [each["event"] for each in logs] == ["settlement_ended"]
    assert settlement.is_done()
    assert settling(store).is_done()
    assert not settlement.holds(3)
    assert settlement.payout("hospital-a")[1].round == 1


def test_a_refusal_before_the_end_is_for_the_operator():
    """The escrow may be filled up, and then the same is sent."""
    settlement = settling(chain=FakeChain(refuses=True))

    with pytest.raises(IllegalEvent, match="refused"):
        settlement.run(ROUNDS)

    assert not settlement.is_done()
    assert settlement.holds(1)


def test_where_the_end_came_before_any_commit_a_site_is_told_that_nothing_is_paid():
    settlement = settling(chain=FakeChain(refuses=True, over=True))
    settlement.run(ROUNDS)

    with pytest.raises(WrongContext, match="ended before any round was committed"):
        settlement.payout("hospital-a")


@pytest.mark.parametrize("place", ["settlement.before_state", "settlement.before_record"])
def test_killed_at_a_step_it_goes_on_with_one_effect(place):
    """What was drawn and not written was never used; what was sent is found on the chain."""
    store, chain = MemoryStore(), FakeChain()
    first = settling(store, chain)

    class Killed(BaseException):
        pass

    def dies(name):
        if name == place:
            raise Killed

    first.step = dies
    with pytest.raises(Killed):
        first.run(ROUNDS)

    again = settling(store, chain)
    again.run(ROUNDS)

    assert len(chain.commits) == 2
    assert again.is_done()


def test_a_round_whose_scores_are_not_signed_waits_and_rounds_after_it_too():
    """Commits are in order; each is by its own round's scores."""
    outcomes, chain = Outcomes(), FakeChain()
    settlement = settling(outcomes=outcomes, chain=chain, method=Method.ALIGNMENT)

    with pytest.raises(NotYet):
        settlement.run(ROUNDS)
    outcomes.opened[1] = scores(1, {"hospital-a": 30, "hospital-b": 10})
    with pytest.raises(NotYet):
        settlement.run(ROUNDS)
    outcomes.opened[3] = scores(3, {"hospital-a": 5})
    settlement.run(ROUNDS)

    paid = {name: settlement.payout(name)[0].amount() for name in ADDRESSES}
    assert paid == {"hospital-a": 375 + 500, "hospital-b": 125}


def scores(number, alignments):
    found = tuple(Score(name, "1", str(value)) for name, value in alignments.items())
    return Scores(fakes.FEDERATION, number, "a" * 64, "b" * 64, 0, found)


@pytest.mark.parametrize(
    ("old", "new"),
    [(A, "0x" + "ee" * 20), ('"total":"500"', '"total":"499"'), ('"salt":"00', '"salt":"01')],
)
def test_a_statement_that_was_changed_in_the_database_is_not_sent(old, new):
    """Who can write to the database must not say who is paid."""
    store, chain = MemoryStore(), FakeChain(down=True)
    with pytest.raises(ChainUnavailable):
        settling(store, chain).run(ROUNDS)
    kept = store._documents
    body = kept["settlement-statement", "000001"].decode()
    assert old in body
    kept["settlement-statement", "000001"] = body.replace(old, new).encode()

    with pytest.raises(WrongContext, match="not what the round has earned"):
        settling(store, FakeChain()).run(ROUNDS)


def test_a_final_statement_that_was_changed_is_not_built_upon():
    """Its contributions are gone; the chain has its root, which its payouts must lead to."""
    store, chain = MemoryStore(), FakeChain()
    settling(store, chain).run({1: ROUNDS[1]})
    kept = store._documents
    body = kept["settlement-statement", "000001"].decode()
    kept["settlement-statement", "000001"] = body.replace('"250"', '"251"', 1).encode()

    with pytest.raises(WrongContext, match="not what the round has earned"):
        settling(store, chain).run(ROUNDS)
    assert len(chain.commits) == 1


def test_a_round_that_is_final_is_not_looked_at_again():
    """Its contributions may be gone."""
    store, chain, outcomes = MemoryStore(), FakeChain(), Outcomes()
    settling(store, chain).run({1: ROUNDS[1]})

    settling(store, chain, outcomes).run(ROUNDS)

    assert outcomes.asked == [3]


def test_who_watches_asks_no_database(monkeypatch):
    """On the loop one that hangs would stop every call."""
    settlement = settling()
    monkeypatch.setattr(settlement.store, "document", None)

    assert not settlement.is_done()


def test_what_is_done_is_done_after_a_restart_and_opens_no_connection():
    store = MemoryStore()
    settling(store).run(ROUNDS)

    again = settling(store)
    again.attach = None
    again.run(ROUNDS)

    assert again.is_done()


def test_two_sites_paid_at_one_address_stop_the_settlement_and_are_named():
    outcomes = Outcomes(addresses={"hospital-a": A, "hospital-b": A})

    with pytest.raises(ConfigError, match="hospital-a and hospital-b"):
        settling(outcomes=outcomes).run(ROUNDS)
