"""Demands are answered in time and once, whatever the chain does; then rounds close."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from coordinator.settling.disputes import (
    LONGEST_PAUSE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    Asked,
    Demand,
    Demands,
    Disputes,
    demand_id,
)
from coordinator.settling.settlement import End
from privacy.errors import ChainUnavailable, EndpointsDiffer, IllegalEvent, LeaseLost, NotYet
from privacy.settlement.sum_proof import Node, Opening, Tree
from tests.coordinator.memory_store import MemoryStore
from tests.coordinator.settling.test_settlement import DOMAIN, ROUNDS, FakeChain, settling

PROGRAMME = DOMAIN.programme
OPENING = Opening((b"\x01" * 32,))
NOBODY_ASKED = Asked(0, False)


def node(index):
    return Node(Tree.COHORT, index=index)


@dataclass
class FakeDisputes(FakeChain):
    """A contract that hears demands, with a final block behind the newest."""

    response: int = 600
    now: int = 1_000
    height: int = 100
    final: int = 90
    asked_of: dict[bytes, Asked] = field(default_factory=dict)
    log: list[Demand] = field(default_factory=list)
    told_until: int | None = None
    answers: list[bytes] = field(default_factory=list)
    looked_from: list[int] = field(default_factory=list)
    settled: set[int] = field(default_factory=set)
    void: int | None = None
    blind: bool = False
    refused: dict[bytes, Exception] = field(default_factory=dict)
    mined: bool = True

    def demand(self, index, number=1, block=95, deadline=2_000):
        name = demand_id(PROGRAMME, number, node(index))
        self.log.append(Demand(name, number, node(index), deadline, block))
        self.asked_of[name] = Asked(deadline, False)
        return name

    def is_final(self, made):
        return True

    def response_seconds(self, programme):
        return self.response

    def first_block(self, programme, number):
        self._require_final()
        return 40 + number

    def told_block(self, programme, number):
        return 30 + number

    def demands(self, programme, first):
        self.looked_from.append(first)
        until = self.height if self.told_until is None else self.told_until
        return Demands(tuple(each for each in self.log if first <= each.block <= until), until)

    def asked(self, demand):
        return self.asked_of.get(demand, NOBODY_ASKED)

    def asked_for_good(self, demand):
        self._require_final()
        block = next(each.block for each in self.log if each.id == demand)
        return self.asked(demand) if block <= self.final else NOBODY_ASKED

    def time(self):
        return self.now

    def final_block(self):
        self._require_final()
        return self.final, self.now - 100

    def answer(self, demand, commit, place, opening):
        if demand in self.refused:
            raise self.refused[demand]
        self.answers.append(demand)
        if self.mined:
            self.asked_of[demand] = Asked(self.asked_of[demand].deadline, True)

    def answered_by(self, demand):
        return "0xab" if demand in self.answers else ""

    def void_from(self, programme):
        self._require_final()
        return self.void

    def is_settled(self, programme, number):
        return number in self.settled

    def _require_final(self):
        if self.blind:
            raise EndpointsDiffer("the endpoints differ in what is final")


@dataclass
class Watch:
    chain: FakeDisputes = field(default_factory=FakeDisputes)
    store: MemoryStore = field(default_factory=MemoryStore)
    attached: int = 0
    opened: list[Node] = field(default_factory=list)
    rounds: dict = field(default_factory=lambda: ROUNDS)

    def __post_init__(self):
        self.settlement = settling(self.store, self.chain)
        self.settlement.run(self.rounds)
        self.start()

    def start(self):
        """Start a new process on the same store and chain."""
        self.settlement = settling(self.store, self.chain)
        self.disputes = Disputes(
            PROGRAMME, self.store, self.settlement, self._attach, self._open, lambda: 50.0
        )

    def look(self):
        return self.disputes.look()

    def _attach(self):
        self.attached += 1
        return self.chain

    def _open(self, commit, wanted):
        self.opened.append(wanted)
        return OPENING


@pytest.fixture
def watch():
    return Watch()


def test_an_open_demand_is_answered_and_waits_for_nothing_else(watch):
    """Long before it is final: it has a deadline."""
    name = watch.chain.demand(0, block=99)

    watch.look()

    assert watch.chain.answers == [name]
    assert watch.opened == [node(0)]


def test_who_has_least_time_is_answered_first(watch):
    late = watch.chain.demand(0, deadline=3_000)
    soon = watch.chain.demand(1, deadline=1_500)

    watch.look()

    assert watch.chain.answers == [soon, late]


def test_an_answer_that_is_on_its_way_is_looked_after_and_not_made_again(watch):
    """To open a node adds up a chunk of every contribution."""
    watch.chain.mined = False
    name = watch.chain.demand(0)

    watch.look()
    watch.look()

    assert watch.opened == [node(0)]
    assert watch.chain.answers == [name, name]  # by one purpose, which the journal sends once
    assert watch.disputes.waiting == 1


@pytest.mark.parametrize(
    "asked", [NOBODY_ASKED, Asked(2_000, True), Asked(1_000, False)], ids=["none", "closed", "late"]
)
def test_nothing_is_sent_for_what_is_not_open(watch, asked):
    """An event that one endpoint has made up, an answer of another process, or one too late."""
    name = watch.chain.demand(0)
    watch.chain.asked_of[name] = asked

    watch.look()

    assert watch.chain.answers == []
    assert watch.disputes.waiting == 0


def test_a_demand_under_another_name_than_its_own_is_not_answered(watch):
    """It could close the wrong one, and let the real one pass."""
    name = watch.chain.demand(0)
    [told] = watch.chain.log
    watch.chain.log[0] = Demand(told.id, told.round, node(1), told.deadline, told.block)

    watch.look()

    assert watch.chain.answers == []
    assert name == demand_id(PROGRAMME, 1, node(0))


@pytest.mark.parametrize("error", [IllegalEvent("refused"), NotYet("gone"), ChainUnavailable("no")])
def test_one_that_cannot_be_answered_holds_up_no_other(watch, error):
    """Who demands something hard must not make the coordinator miss the rest."""
    first = watch.chain.demand(0, deadline=1_500)
    watch.chain.refused[first] = error
    second = watch.chain.demand(1)

    with suppress(ChainUnavailable, NotYet):
        watch.look()

    assert watch.chain.answers == [second]
    del watch.chain.refused[first]
    watch.look()
    assert watch.chain.answers == [second, first]


def test_who_has_lost_the_lease_answers_nothing_more(watch):
    """Another process has the same key."""
    first, _ = watch.chain.demand(0, deadline=1_500), watch.chain.demand(1)
    watch.chain.refused[first] = LeaseLost("gone")

    with pytest.raises(LeaseLost):
        watch.look()

    assert watch.chain.answers == []


def test_endpoints_that_differ_in_what_is_final_keep_no_answer(watch):
    """What is final closes rounds; a deadline does not wait for it."""
    watch.look()
    watch.chain.blind = True
    name = watch.chain.demand(0)

    with pytest.raises(EndpointsDiffer):
        watch.look()

    assert watch.chain.answers == [name]


def test_a_process_that_has_never_looked_answers_whatever_is_final(watch):
    """A second endpoint that is away since the commit must not cost the bond."""
    watch.chain.blind = True
    name = watch.chain.demand(0)

    with pytest.raises(EndpointsDiffer):
        watch.look()

    assert watch.chain.answers == [name]
    assert watch.chain.looked_from == [31]
    watch.chain.blind = False
    watch.look()
    assert watch.chain.looked_from == [31, 41]  # nothing is kept of what any endpoint may say


# -- how far it has looked -----------------------------------------------------------------


def test_it_looks_from_where_the_oldest_open_round_was_committed(watch):
    watch.look()

    assert watch.chain.looked_from == [41]


def test_a_new_process_goes_on_behind_what_is_final(watch):
    """Not from the beginning of a chain of millions of blocks, and not from what a fork undoes."""
    watch.look()
    watch.start()

    watch.look()

    assert watch.chain.looked_from == [41, watch.chain.final + 1]


def test_a_demand_that_is_not_over_is_found_again_by_a_new_process(watch):
    """The stored height may pass it only when it is answered for good."""
    watch.chain.mined = False
    name = watch.chain.demand(0, block=80)
    watch.look()
    watch.start()
    watch.chain.mined = True

    watch.look()
    watch.look()

    assert watch.chain.looked_from == [41, 80, watch.chain.final + 1]
    assert watch.chain.asked(name).closed
    assert watch.disputes.outcomes == {"answered": 1}


def test_a_demand_that_a_fork_has_moved_is_answered_again(watch):
    """The answer went with it; by its purpose the journal knows whether it comes back."""
    name = watch.chain.demand(0, block=95)
    watch.look()
    watch.chain.asked_of[name] = Asked(2_100, False)
    watch.chain.log[:] = [Demand(name, 1, node(0), 2_100, 97)]

    watch.look()

    assert watch.chain.answers == [name, name]
    assert watch.chain.asked(name).closed


def test_what_one_endpoint_has_not_told_is_asked_again(watch):
    """It may be what the other one hides."""
    watch.chain.told_until = 40

    watch.look()
    watch.look()

    assert watch.chain.looked_from == [41, 41]


def test_what_only_closed_rounds_were_demanded_in_is_searched_no_more(watch):
    """Behind an endpoint that never tells, the range would grow as long as the chain does."""
    watch.chain.told_until = 41
    watch.look()
    watch.chain.settled, watch.chain.told_until = {1}, 0
    watch.look()

    watch.look()

    assert watch.chain.looked_from == [41, 42, 43]


def test_where_it_is_not_known_when_a_round_was_committed_the_stored_height_counts(watch):
    """Endpoints that differ in what is final keep no answer."""
    watch.look()
    watch.start()
    watch.chain.blind = True
    name = watch.chain.demand(0, block=95)

    with pytest.raises(EndpointsDiffer):
        watch.look()

    assert watch.chain.looked_from == [41, 91]
    assert watch.chain.answers == [name]


def test_what_was_told_in_part_is_gone_on_from(watch):
    """A node that searches ten blocks at once takes more than one look."""
    watch.chain.told_until = 60

    watch.look()
    watch.look()

    assert watch.chain.looked_from == [41, 61]


def test_a_demand_that_is_mined_while_another_is_answered_is_not_passed(watch):
    """To open a node takes minutes; where each block is final, the next one is final by then."""
    watch.chain.height = watch.chain.final = 100
    first, late = watch.chain.demand(0, block=100), []
    answer = watch.chain.answer

    def answer_slowly(*given):
        answer(*given)
        if not late:
            watch.chain.height = watch.chain.final = 103
            late.append(watch.chain.demand(1, block=102))

    watch.chain.answer = answer_slowly
    watch.look()
    watch.start()
    watch.look()

    assert watch.chain.answers == [first, *late]


def test_a_demand_that_an_endpoint_has_made_up_holds_nothing_back(watch):
    """What is final says that there is none; the chain would be searched from there for ever."""
    name = watch.chain.demand(0, block=80)
    watch.chain.asked_of[name] = NOBODY_ASKED

    watch.look()
    watch.look()

    assert watch.chain.looked_from == [41, 91]
    assert not watch.disputes.outcomes


def test_the_stored_height_never_falls(watch):
    """An endpoint that is behind would have everything looked at twice."""
    watch.look()
    watch.chain.final = 50

    watch.look()
    watch.start()
    watch.look()

    assert watch.chain.looked_from == [41, 91, 91]
    assert len(watch.store.documents("settlement-height")) == 1


# -- how demands and rounds end ------------------------------------------------------------


def test_a_demand_that_was_missed_is_said_and_counted(watch):
    """The operator must know, whatever became of the bond."""
    watch.chain.demand(0, block=80, deadline=850)

    watch.look()
    watch.look()

    assert watch.disputes.outcomes == {"missed": 1}
    assert watch.chain.answers == []


def test_an_answer_by_another_machine_counts_as_one(watch):
    """Its journal is not here."""
    name = watch.chain.demand(0, block=80)
    watch.chain.asked_of[name] = Asked(2_000, True)

    watch.look()

    assert watch.disputes.outcomes == {"answered": 1}


def test_rounds_close_in_order_as_they_mature(watch):
    watch.chain.settled = {3}
    watch.look()
    assert watch.settlement.disputable() == [1, 3]

    watch.chain.settled = {1}
    watch.look()

    assert watch.settlement.disputable() == [3]
    assert watch.settlement.ends() == {1: End.MATURED}
    assert not watch.settlement.holds(1)
    assert watch.settlement.holds(3)


def test_a_round_that_was_proved_wrong_halts_the_programme(watch):
    """It and all later ones are void; the earlier ones are paid."""
    watch.chain.void = 3

    watch.look()

    assert watch.settlement.ends() == {3: End.VOID}
    assert watch.settlement.disputable() == [1]
    assert watch.settlement.is_done()
    assert watch.settlement.payout("hospital-a")[1].round == 1


def test_after_a_halt_nothing_is_committed_or_kept():
    """Not by a new process either: what could be demanded of it?"""
    watch = Watch(rounds={1: ROUNDS[1]})
    assert watch.settlement.holds(3)
    watch.chain.void = 1
    watch.look()
    assert watch.settlement.is_done()
    watch.start()

    watch.settlement.run(ROUNDS)

    assert len(watch.chain.commits) == 1
    assert not watch.settlement.holds(3)


def test_what_is_open_and_over_can_be_counted(watch):
    watch.chain.settled = {1}
    watch.look()
    watch.look()

    assert watch.disputes.rounds == {"open": 1, "matured": 1}


def test_what_is_demanded_of_a_void_round_is_not_answered_and_no_alarm(watch):
    """Nothing is owed for it, and the contract takes no answer."""
    watch.chain.void = 3
    late = watch.chain.demand(0, number=3, deadline=1_200)
    earlier = watch.chain.demand(1, number=1)
    watch.chain.refused[late] = IllegalEvent("the round is void")

    with capture_logs() as logs:
        watch.look()
        watch.chain.now, watch.chain.final = 5_000, 100
        watch.look()

    assert watch.chain.answers == [earlier]
    assert watch.disputes.outcomes == {"answered": 1}
    assert not {"demand_not_answered", "demand_missed"} & {each["event"] for each in logs}


def test_why_a_demand_is_not_answered_is_said_once(watch):
    """Each look would say it, some twenty times in the time for an answer."""
    name = watch.chain.demand(0)
    said = []
    for error in (IllegalEvent("no"), IllegalEvent("no"), NotYet("gone"), NotYet("gone")):
        watch.chain.refused[name] = error
        with capture_logs() as logs, suppress(NotYet):
            watch.look()
        said += [each["code"] for each in logs if each["event"] == "demand_not_answered"]

    assert said == [IllegalEvent.code, NotYet.code]


def test_when_a_look_has_come_to_its_end_is_known(watch):
    """A number of demands that wait is worth nothing while nobody looks."""
    watch.disputes.now = lambda: 77.0
    watch.chain.blind = True
    with pytest.raises(EndpointsDiffer):
        watch.look()
    assert watch.disputes.looked == 50.0

    watch.chain.blind = False
    watch.look()

    assert watch.disputes.looked == 77.0


def test_that_nothing_can_be_disputed_is_a_look_too(watch):
    watch.chain.settled = {1, 3}
    watch.look()
    watch.disputes.now = lambda: 99.0

    watch.look()

    assert watch.disputes.looked == 99.0


def test_who_must_act_on_a_demand_is_said(watch):
    watch.chain.refused[watch.chain.demand(0)] = IllegalEvent("no")
    watch.chain.demand(1, block=80, deadline=850)

    with capture_logs() as logs:
        watch.look()

    told = {each["event"]: each.get("who_acts") for each in logs}
    assert told["demand_not_answered"] == told["demand_missed"] == "operator"


# -- how often it looks --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "pause"), [(1, SHORTEST_PAUSE_SECONDS), (200, 10), (86_400, LONGEST_PAUSE_SECONDS)]
)
def test_it_looks_many_times_within_the_time_for_an_answer(watch, response, pause):
    watch.chain.response = response

    assert watch.look() == pause


def test_with_nothing_to_dispute_no_endpoint_is_asked(watch):
    """Who has settled long ago pays for no node."""
    watch.chain.settled = {1, 3}
    watch.look()
    attached = watch.attached
    watch.start()

    assert watch.look() == SHORTEST_PAUSE_SECONDS
    assert watch.attached == attached


def test_the_door_is_opened_once_and_anew_after_a_failure(watch):
    """A keystore takes a second to open, and what has failed may be another chain by now."""
    watch.look()
    watch.look()
    assert watch.attached == 1

    watch.chain.blind = True
    with pytest.raises(EndpointsDiffer):
        watch.look()
    watch.chain.blind = False
    watch.look()

    assert watch.attached == 2
