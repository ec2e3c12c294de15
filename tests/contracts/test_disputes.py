"""Rounds proved wrong, nodes demanded, verdicts carried out: who loses what, and when."""

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from privacy.settlement.sum_proof import Opening
from tests.contracts.settling import (
    ARITHMETIC,
    BAD_SUM,
    BOND,
    BURNED,
    DEMAND_BOND,
    ESCROW,
    GUILTY,
    RESPONSE,
    SUPPLY,
    WINDOW,
    Chain,
    Commit,
    Programme,
    judge,
    open_programme,
)
from veilsum.chain.compiled import load

NODE = (0, 3, 2, 1, 5)
ANOTHER_NODE = (0, 3, 2, 1, 4)
NO_NODE = (0, 3, 2, 200, 5)
EVIDENCE = b"\x0e" * 32


def some(programme: Programme, amount: int = 100) -> dict[str, int]:
    return {programme.payee(0): amount}


def opening(commit: Commit) -> bytes:
    return Opening((commit.digest(),)).encode()


def demand_call(programme: Programme, commit: Commit, node=NODE, arithmetic=ARITHMETIC):
    return programme.call.demand(commit.fields(), node, arithmetic)


def demand(programme: Programme, commit: Commit, node=NODE) -> str:
    """Have account 7 demand `node`, and return it."""
    demander = programme.chain.account(7)
    programme.chain.send(
        programme.token.functions.transfer(demander, DEMAND_BOND), programme.chain.account(0)
    )
    programme.approve_vault(demander, DEMAND_BOND)
    programme.chain.send(demand_call(programme, commit, node), demander)
    return demander


def answer_call(programme: Programme, commit: Commit, node=NODE, shown: bytes | None = None):
    return programme.call.answer(commit.fields(), node, shown or opening(commit))


def expire_call(programme: Programme, commit: Commit, node=NODE):
    return programme.call.expire(programme.word, commit.round, node)


def demanded(programme: Programme, commit: Commit, node=NODE) -> tuple:
    identifier = programme.call.demandOf(programme.word, commit.round, node).call()
    return programme.call.demandAt(identifier).call()


def signatures(
    programme: Programme, round_number: int, accused: str, judges: tuple[int, ...]
) -> list[bytes]:
    asked = (programme.word, round_number, accused, EVIDENCE)
    digest = programme.call.verdictOf(*asked).call()
    keys = sorted((judge(number) for number in judges), key=lambda key: key.address.lower())
    return [bytes(key.unsafe_sign_hash(HexBytes(digest)).signature) for key in keys]


def verdict_call(programme: Programme, accused: str, signed: list[bytes], round_number: int = 1):
    return programme.call.slashByVerdict(programme.word, round_number, accused, EVIDENCE, signed)


# Challenges


def test_a_challenge_halves_the_bond_voids_the_round_and_halts_the_programme(
    programme: Programme,
) -> None:
    """Half to who proved it; half burned, so that proving one's own fraud costs as much."""
    earlier = programme.commit(some(programme, 100), 1)
    wrong = programme.commit(some(programme, 150), 2)
    programme.commit(some(programme, 170), 3)

    programme.convict(wrong.commit)

    assert programme.bonded(programme.terms.coordinator) == 0
    assert programme.credit(programme.chain.account(7)) == BOND // 2
    assert programme.credit(BURNED) == BOND - BOND // 2
    assert programme.state()["void_from"] == 2
    assert programme.head() == (1, earlier.commit.digest(), 100)


def test_rounds_from_the_voided_one_on_pay_nobody_and_earlier_ones_pay_on(
    programme: Programme,
) -> None:
    """What was honest and settled stays with its payees."""
    chain = programme.chain
    earlier = programme.commit(some(programme, 100), 1)
    wrong = programme.commit(some(programme, 150), 2)
    later = programme.commit(some(programme, 170), 3)
    programme.convict(wrong.commit)
    programme.mature(3)

    refusals = [
        chain.refusal(programme.claim_call(made.payouts[0]), chain.account(9))
        for made in (earlier, wrong, later)
    ]

    assert refusals == [None, "SettlementVoid", "SettlementVoid"]
    settled = [programme.call.isSettled(programme.word, each).call() for each in (1, 2, 3)]
    assert settled == [True, False, False]


def test_a_halted_programme_takes_no_commit_and_no_money_and_gives_the_rest_back(
    programme: Programme,
) -> None:
    """Before its end too: nothing will come of it. Its funder opens another."""
    chain = programme.chain
    programme.commit(some(programme, 100), 1)
    wrong = programme.commit(some(programme, 150), 2)
    programme.convict(wrong.commit)
    programme.bond(programme.terms.coordinator, BOND)
    again = programme.commit_call(programme.make(some(programme, 120), 4).commit)
    funder = programme.terms.funder
    before = programme.balance(funder)

    refusals = [
        chain.refusal(again, programme.terms.coordinator),
        chain.refusal(programme.call.fund(programme.word, 0), funder),
    ]
    chain.send(programme.call.reclaim(programme.word), funder)

    assert refusals == ["SettlementHalted"] * 2
    assert programme.balance(funder) == before + ESCROW - 100
    assert programme.funded_committed_paid() == (100, 100, 0)


def test_an_earlier_round_can_be_proved_wrong_after_a_later_one(programme: Programme) -> None:
    """The bond is gone, the money is not: what it promised goes back as well."""
    chain, funder = programme.chain, programme.terms.funder
    first = programme.commit(some(programme, 100), 1)
    second = programme.commit(some(programme, 150), 2)
    programme.convict(second.commit)
    chain.send(programme.call.reclaim(programme.word), funder)

    programme.convict(first.commit)
    chain.send(programme.call.reclaim(programme.word), funder)

    assert programme.state()["void_from"] == 1
    assert programme.head()[0] == 0
    assert programme.balance(programme.contract.address) == 0
    assert programme.credit(chain.account(7)) == BOND // 2


def test_a_void_round_is_not_challenged_again(programme: Programme) -> None:
    """One bond is paid once."""
    first = programme.commit(some(programme, 100), 1)
    second = programme.commit(some(programme, 150), 2)
    programme.convict(first.commit)

    refusals = []
    for made in (first, second):
        programme.seal(made.commit, programme.chain.account(8))
        call = programme.challenge_call(made.commit)
        refusals.append(programme.chain.refusal(call, programme.chain.account(8)))

    assert refusals == ["SettlementVoid"] * 2


@pytest.mark.parametrize(("left", "outcome"), [(1, None), (0, "SettlementMatured")])
def test_a_round_is_challenged_only_before_it_matures(
    programme: Programme, left: int, outcome: str | None
) -> None:
    """Half-open: at the second at which claims begin no challenge passes."""
    made = programme.commit(some(programme))
    programme.seal(made.commit, programme.chain.account(7))
    programme.chain.until(programme.matures_at() - left)

    refusal = programme.chain.refusal(
        programme.challenge_call(made.commit), programme.chain.account(7)
    )

    assert refusal == outcome


def test_an_honest_round_survives_a_proof_of_nothing(programme: Programme) -> None:
    """The challenge fails, and changes nothing."""
    made = programme.commit(some(programme))
    programme.seal(made.commit, programme.chain.account(7), b"innocent")
    call = programme.challenge_call(made.commit, b"innocent")

    refusal = programme.chain.refusal(call, programme.chain.account(7))

    assert refusal == "SettlementNotFraud"


@pytest.mark.parametrize(
    "field", ["parent", "slots", "plan", "cohort", "sum_trees", "sum", "model", "payouts", "total"]
)
def test_a_challenge_shows_what_was_committed(programme: Programme, field: str) -> None:
    """Otherwise anyone could commit a fraud in the coordinator's name and prove it."""
    made = programme.commit(some(programme)).commit
    value = getattr(made, field)
    other = value + 1 if isinstance(value, int) else b"\x77" * 32
    forged = replace(made, **{field: other})
    programme.seal(forged, programme.chain.account(7))

    refusal = programme.chain.refusal(programme.challenge_call(forged), programme.chain.account(7))

    assert refusal == "SettlementWrongCommit"


def test_a_challenge_of_a_round_that_is_none_is_refused(programme: Programme) -> None:
    """Nor can a round be accused before it is committed."""
    made = programme.make(some(programme)).commit
    programme.seal(made, programme.chain.account(7))

    refusal = programme.chain.refusal(programme.challenge_call(made), programme.chain.account(7))

    assert refusal == "SettlementUnknownRound"


def test_a_challenge_needs_a_seal_of_its_own_from_an_earlier_block(programme: Programme) -> None:
    """Whoever copies a challenge out of the pool has none, and cannot get one in time."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    call = programme.challenge_call(made)
    unsealed = chain.refusal(call, chain.account(7))
    programme.seal(made, chain.account(7))

    copied = chain.refusal(call, chain.account(8))

    assert (unsealed, copied) == ("SettlementNotSealed", "SettlementNotSealed")
    assert chain.refusal(call, chain.account(7)) is None


@pytest.mark.parametrize("field", ["programme", "round", "challenger", "proof", "none"])
def test_a_seal_is_for_one_programme_round_challenger_and_proof(
    programme: Programme, field: str
) -> None:
    """Nothing of it can be exchanged later."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    sealed = {
        "programme": programme.word,
        "round": 1,
        "challenger": chain.account(7),
        "proof": keccak(GUILTY),
    }
    other = {
        "programme": {"programme": b"\x01" * 32},
        "round": {"round": 2},
        "challenger": {"challenger": chain.account(8)},
        "proof": {"proof": keccak(b"other")},
        "none": {},
    }[field]
    word = programme.call.sealOf(*{**sealed, **other}.values()).call()
    chain.send(programme.call.seal(word), chain.account(7))
    chain.tester.mine_block()

    refusal = chain.refusal(programme.challenge_call(made), chain.account(7))

    assert refusal == (None if field == "none" else "SettlementNotSealed")


def test_a_seal_and_its_challenge_in_one_block_are_too_close(programme: Programme) -> None:
    """A copier could put both in front of the challenge that it copies."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    challenger = chain.account(7)
    word = programme.call.sealOf(programme.word, 1, challenger, keccak(GUILTY)).call()
    chain.tester.disable_auto_mine_transactions()
    # Two senders: this chain takes one pending transaction from each.
    first = programme.call.seal(word).transact({"from": chain.account(8), "gas": 100_000})
    second = programme.challenge_call(made).transact({"from": challenger, "gas": 900_000})
    chain.tester.mine_block()
    chain.tester.enable_auto_mine_transactions()

    receipts = [chain.web3.eth.get_transaction_receipt(each) for each in (first, second)]

    assert [receipt["status"] for receipt in receipts] == [1, 0]
    assert receipts[0]["blockNumber"] == receipts[1]["blockNumber"]
    assert programme.call.sealedAt(word).call() == receipts[0]["blockNumber"]


def test_a_seal_is_not_moved_by_setting_it_again(programme: Programme) -> None:
    """Else anyone could hold up a challenge by sealing it again in each block."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    programme.seal(made, chain.account(7))
    word = programme.call.sealOf(programme.word, 1, chain.account(7), keccak(GUILTY)).call()
    before = programme.call.sealedAt(word).call()

    chain.send(programme.call.seal(word), chain.account(8))

    assert programme.call.sealedAt(word).call() == before


def test_a_coordinator_that_proves_its_own_fraud_loses_half(programme: Programme) -> None:
    """It could always be first, since it knows first; so being first must not pay."""
    coordinator = programme.terms.coordinator
    made = programme.commit(some(programme))
    before = programme.balance(coordinator)

    programme.convict(made.commit, coordinator)
    collect = programme.vault.collect(programme.token.address, coordinator)
    programme.chain.send(collect, coordinator)

    assert programme.balance(coordinator) == before + BOND // 2
    assert programme.bonded(coordinator) == 0


def test_a_thawing_bond_is_slashed_as_well(programme: Programme) -> None:
    """Whoever commits a fraud and thaws at once is still there when it is proved."""
    coordinator = programme.terms.coordinator
    made = programme.commit(some(programme))
    programme.chain.send(programme.vault.thaw(programme.word, BOND), coordinator)
    programme.chain.until(programme.matures_at() - 5)
    early = programme.chain.refusal(programme.vault.withdraw(programme.word), coordinator)

    programme.convict(made.commit)

    assert early == "StakeVaultThawing"
    assert programme.credit(programme.chain.account(7)) == BOND // 2
    late = programme.chain.refusal(programme.vault.withdraw(programme.word), coordinator)
    assert late == "StakeVaultNothing"


def test_a_verdict_of_one_programme_leaves_the_others(chain: Chain) -> None:
    """Each stands on its own bond."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    guilty = open_programme(chain, token, label=b"\x01" * 32)
    other = open_programme(chain, token, label=b"\x02" * 32)
    wrong, right = guilty.commit(some(guilty)), other.commit(some(other))

    guilty.convict(wrong.commit)

    assert other.bonded(other.terms.coordinator) == BOND
    other.mature()
    other.claim(right.payouts[0])


# Demands


def test_a_demand_that_is_answered_pays_the_coordinator(programme: Programme) -> None:
    """Its gas is paid by who asked, whoever sends the answer."""
    made = programme.commit(some(programme)).commit
    demander = demand(programme, made)

    programme.chain.send(answer_call(programme, made), programme.chain.account(9))

    assert demanded(programme, made) == (demander, programme.chain.now() - 1 + RESPONSE, True)
    assert programme.credit(programme.terms.coordinator) == DEMAND_BOND
    assert programme.credit(programme.chain.account(9)) == 0
    assert programme.vault.lockedIn(programme.word).call() == 0


def test_a_demand_costs_its_bond(programme: Programme) -> None:
    """The vault takes it from who asks, and holds it."""
    made = programme.commit(some(programme)).commit
    poor = programme.chain.refusal(demand_call(programme, made), programme.chain.account(8))

    demander = demand(programme, made)

    assert poor == "ERC20InsufficientAllowance"
    assert programme.balance(demander) == 0
    assert programme.vault.lockedIn(programme.word).call() == DEMAND_BOND
    assert programme.balance(programme.chain.vault.address) == BOND + DEMAND_BOND


def test_silence_costs_the_coordinator_its_bond(programme: Programme) -> None:
    """A node that nobody can see is a wrong one. Anyone may end it; the demander is paid."""
    made = programme.commit(some(programme)).commit
    demander = demand(programme, made)
    programme.chain.until(demanded(programme, made)[1])

    programme.chain.send(expire_call(programme, made), programme.chain.account(9))

    assert programme.credit(demander) == DEMAND_BOND + BOND // 2
    assert programme.credit(BURNED) == BOND - BOND // 2
    assert programme.state()["void_from"] == 1
    assert programme.credit(programme.chain.account(9)) == 0


@pytest.mark.parametrize(
    ("left", "answered", "expired"),
    [(1, None, "SettlementNotExpired"), (0, "SettlementAnswerTooLate", None)],
)
def test_a_deadline_divides_answers_from_expiry(
    programme: Programme, left: int, answered: str | None, expired: str | None
) -> None:
    """Half-open, so that no second has both and none has neither."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    demand(programme, made)
    chain.until(demanded(programme, made)[1] - left)

    outcomes = (
        chain.refusal(answer_call(programme, made), chain.account(1)),
        chain.refusal(expire_call(programme, made), chain.account(7)),
    )

    assert outcomes == (answered, expired)


@pytest.mark.parametrize(("late", "outcome"), [(0, "asked"), (1, "SettlementDemandTooLate")])
def test_a_demand_comes_while_answer_and_challenge_still_fit(
    programme: Programme, late: int, outcome: str
) -> None:
    """The answer may come in the last second; then one whole response is left to act on it."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    programme.approve_vault(chain.account(0), DEMAND_BOND)
    chain.until(programme.matures_at() - 2 * RESPONSE + late)

    refusal = chain.refusal(demand_call(programme, made), chain.account(0))

    assert (refusal or "asked") == outcome


def test_a_demand_does_not_move_maturity(programme: Programme) -> None:
    """Else whoever pays for demands could hold up every payout behind them."""
    made = programme.commit(some(programme))
    before = programme.matures_at()

    for node in (NODE, ANOTHER_NODE):
        demand(programme, made.commit, node)

    assert programme.matures_at() == before


def test_demands_of_one_party_leave_room_for_all(programme: Programme) -> None:
    """A bounded number could be used up by a coordinator that demands of itself."""
    made = programme.commit(some(programme))
    nodes = [(0, 0, 0, 0, index) for index in range(12)]

    for node in nodes:
        demand(programme, made.commit, node)

    assert all(demanded(programme, made.commit, node)[1] for node in nodes)
    assert programme.vault.lockedIn(programme.word).call() == 12 * DEMAND_BOND


def test_a_node_is_demanded_once(programme: Programme) -> None:
    """The answer is there for all; a second demand would only cost the coordinator gas."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    demand(programme, made)
    open_again = chain.refusal(demand_call(programme, made), chain.account(0))
    chain.send(answer_call(programme, made), chain.account(1))

    refusals = [
        open_again,
        chain.refusal(demand_call(programme, made), chain.account(0)),
        chain.refusal(answer_call(programme, made), chain.account(1)),
        chain.refusal(expire_call(programme, made), chain.account(7)),
    ]

    assert refusals == ["SettlementAlreadyDemanded"] * 2 + ["SettlementNotDemanded"] * 2


def test_only_a_node_that_can_be_shown_is_demanded(programme: Programme) -> None:
    """An honest coordinator has an answer to every demand that passes."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    calls = [
        demand_call(programme, made, NO_NODE),
        demand_call(programme, made, NODE, b"another arithmetic"),
    ]

    refusals = [chain.refusal(call, chain.account(7)) for call in calls]

    assert refusals == ["SettlementUnknownNode"] * 2


def test_only_the_node_itself_is_an_answer(programme: Programme) -> None:
    """Anything else leaves the demand open."""
    chain, made = programme.chain, programme.commit(some(programme)).commit
    demand(programme, made)

    refusals = [
        chain.refusal(answer_call(programme, made, shown=b"something else"), chain.account(1)),
        chain.refusal(answer_call(programme, made, ANOTHER_NODE), chain.account(1)),
        chain.refusal(answer_call(programme, replace(made, sum=b"\1" * 32)), chain.account(1)),
    ]

    assert refusals == [
        "SettlementWrongAnswer",
        "SettlementNotDemanded",
        "SettlementWrongCommit",
    ]


def test_a_demand_of_a_void_round_gives_the_bond_back_and_slashes_nobody(
    programme: Programme,
) -> None:
    """The coordinator is through with it, and must not be paid for it either."""
    chain = programme.chain
    made = programme.commit(some(programme)).commit
    demander = demand(programme, made)
    programme.convict(made, chain.account(8))
    answered = chain.refusal(answer_call(programme, made), chain.account(1))
    asked = chain.refusal(demand_call(programme, made, ANOTHER_NODE), chain.account(0))
    chain.until(demanded(programme, made)[1])

    chain.send(expire_call(programme, made), chain.account(9))

    assert (answered, asked) == ("SettlementVoid", "SettlementVoid")
    assert programme.credit(demander) == DEMAND_BOND
    assert programme.credit(chain.account(8)) == BOND // 2


def test_a_demand_left_open_past_maturity_gives_the_bond_back_and_voids_nothing(
    programme: Programme,
) -> None:
    """Whoever demanded had a whole response to end it; what matured may have been paid."""
    chain = programme.chain
    made = programme.commit(some(programme))
    demander = demand(programme, made.commit)
    programme.mature()

    chain.send(expire_call(programme, made.commit), chain.account(9))

    assert programme.credit(demander) == DEMAND_BOND
    assert programme.bonded(programme.terms.coordinator) == BOND
    programme.claim(made.payouts[0])


@pytest.mark.parametrize("by", ["silence", "verdict"])
def test_what_comes_out_about_a_later_round_raises_no_earlier_one(
    programme: Programme, by: str
) -> None:
    """The void begins where it began: it only grows downwards."""
    chain, seat = programme.chain, programme.chain.account(8)
    first = programme.commit(some(programme, 100), 1)
    second = programme.commit(some(programme, 150), 2)
    demand(programme, second.commit)
    programme.convict(first.commit)
    chain.until(demanded(programme, second.commit)[1])
    signed = signatures(programme, 2, seat, (0, 1))
    late = {
        "silence": expire_call(programme, second.commit),
        "verdict": verdict_call(programme, seat, signed, round_number=2),
    }[by]

    chain.send(late, chain.account(9))

    assert programme.state()["void_from"] == 1
    assert programme.head()[0] == 0
    programme.mature(2)
    refusal = chain.refusal(programme.claim_call(first.payouts[0]), chain.account(9))
    assert refusal == "SettlementVoid"


# Verdicts


def test_a_verdict_burns_the_bond_of_the_accused_and_pays_nobody(programme: Programme) -> None:
    """Judges must have nothing to gain by judging."""
    coordinator = programme.terms.coordinator
    programme.commit(some(programme))
    signed = signatures(programme, 1, coordinator, (0, 2))

    programme.chain.send(verdict_call(programme, coordinator, signed), programme.chain.account(9))

    assert programme.credit(BURNED) == BOND
    assert programme.credit(programme.chain.account(9)) == 0
    assert programme.state()["void_from"] == 1


def test_a_seat_is_slashed_for_its_own_lie(programme: Programme) -> None:
    """Under shares the coordinator adds nothing; its bond stays, the round does not."""
    chain, seat = programme.chain, programme.chain.account(8)
    programme.bond(seat, 60)
    programme.commit(some(programme))

    chain.send(verdict_call(programme, seat, signatures(programme, 1, seat, (0, 1))), seat)

    assert programme.bonded(seat) == 0
    assert programme.bonded(programme.terms.coordinator) == BOND
    assert programme.credit(BURNED) == 60
    assert programme.state()["void_from"] == 1


def test_a_void_round_can_cost_a_second_accused_its_bond_and_each_once(
    programme: Programme,
) -> None:
    """Two seats may have lied; the same verdict is not carried out again."""
    chain, seats = programme.chain, (programme.chain.account(8), programme.chain.account(9))
    for seat in seats:
        programme.bond(seat, 60)
    programme.commit(some(programme))
    calls = [
        verdict_call(programme, seat, signatures(programme, 1, seat, (0, 1))) for seat in seats
    ]

    for call in calls:
        chain.send(call, chain.account(7))
    programme.bond(seats[0], 10)

    assert [programme.bonded(seat) for seat in seats] == [10, 0]
    assert chain.refusal(calls[0], chain.account(7)) == "SettlementAlreadyJudged"
    signed = signatures(programme, 1, seats[0], (1, 2))
    other_judges = verdict_call(programme, seats[0], signed)
    assert chain.refusal(other_judges, chain.account(7)) == "SettlementAlreadyJudged"


@pytest.mark.parametrize(
    ("judges", "outcome"),
    [
        ((0, 1), None),
        ((0, 1, 2), None),
        ((0,), "SettlementNoQuorum"),
        ((), "SettlementNoQuorum"),
        ((0, 0), "SettlementNoQuorum"),
        ((0, 5), "SettlementNoQuorum"),
        ((0, 1, 5), "SettlementNoQuorum"),
    ],
)
def test_a_verdict_needs_a_quorum_of_different_judges(
    programme: Programme, judges: tuple[int, ...], outcome: str | None
) -> None:
    """Nobody counts twice, and nobody else counts at all."""
    coordinator = programme.terms.coordinator
    programme.commit(some(programme))
    signed = signatures(programme, 1, coordinator, judges)

    call = verdict_call(programme, coordinator, signed)

    assert programme.chain.refusal(call, programme.chain.account(9)) == outcome


def test_signatures_stand_in_rising_order(programme: Programme) -> None:
    """One pass then finds each, and none twice."""
    coordinator = programme.terms.coordinator
    programme.commit(some(programme))
    signed = signatures(programme, 1, coordinator, (0, 1))[::-1]

    call = verdict_call(programme, coordinator, signed)

    assert programme.chain.refusal(call, programme.chain.account(9)) == "SettlementNoQuorum"


def test_a_programme_without_judges_has_no_verdicts(chain: Chain) -> None:
    """No signature is no quorum of none."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    programme = open_programme(chain, token, judges=(), quorum=0)
    programme.commit(some(programme))

    call = verdict_call(programme, programme.terms.coordinator, [])

    assert chain.refusal(call, chain.account(9)) == "SettlementNoQuorum"


def test_a_verdict_is_for_one_programme_round_and_accused(chain: Chain) -> None:
    """Signatures copied to another place carry nothing out there."""
    token = chain.deploy(load("DemoToken"), SUPPLY)
    programme = open_programme(chain, token, label=b"\x01" * 32)
    other = open_programme(chain, token, label=b"\x02" * 32)
    coordinator = programme.terms.coordinator
    for each in (programme, other):
        each.commit(some(each, 100), 1)
        each.commit(some(each, 150), 2)
    signed = signatures(programme, 1, coordinator, (0, 1))
    calls = [
        verdict_call(programme, coordinator, signed),
        verdict_call(programme, coordinator, signed, round_number=2),
        verdict_call(programme, chain.account(8), signed),
        verdict_call(other, coordinator, signed),
    ]

    refusals = [chain.refusal(call, chain.account(9)) for call in calls]

    assert refusals == [None] + ["SettlementNoQuorum"] * 3


@pytest.mark.parametrize(("left", "outcome"), [(1, None), (0, "SettlementMatured")])
def test_a_verdict_comes_before_maturity(
    programme: Programme, left: int, outcome: str | None
) -> None:
    """Judges cannot take back what may have been paid."""
    coordinator = programme.terms.coordinator
    programme.commit(some(programme))
    call = verdict_call(programme, coordinator, signatures(programme, 1, coordinator, (0, 1)))
    programme.chain.until(programme.matures_at() - left)

    assert programme.chain.refusal(call, programme.chain.account(9)) == outcome


def test_the_windows_are_those_of_the_terms(programme: Programme) -> None:
    """They are configuration; the tests here rest on this one."""
    made = programme.commit(some(programme)).commit

    assert programme.matures_at() == programme.chain.now() + WINDOW
    demand(programme, made)
    assert demanded(programme, made)[1] == programme.chain.now() + RESPONSE
    assert programme.challenge_call(made).args[1] == BAD_SUM
