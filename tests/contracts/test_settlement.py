"""The settlement contract: who is paid, how much, how often, and who may say so."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy.settlement.payouts import tree
from tests.contracts.settling import (
    ESCROW,
    NOBODY,
    NOTHING,
    RESPONSE,
    SUPPLY,
    WINDOW,
    Chain,
    Made,
    Payout,
    Programme,
    entry_of,
    judge,
    open_programme,
    payout_leaf,
    usual_terms,
)
from veilsum.chain.compiled import load

LAST_ROUND = 2**64 - 1


def amounts(programme: Programme, *each: int) -> dict[str, int]:
    return {programme.payee(index): amount for index, amount in enumerate(each)}


def test_every_unit_of_the_escrow_is_paid_or_still_held(programme: Programme) -> None:
    """Conservation: what came in is with payees or in the contract."""
    made = programme.settle(amounts(programme, 500, 300, 200))

    for one in made.payouts:
        programme.claim(one)

    assert [programme.balance(programme.payee(index)) for index in range(3)] == [500, 300, 200]
    assert programme.balance(programme.contract.address) == 0
    assert programme.funded_committed_paid() == (ESCROW, 1000, 1000)


def test_a_claim_by_anyone_pays_the_payee_alone(programme: Programme) -> None:
    """A hospital without ether lets another send its claim, and loses nothing by it."""
    (one,) = programme.settle(amounts(programme, 400)).payouts
    stranger = programme.chain.account(9)

    programme.claim(one, sender=stranger)

    assert programme.balance(one.payee) == 400
    assert programme.balance(stranger) == 0


def test_a_second_claim_is_refused(programme: Programme) -> None:
    """The same proof does not pay twice."""
    first, _ = programme.settle(amounts(programme, 400, 1)).payouts
    programme.claim(first)

    refusal = programme.chain.refusal(programme.claim_call(first), programme.chain.account(9))

    assert refusal == "SettlementNothingDue"
    assert programme.balance(first.payee) == 400


def test_a_later_claim_pays_only_the_difference(programme: Programme) -> None:
    """Leaves are cumulative: two rounds, claimed twice or once, pay the same."""
    first = programme.settle(amounts(programme, 100, 50), 1)
    programme.claim(first.payouts[0])
    second = programme.settle(amounts(programme, 250, 150), 4)

    for one in second.payouts:
        programme.claim(one)

    assert programme.balance(programme.payee(0)) == 250
    assert programme.balance(programme.payee(1)) == 150


def test_any_matured_round_pays_and_an_older_one_never_again(programme: Programme) -> None:
    """A new commit takes no proof away from who has not claimed yet."""
    first = programme.settle(amounts(programme, 100, 50), 1)
    second = programme.settle(amounts(programme, 200, 50), 2)
    programme.claim(second.payouts[0])

    refusal = programme.chain.refusal(
        programme.claim_call(first.payouts[0]), programme.chain.account(9)
    )
    programme.claim(first.payouts[1])

    assert refusal == "SettlementNothingDue"
    assert [programme.balance(programme.payee(index)) for index in range(2)] == [200, 50]
    assert programme.funded_committed_paid() == (ESCROW, 250, 250)


@pytest.mark.parametrize(("early", "outcome"), [(1, "SettlementNotMatured"), (0, None)])
def test_nothing_is_claimed_before_maturity(
    programme: Programme, early: int, outcome: str | None
) -> None:
    """Half-open: the first second of claims is the last one's that had none."""
    (one,) = programme.commit(amounts(programme, 5)).payouts
    programme.chain.until(programme.matures_at() - early)

    refusal = programme.chain.refusal(programme.claim_call(one), programme.chain.account(9))

    assert refusal == outcome
    assert programme.call.isSettled(programme.word, 1).call() is (early == 0)


ALTERED = ["payee", "cumulative", "salt", "entry", "proof", "no proof", "nothing"]


@pytest.mark.parametrize("field", ALTERED)
def test_a_claim_with_anything_altered_is_refused(programme: Programme, field: str) -> None:
    """Payee, amount, salt, entry and path are each part of what the root commits to."""
    first, second, _ = programme.settle(amounts(programme, 5, 6, 7)).payouts
    altered = {
        "payee": {"payee": programme.chain.account(9)},
        "cumulative": {"cumulative": first.cumulative + 1},
        "salt": {"salt": b"\x01" * 32},
        "entry": {"entry": second.entry},
        "proof": {"proof": second.proof},
        "no proof": {"proof": ()},
        "nothing": {},
    }[field]

    refusal = programme.chain.refusal(
        programme.claim_call(first, **altered), programme.chain.account(9)
    )

    assert refusal == (None if field == "nothing" else "SettlementInvalidProof")


def test_a_claim_from_a_round_that_is_none_is_refused(programme: Programme) -> None:
    """Before the first commit, between rounds, and in a programme that is none."""
    (one,) = programme.settle(amounts(programme, 5), 3).payouts
    calls = [
        programme.claim_call(one, round=2),
        programme.claim_call(one, round=0),
        programme.claim_call(one, programme=b"\x01" * 32),
    ]

    refusals = [programme.chain.refusal(call, programme.chain.account(9)) for call in calls]

    assert refusals == ["SettlementUnknownRound"] * 3


@pytest.mark.parametrize("field", ["chain_id", "contract", "programme", "none"])
def test_a_leaf_made_for_elsewhere_is_refused(programme: Programme, field: str) -> None:
    """A root copied from another chain, contract or programme pays nobody here."""
    chain, payee, salt = programme.chain, programme.payee(0), b"\x05" * 32
    here = {
        "chain_id": chain.web3.eth.chain_id,
        "contract": programme.contract.address,
        "programme": programme.word,
    }
    there = {
        "chain_id": {"chain_id": here["chain_id"] + 1},
        "contract": {"contract": chain.account(5)},
        "programme": {"programme": b"\xab" * 32},
        "none": {},
    }[field]
    one = payout_leaf(
        **{**here, **there}, payee=payee, cumulative=10, salt=salt, entry=entry_of(salt)
    )
    commit = replace(programme.make({payee: 10}).commit, payouts=tree([one]).root)
    chain.send(programme.commit_call(commit), programme.terms.coordinator)
    programme.mature()
    call = programme.claim_call(Payout(1, payee, 10, salt, entry_of(salt), ()))

    refusal = chain.refusal(call, chain.account(9))

    assert refusal == (None if field == "none" else "SettlementInvalidProof")


def test_an_inner_node_is_no_leaf(programme: Programme) -> None:
    """Leaves are hashed twice, so 64 bytes of two children cannot be one."""
    made = programme.settle(amounts(programme, 5, 6))
    children = sorted(
        programme.leaf(one.payee, one.cumulative, one.salt, one.entry) for one in made.payouts
    )
    call = programme.claim_call(
        made.payouts[0], salt=children[0], entry=children[1], cumulative=1, proof=()
    )

    refusal = programme.chain.refusal(call, programme.chain.account(9))

    assert refusal == "SettlementInvalidProof"


def test_a_root_that_promises_more_than_its_total_pays_no_more_than_it(
    programme: Programme,
) -> None:
    """A coordinator that over-allocates cannot reach what it did not commit."""
    made = programme.make(amounts(programme, 60, 60))
    understated = replace(made.commit, total=100, budget=100)
    programme.chain.send(programme.commit_call(understated), programme.terms.coordinator)
    programme.mature()
    programme.claim(made.payouts[0])

    refusal = programme.chain.refusal(
        programme.claim_call(made.payouts[1]), programme.chain.account(9)
    )

    assert refusal == "SettlementOverAllocated"


def test_what_is_not_matured_pays_for_no_over_allocation(programme: Programme) -> None:
    """The cap is the total of matured rounds, not of what was committed since."""
    made = programme.make(amounts(programme, 60, 60))
    understated = replace(made.commit, total=100, budget=100)
    programme.chain.send(programme.commit_call(understated), programme.terms.coordinator)
    programme.mature()
    programme.commit(amounts(programme, 500), 2)
    programme.claim(made.payouts[0])

    refusal = programme.chain.refusal(
        programme.claim_call(made.payouts[1]), programme.chain.account(9)
    )

    assert refusal == "SettlementOverAllocated"
    assert programme.state()["settled"] == 100


def test_who_claims_from_an_older_round_is_not_held_to_its_total(programme: Programme) -> None:
    """What others drew from newer rounds must not bar whom a coordinator left out of them."""
    first = programme.settle(amounts(programme, 100, 50), 1)
    second = programme.make({programme.payee(0): 300}, 2)
    wider = replace(second.commit, total=350, budget=350)
    programme.chain.send(programme.commit_call(wider), programme.terms.coordinator)
    programme.mature(2)
    programme.claim(second.payouts[0])

    programme.claim(first.payouts[1])

    assert programme.balance(programme.payee(1)) == 50
    assert programme.funded_committed_paid() == (ESCROW, 350, 350)


def test_an_amount_beyond_the_word_it_is_kept_in_is_refused(chain: Chain) -> None:
    """Cut off, it would be credited as another."""
    token = chain.deploy(load("DemoToken"), 2**200)
    programme = open_programme(chain, token, escrow=0, bond=0)
    functions = chain.settlement.functions
    approve = programme.token.functions.approve(chain.settlement.address, 2**200)
    chain.send(approve, chain.account(0))

    refusal = chain.refusal(functions.fund(programme.word, 2**128), chain.account(0))

    assert refusal == "SafeCastOverflowedUintDowncast"
    assert chain.refusal(functions.fund(programme.word, 2**128 - 1), chain.account(0)) is None


def test_only_the_coordinator_commits(programme: Programme) -> None:
    """Not the funder, not a payee, not the guardian."""
    call = programme.commit_call(programme.make(amounts(programme, 5)).commit)

    refusals = [programme.chain.refusal(call, programme.chain.account(who)) for who in (0, 2, 6, 9)]

    assert refusals == ["SettlementUnauthorized"] * 4
    assert programme.chain.refusal(call, programme.terms.coordinator) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"total": 101, "budget": 1}, None),
        ({"total": 101, "budget": 0}, "SettlementWrongTotal"),
        ({"total": ESCROW, "budget": ESCROW - 100}, None),
        ({"total": ESCROW, "budget": ESCROW - 101}, "SettlementWrongTotal"),
        ({"total": ESCROW + 1, "budget": ESCROW}, "SettlementUnderfunded"),
        ({"total": 99}, "SettlementWrongTotal"),
        ({"total": 100, "budget": 0}, None),
        ({"round": 3}, "SettlementWrongRound"),
        ({"round": 2}, "SettlementWrongRound"),
        ({"round": LAST_ROUND - 1}, None),
        ({"round": LAST_ROUND}, "SettlementWrongRound"),
        ({"payouts": NOTHING}, "SettlementEmptyCommit"),
        ({"slots": 0}, "SettlementEmptyCommit"),
        ({"parent": NOTHING}, "SettlementWrongParent"),
        ({"programme": b"\x01" * 32}, "SettlementUnknownProgramme"),
    ],
)
def test_a_commit_follows_the_one_before(
    programme: Programme, change: dict[str, object], error: str | None
) -> None:
    """Rounds rise, the total by the budget at most, within the escrow; the parent is the newest."""
    programme.commit(amounts(programme, 100), 3)
    next_one = programme.make(amounts(programme, 101), 4).commit

    call = programme.commit_call(next_one, **change)

    assert programme.chain.refusal(call, programme.terms.coordinator) == error


def test_what_is_kept_of_a_commit_is_its_hash_root_total_and_time(programme: Programme) -> None:
    """The rest is in the event; whoever disputes brings it again."""
    programme.commit(amounts(programme, 100), 3)

    made = programme.commit(amounts(programme, 100, 50), 7)

    kept = programme.call.roundOf(programme.word, 7).call()
    digest = made.commit.digest()
    assert kept == (digest, made.commit.payouts, 150, programme.chain.now() + WINDOW, 3)
    assert programme.head() == (7, digest, 150)
    assert programme.call.commitmentOf(made.commit.fields()).call() == digest


def test_a_commit_needs_a_bond_that_is_not_on_its_way_out(programme: Programme) -> None:
    """What thaws already answers for nothing new."""
    call = programme.commit_call(programme.make(amounts(programme, 5)).commit)
    coordinator = programme.terms.coordinator
    programme.chain.send(programme.vault.thaw(programme.word, 1), coordinator)

    refusal = programme.chain.refusal(call, coordinator)
    programme.bond(coordinator, 1)

    assert refusal == "SettlementUnderbonded"
    assert programme.chain.refusal(call, coordinator) is None


def test_the_guardian_pauses_commits_and_nothing_else(programme: Programme) -> None:
    """Whoever can stop commits must not be able to keep anyone from its money or a proof."""
    chain, guardian = programme.chain, programme.terms.guardian
    claimable = programme.settle(amounts(programme, 100), 1)
    disputed = programme.commit(amounts(programme, 150), 2)
    call = programme.commit_call(programme.make(amounts(programme, 160), 3).commit)

    chain.send(programme.call.pause(programme.word), guardian)

    assert programme.call.isPaused(programme.word).call()
    assert chain.refusal(call, programme.terms.coordinator) == "SettlementPaused"
    programme.claim(claimable.payouts[0])
    snapshot = chain.tester.take_snapshot()
    programme.convict(disputed.commit)
    chain.tester.revert_to_snapshot(snapshot)
    chain.send(programme.call.unpause(programme.word), guardian)
    assert chain.refusal(call, programme.terms.coordinator) is None


@pytest.mark.parametrize("act", ["pause", "unpause"])
def test_only_the_guardian_pauses(programme: Programme, act: str) -> None:
    """Nor does anyone guard a programme that has no guardian, or that is none."""
    call = getattr(programme.call, act)
    other = open_programme(
        programme.chain, programme.token, guardian=NOBODY, label=b"\x01" * 32, escrow=0, bond=0
    )

    refusals = [
        programme.chain.refusal(call(programme.word), programme.terms.coordinator),
        programme.chain.refusal(call(programme.word), programme.terms.funder),
        programme.chain.refusal(call(other.word), programme.terms.guardian),
        programme.chain.refusal(call(b"\x0f" * 32), programme.terms.guardian),
    ]

    assert refusals == ["SettlementUnauthorized"] * 4


def test_a_programme_is_opened_once_by_anyone(chain: Chain) -> None:
    """Its identifier is the hash of its terms, so nobody can open it with others."""
    programme = open_programme(chain, chain.deploy(load("DemoToken"), SUPPLY))
    fields = programme.terms.fields()

    refusal = chain.refusal(chain.settlement.functions.open(fields), chain.account(7))

    assert refusal == "SettlementAlreadyOpen"
    assert tuple(map(_tuple, programme.call.termsOf(programme.word).call())) == fields


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


JUDGES = sorted((judge(number).address for number in range(9)), key=str.lower)


@pytest.mark.parametrize(
    ("change", "sound"),
    [
        ({}, True),
        ({"coordinator": NOBODY}, False),
        ({"funder": NOBODY}, False),
        ({"guardian": NOBODY}, True),
        ({"token": "0x" + "05" * 20}, False),
        ({"end": 0}, False),
        ({"response": 0}, False),
        ({"window": 2 * RESPONSE}, False),
        ({"window": 2 * RESPONSE + 1}, True),
        ({"window": 365 * 86_400}, True),
        ({"window": 365 * 86_400 + 1}, False),
        ({"window": 0, "response": 0}, False),
        ({"response": 2**64 - 1}, False),
        ({"window": 2**64 - 1, "response": 2**63}, False),
        ({"bond": 0}, False),
        ({"demand_bond": 0}, False),
        ({"arithmetic": NOTHING}, False),
        ({"leaves_per_chunk": 0}, False),
        ({"last_chunk_leaves": 0}, False),
        ({"leaves_per_chunk": 3}, True),
        ({"leaves_per_chunk": 2}, False),
        ({"judges": (), "quorum": 0}, True),
        ({"judges": (), "quorum": 1}, False),
        ({"quorum": 0}, False),
        ({"quorum": 3}, True),
        ({"quorum": 4}, False),
        ({"judges": tuple(JUDGES[:8])}, True),
        ({"judges": tuple(JUDGES)}, False),
        ({"judges": (JUDGES[1], JUDGES[0])}, False),
        ({"judges": (JUDGES[0], JUDGES[0])}, False),
        ({"judges": (NOBODY, JUDGES[0])}, False),
    ],
)
def test_a_programme_is_opened_only_on_sound_terms(
    chain: Chain, change: dict[str, object], sound: bool
) -> None:
    """Windows that leave no time for a dispute, and bonds of nothing, are no terms."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    terms = replace(usual_terms(chain, token.address), **change)

    refusal = chain.refusal(chain.settlement.functions.open(terms.fields()), chain.account(0))

    assert refusal == (None if sound else "SettlementInvalidTerms")


def test_programmes_do_not_share_an_escrow(chain: Chain) -> None:
    """One contract holds both; neither can spend the other's tokens."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    rich = open_programme(chain, token, label=b"\x01" * 32)
    poor = open_programme(chain, token, label=b"\x02" * 32, escrow=0)
    call = poor.commit_call(poor.make(amounts(poor, 1)).commit)

    assert chain.refusal(call, poor.terms.coordinator) == "SettlementUnderfunded"
    assert rich.funded_committed_paid()[0] == ESCROW


def test_programmes_do_not_share_a_bond(chain: Chain) -> None:
    """The same coordinator bonds for each."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    open_programme(chain, token, label=b"\x01" * 32)
    other = open_programme(chain, token, label=b"\x02" * 32, bond=0)
    call = other.commit_call(other.make(amounts(other, 1)).commit)

    assert chain.refusal(call, other.terms.coordinator) == "SettlementUnderbonded"


def test_a_claim_of_one_programme_is_none_of_another(chain: Chain) -> None:
    """Both roots contain a leaf for the payee; each counts in its own programme."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    one = open_programme(chain, token, label=b"\x01" * 32)
    other = open_programme(chain, token, label=b"\x02" * 32)
    mine = one.commit(amounts(one, 10)).payouts[0]
    other.settle(amounts(other, 10), 2)

    refusal = chain.refusal(other.claim_call(mine, round=2), chain.account(9))

    assert refusal == "SettlementInvalidProof"


@pytest.mark.parametrize(("before_end", "running"), [(1, True), (0, False), (-1, False)])
def test_the_end_divides_committing_from_reclaiming(
    programme: Programme, before_end: int, running: bool
) -> None:
    """Half-open: at the very second of the end nothing can be both."""
    chain = programme.chain
    functions = programme.contract.functions
    programme.commit(amounts(programme, 300))
    commit = programme.commit_call(programme.make(amounts(programme, 301), 2).commit)
    reclaim = functions.reclaim(programme.word)
    fund = functions.fund(programme.word, 0)
    chain.until(programme.terms.end - before_end)

    outcomes = [
        chain.refusal(commit, programme.terms.coordinator),
        chain.refusal(fund, chain.account(0)),
        chain.refusal(reclaim, programme.terms.funder),
    ]

    ended, not_ended = "SettlementEnded", "SettlementNotEnded"
    assert outcomes == ([None, None, not_ended] if running else [ended, ended, None])


def test_what_was_committed_stays_claimable_after_the_end(programme: Programme) -> None:
    """The funder gets back what was never committed, once, and nothing of the rest."""
    chain = programme.chain
    made = programme.commit(amounts(programme, 300))
    before = programme.balance(programme.terms.funder)
    chain.until(programme.terms.end)
    reclaim = programme.contract.functions.reclaim(programme.word)
    stranger = chain.refusal(reclaim, chain.account(1))

    chain.send(reclaim, programme.terms.funder)
    programme.claim(made.payouts[0])

    assert stranger == "SettlementUnauthorized"
    assert programme.balance(programme.terms.funder) == before + ESCROW - 300
    assert programme.balance(programme.payee(0)) == 300
    assert chain.refusal(reclaim, programme.terms.funder) == "SettlementNothingDue"


def test_reads_of_an_unknown_programme_are_zero(chain: Chain) -> None:
    """A caller can tell that there is none."""
    functions = chain.settlement.functions
    unknown = b"\x0f" * 32

    assert functions.stateOf(unknown).call() == (0, 0, 0, 0, 0)
    assert functions.headOf(unknown).call() == [0, NOTHING, 0]
    assert functions.roundOf(unknown, 1).call() == (NOTHING, NOTHING, 0, 0, 0)
    assert functions.termsOf(unknown).call()[6] == 0
    assert functions.isSettled(unknown, 0).call() is False
    assert chain.refusal(functions.fund(unknown, 1), chain.account(0)) == (
        "SettlementUnknownProgramme"
    )
    assert chain.refusal(functions.reclaim(unknown), chain.account(0)) == (
        "SettlementUnknownProgramme"
    )


Step = tuple[str, int, int]


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["commit", "claim", "forge", "wait", "convict"]),
            st.integers(0, 2),
            st.integers(0, 450),
        ),
        max_size=6,
    )
)
def test_the_contract_does_what_its_model_says(shared_chain: Chain, steps: list[Step]) -> None:
    """Success or refusal of every step is predicted, so that refusing all cannot pass."""
    snapshot = shared_chain.tester.take_snapshot()
    try:
        token = shared_chain.deploy(load("DemoToken"), SUPPLY)
        _Model(open_programme(shared_chain, token)).run(steps)
    finally:
        shared_chain.tester.revert_to_snapshot(snapshot)


class _Model:
    """What must be true of a programme, kept beside it."""

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self.owed = {programme.payee(index): 1 for index in range(3)}
        self.paid = dict.fromkeys(self.owed, 0)
        self.standing: list[Made] = []
        self.halted = False

    def run(self, steps: list[Step]) -> None:
        for number, (action, who, amount) in enumerate(steps, start=1):
            payee = self.programme.payee(who)
            match action:
                case "commit":
                    self.commit(payee, amount, number)
                case "wait":
                    self.programme.chain.until(self.programme.chain.now() + 2 + amount // 4)
                case "convict":
                    self.convict()
                case _:
                    self.claim(payee, forged=action == "forge")
            self.check()

    def commit(self, payee: str, amount: int, number: int) -> None:
        wanted = {**self.owed, payee: self.owed[payee] + amount}
        made = self.programme.make(wanted, number)
        fits = sum(wanted.values()) <= ESCROW and not self.halted
        call = self.programme.commit_call(made.commit)
        self.attempt(call, self.programme.terms.coordinator, fits)
        if fits:
            self.owed = wanted
            self.standing.append(made)

    def claim(self, payee: str, forged: bool) -> None:
        chain = self.programme.chain
        for made in reversed(self.standing):
            (one,) = [each for each in made.payouts if each.payee == payee]
            changed = {"cumulative": one.cumulative + 1} if forged else {}
            call = self.programme.claim_call(one, **changed)
            mature = chain.now() >= self.programme.matures_at(one.round)
            due = mature and not forged and self.paid[payee] < one.cumulative
            assert (chain.refusal(call, chain.account(9)) is None) == due
            if due:
                chain.send(call, chain.account(9))
                self.paid[payee] = one.cumulative

    def convict(self) -> None:
        if not self.standing:
            return
        chain, made = self.programme.chain, self.standing[-1]
        self.programme.seal(made.commit, chain.account(7))
        call = self.programme.challenge_call(made.commit)
        left = self.programme.matures_at(made.commit.round) - chain.now()
        if left == 1:
            return  # the call would still pass, and the transaction, a second later, not
        if left < 1:
            assert chain.refusal(call, chain.account(7)) == "SettlementMatured"
            return
        assert chain.refusal(call, chain.account(7)) is None
        chain.send(call, chain.account(7))
        self.halted = True
        self.standing.pop()
        before = self.standing[-1].payouts if self.standing else ()
        self.owed = {one.payee: one.cumulative for one in before} or dict.fromkeys(self.owed, 0)

    def attempt(self, call, sender: str, succeeds: bool) -> None:
        assert (self.programme.chain.refusal(call, sender) is None) == succeeds
        if succeeds:
            self.programme.chain.send(call, sender)

    def check(self) -> None:
        programme = self.programme
        committed = sum(self.owed.values()) if self.standing else 0
        paid = sum(self.paid.values())
        assert {payee: programme.balance(payee) for payee in self.paid} == self.paid
        assert programme.funded_committed_paid() == (ESCROW, committed, paid)
        assert programme.balance(programme.contract.address) == ESCROW - paid
        assert paid <= programme.state()["settled"] <= committed or paid == 0
