"""The settlement contract: who is paid, how much, how often, and who may say so."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privacy.payouts import Domain, leaf, tree
from tests.contracts.settling import ESCROW, SUPPLY, Chain, Programme, open_programme
from veilsum.chain.compiled import load


def amounts(programme: Programme, *each: int) -> dict[str, int]:
    return {programme.payee(index): amount for index, amount in enumerate(each)}


def test_every_unit_of_the_escrow_is_paid_or_still_held(programme: Programme) -> None:
    """Conservation: what came in is with payees or in the contract."""
    made = programme.commit(amounts(programme, 500, 300, 200))

    for one in made.entitlements:
        programme.claim(one)

    assert [programme.balance(programme.payee(index)) for index in range(3)] == [500, 300, 200]
    assert programme.balance(programme.contract.address) == 0
    assert programme.funded_committed_paid() == (ESCROW, 1000, 1000)


def test_a_claim_by_anyone_pays_the_payee_alone(programme: Programme) -> None:
    """A hospital without ether lets another send its claim, and loses nothing by it."""
    (one,) = programme.commit(amounts(programme, 400)).entitlements
    stranger = programme.chain.account(9)

    programme.claim(one, sender=stranger)

    assert programme.balance(one.payee) == 400
    assert programme.balance(stranger) == 0


def test_a_second_claim_is_refused(programme: Programme) -> None:
    """The same proof does not pay twice."""
    first, _ = programme.commit(amounts(programme, 400, 1)).entitlements
    programme.claim(first)

    refusal = programme.chain.refusal(programme.claim_call(first), programme.chain.account(9))

    assert refusal == "SettlementNothingDue"
    assert programme.balance(first.payee) == 400


def test_a_later_claim_pays_only_the_difference(programme: Programme) -> None:
    """Leaves are cumulative: two rounds, claimed twice or once, pay the same."""
    first = programme.commit(amounts(programme, 100, 50), 1)
    programme.claim(first.entitlements[0])
    second = programme.commit(amounts(programme, 250, 150), 4)

    for one in second.entitlements:
        programme.claim(one)

    assert programme.balance(programme.payee(0)) == 250
    assert programme.balance(programme.payee(1)) == 150


def test_a_proof_of_an_earlier_root_is_refused(programme: Programme) -> None:
    """Only the newest root pays."""
    first = programme.commit(amounts(programme, 100, 50), 1)
    programme.commit(amounts(programme, 200, 50), 2)
    old = programme.claim_call(first.entitlements[0])

    refusal = programme.chain.refusal(old, programme.chain.account(9))

    assert refusal == "SettlementInvalidProof"


@pytest.mark.parametrize("field", ["payee", "cumulative", "salt", "proof", "no proof", "nothing"])
def test_a_claim_with_anything_altered_is_refused(programme: Programme, field: str) -> None:
    """Payee, amount, salt and path are each part of what the root commits to."""
    first, second, _ = programme.commit(amounts(programme, 5, 6, 7)).entitlements
    altered = {
        "payee": {"payee": programme.chain.account(9)},
        "cumulative": {"cumulative": first.amount() + 1},
        "salt": {"salt": b"\x01" * 32},
        "proof": {"proof": second.path()},
        "no proof": {"proof": ()},
        "nothing": {},
    }[field]

    refusal = programme.chain.refusal(
        programme.claim_call(first, **altered), programme.chain.account(9)
    )

    assert refusal == (None if field == "nothing" else "SettlementInvalidProof")


@pytest.mark.parametrize("field", ["chain_id", "contract", "programme", "none"])
def test_a_leaf_made_for_elsewhere_is_refused(programme: Programme, field: str) -> None:
    """A root copied from another chain, contract or programme pays nobody here."""
    here = programme.domain
    other = {
        "chain_id": Domain(here.chain_id + 1, here.contract, here.programme),
        "contract": Domain(here.chain_id, programme.payee(5), here.programme),
        "programme": Domain(here.chain_id, here.contract, "ab" * 32),
        "none": here,
    }[field]
    payee, salt = programme.payee(0), b"\x05" * 32
    root = tree([leaf(other, payee, 10, salt)]).root
    commit = programme.contract.functions.commit(programme.word, 1, b"\0" * 32, root, 10)
    programme.chain.send(commit, programme.terms.coordinator)
    call = programme.contract.functions.claim(
        programme.word, programme.chain.web3.to_checksum_address(payee), 10, salt, []
    )

    refusal = programme.chain.refusal(call, programme.chain.account(9))

    assert refusal == (None if field == "none" else "SettlementInvalidProof")


def test_an_inner_node_is_no_leaf(programme: Programme) -> None:
    """Leaves are hashed twice, so 64 bytes of two children cannot be one."""
    made = programme.commit(amounts(programme, 5, 6))
    children = sorted(one.leaf() for one in made.entitlements)
    call = programme.claim_call(
        made.entitlements[0], cumulative=int.from_bytes(children[0]), salt=children[1], proof=()
    )

    refusal = programme.chain.refusal(call, programme.chain.account(9))

    assert refusal == "SettlementInvalidProof"


def test_nothing_can_be_claimed_before_a_commit(programme: Programme) -> None:
    """A root of zero is no root."""
    made = programme.state_of(amounts(programme, 5))

    refusal = programme.chain.refusal(
        programme.claim_call(made.entitlements[0]), programme.chain.account(9)
    )

    assert refusal == "SettlementInvalidProof"


def test_a_root_that_promises_more_than_its_total_pays_no_more_than_it(
    programme: Programme,
) -> None:
    """A coordinator that over-allocates cannot reach what it did not commit."""
    made = programme.state_of(amounts(programme, 60, 60))
    understated = replace(made, head=replace(made.head, total=100))
    programme.chain.send(programme.commit_call(understated), programme.terms.coordinator)
    programme.claim(made.entitlements[0])

    refusal = programme.chain.refusal(
        programme.claim_call(made.entitlements[1]), programme.chain.account(9)
    )

    assert refusal == "SettlementOverAllocated"


def test_an_amount_beyond_the_word_it_is_kept_in_is_refused(chain: Chain) -> None:
    """Cut off, it would be credited as another."""
    programme = open_programme(chain, chain.deploy(load("DemoToken"), 2**200), escrow=0)
    functions = chain.settlement.functions
    approve = programme.token.functions.approve(chain.settlement.address, 2**200)
    chain.send(approve, chain.account(0))

    refusal = chain.refusal(functions.fund(programme.word, 2**128), chain.account(0))

    assert refusal == "SafeCastOverflowedUintDowncast"
    assert chain.refusal(functions.fund(programme.word, 2**128 - 1), chain.account(0)) is None


def test_only_the_coordinator_commits(programme: Programme) -> None:
    """Not the funder, not a payee."""
    call = programme.commit_call(programme.state_of(amounts(programme, 5)))

    refusals = [programme.chain.refusal(call, programme.chain.account(who)) for who in (0, 2, 9)]

    assert refusals == ["SettlementUnauthorized"] * 3
    assert programme.chain.refusal(call, programme.terms.coordinator) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"total": 101}, None),
        ({"total": ESCROW}, None),
        ({"total": ESCROW + 1}, "SettlementUnderfunded"),
        ({"total": 99}, "SettlementTotalFell"),
        ({"total": 100}, None),
        ({"round": 3}, "SettlementWrongRound"),
        ({"round": 2}, "SettlementWrongRound"),
        ({"root": b"\0" * 32}, "SettlementEmptyRoot"),
        ({"parent": b"\0" * 32}, "SettlementWrongParent"),
        ({"programme": b"\x01" * 32}, "SettlementUnknownProgramme"),
    ],
)
def test_a_commit_follows_the_one_before(
    programme: Programme, change: dict[str, object], error: str | None
) -> None:
    """Round rises, total does not fall nor pass the escrow, parent is the newest root."""
    before = programme.commit(amounts(programme, 100), 3)
    fields = {
        "programme": programme.word,
        "round": 4,
        "parent": before.head.root,
        "root": b"\x09" * 32,
        "total": 101,
    }
    call = programme.contract.functions.commit(*{**fields, **change}.values())

    assert programme.chain.refusal(call, programme.terms.coordinator) == error


def test_a_programme_is_opened_once_and_only_on_sound_terms(chain: Chain) -> None:
    """Its identifier is the hash of its terms, so nobody can open it with others."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    programme = open_programme(chain, token)
    nobody = "0x" + "00" * 20
    end = programme.terms.end
    good = (token.address, chain.account(1), chain.account(0), end, programme.terms.label)
    opening = chain.settlement.functions.open
    bad = [
        (token.address, nobody, *good[2:]),
        (*good[:2], nobody, *good[3:]),
        (chain.account(5), *good[1:]),
        (*good[:3], chain.now(), good[4]),
    ]

    refusals = [chain.refusal(opening(terms), chain.account(0)) for terms in bad]

    assert chain.refusal(opening(good), chain.account(7)) == "SettlementAlreadyOpen"
    assert refusals == ["SettlementInvalidTerms"] * 4


def test_programmes_do_not_share_an_escrow(chain: Chain) -> None:
    """One contract holds both; neither can spend the other's tokens."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    rich = open_programme(chain, token, label=b"\x01" * 32)
    poor = open_programme(chain, token, label=b"\x02" * 32, escrow=0)
    call = poor.commit_call(poor.state_of(amounts(poor, 1)))

    assert chain.refusal(call, poor.terms.coordinator) == "SettlementUnderfunded"
    assert rich.funded_committed_paid()[0] == ESCROW


def test_a_claim_of_one_programme_is_none_of_another(chain: Chain) -> None:
    """Both roots contain a leaf for the payee; each counts in its own programme."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    one = open_programme(chain, token, label=b"\x01" * 32)
    other = open_programme(chain, token, label=b"\x02" * 32)
    mine = one.commit(amounts(one, 10)).entitlements[0]
    other.commit(amounts(other, 10), 2)

    assert chain.refusal(other.claim_call(mine), chain.account(9)) == "SettlementInvalidProof"


@pytest.mark.parametrize(("before_end", "running"), [(1, True), (0, False), (-1, False)])
def test_the_end_divides_committing_from_reclaiming(
    programme: Programme, before_end: int, running: bool
) -> None:
    """Half-open: at the very second of the end nothing can be both."""
    chain = programme.chain
    functions = programme.contract.functions
    made = programme.commit(amounts(programme, 300))
    commit = functions.commit(programme.word, 2, made.head.root, b"\x01" * 32, 301)
    reclaim = functions.reclaim(programme.word)
    fund = functions.fund(programme.word, 0)
    chain.tester.time_travel(programme.terms.end - before_end)
    chain.tester.mine_block()

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
    chain.tester.time_travel(programme.terms.end)
    reclaim = programme.contract.functions.reclaim(programme.word)
    stranger = chain.refusal(reclaim, chain.account(1))

    chain.send(reclaim, programme.terms.funder)
    programme.claim(made.entitlements[0])

    assert stranger == "SettlementUnauthorized"
    assert programme.balance(programme.terms.funder) == before + ESCROW - 300
    assert programme.balance(programme.payee(0)) == 300
    assert chain.refusal(reclaim, programme.terms.funder) == "SettlementNothingDue"


def test_reads_of_an_unknown_programme_are_zero(chain: Chain) -> None:
    """A caller can tell that there is none."""
    functions = chain.settlement.functions
    unknown = b"\x0f" * 32

    assert functions.stateOf(unknown).call() == (0, 0, b"\0" * 32, 0, 0)
    assert functions.termsOf(unknown).call()[3] == 0
    assert chain.refusal(functions.fund(unknown, 1), chain.account(0)) == (
        "SettlementUnknownProgramme"
    )
    assert chain.refusal(functions.reclaim(unknown), chain.account(0)) == (
        "SettlementUnknownProgramme"
    )


Step = tuple[str, int, int]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["commit", "claim", "forge"]),
            st.integers(0, 2),
            st.integers(0, 450),
        ),
        max_size=8,
    )
)
def test_the_contract_does_what_its_model_says(shared_chain: Chain, steps: list[Step]) -> None:
    """Success or refusal of every step is predicted, so that refusing all cannot pass."""
    snapshot = shared_chain.tester.take_snapshot()
    try:
        _run(open_programme(shared_chain, shared_chain.deploy(load("DemoToken"), SUPPLY)), steps)
    finally:
        shared_chain.tester.revert_to_snapshot(snapshot)


def _run(programme: Programme, steps: list[Step]) -> None:
    chain = programme.chain
    owed = {programme.payee(index): 1 for index in range(3)}
    paid = dict.fromkeys(owed, 0)
    committed, made = 0, None
    for number, (action, who, amount) in enumerate(steps, start=1):
        payee = programme.payee(who)
        if action == "commit":
            wanted = {**owed, payee: owed[payee] + amount}
            statement = programme.state_of(wanted, number)
            fits = sum(wanted.values()) <= ESCROW
            call = programme.commit_call(statement)
            assert (chain.refusal(call, programme.terms.coordinator) is None) == fits
            if fits:
                chain.send(call, programme.terms.coordinator)
                owed, made, committed = wanted, statement, sum(wanted.values())
        elif made is not None:
            one = next(each for each in made.entitlements if each.payee == payee)
            forged = {"cumulative": one.amount() + 1} if action == "forge" else {}
            call = programme.claim_call(one, **forged)
            due = action == "claim" and paid[payee] < one.amount()
            assert (chain.refusal(call, chain.account(9)) is None) == due
            if due:
                chain.send(call, chain.account(9))
                paid[payee] = one.amount()
    assert {payee: programme.balance(payee) for payee in owed} == paid
    assert programme.funded_committed_paid() == (ESCROW, committed, sum(paid.values()))
    assert programme.balance(programme.contract.address) == ESCROW - sum(paid.values())
