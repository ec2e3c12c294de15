"""How a programme stands on the chain, and what one account has in it: read, never sent."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from privacy.errors import ChainUnavailable
from privacy.settlement.payouts import Entitlement
from veilsum.chain.logs import earliest_block_at, logged

from .dossier import Dossiers
from .programme import Programme, Round, State

NEWEST_ROUNDS: Final = 10
"""How many rounds are shown; a programme may have thousands."""


class RoundStanding(msgspec.Struct, frozen=True):
    """A committed round: `open` to challenges, `matured` or `void`."""

    number: int
    state: str
    total: str
    matures_at: int


class StakeStanding(msgspec.Struct, frozen=True):
    """What an account has in the vault, in token units.

    Attributes:
        credit: what the vault owes it, to be collected.
    """

    account: str
    bonded: str
    thawing: str
    thaws_at: int
    credit: str


class DemandStanding(msgspec.Struct, frozen=True):
    """A demand that the coordinator has not answered, and until when it may."""

    demand: str
    round: int
    deadline: int


class Searched(msgspec.Struct, frozen=True):
    """The blocks that were searched for demands, the last one as far as every endpoint told."""

    first: int
    last: int


class PayeeStanding(msgspec.Struct, frozen=True):
    """What a payee was paid, and what it was offered, under which round, in token units.

    Attributes:
        claimable: what a claim would pay now.
        waiting: what one would pay once the round has matured.
    """

    payee: str
    paid: str
    offered: str
    round: int
    claimable: str
    waiting: str


class LookedAt(msgspec.Struct, frozen=True):
    """What this site or auditor has found of a round's commit; as in its dossier."""

    round: int
    standing: str
    reason: str


class Standing(msgspec.Struct, frozen=True):
    """A programme at one block; amounts in the token's smallest unit, times in Unix seconds.

    Attributes:
        state: `running`, `paused`, `ended` or `halted`.
        head: the newest round that is not void; 0 if there is none.
        void_from: this round and all later ones are void; None while there is no such round.
        demands: those that are open; None where the endpoint does not tell.
        searched: where demands were looked for; None as for `demands`. Before the oldest round
            that can be disputed there is none that the coordinator may still answer.
        looked_at: what was found here, the newest round first.
    """

    chain_id: int
    contract: str
    programme: str
    block: int
    time: int
    state: str
    token: str
    coordinator: str
    funded: str
    paid: str
    head: int
    void_from: int | None
    end: int
    window: int
    bond_needed: str
    bond: StakeStanding
    rounds: tuple[RoundStanding, ...]
    demands: tuple[DemandStanding, ...] | None
    searched: Searched | None = None
    own: StakeStanding | None = None
    payee: PayeeStanding | None = None
    looked_at: tuple[LookedAt, ...] = ()


def standing_of(
    programme: Programme,
    *,
    account: str | None = None,
    payee: str | None = None,
    offered: Entitlement | None = None,
    dossiers: Dossiers | None = None,
    from_block: int | None = None,
) -> Standing:
    """Return how a programme stands, as of the newest block, which may yet be undone.

    Args:
        account: whose stake to show beside the coordinator's.
        payee: whose payouts to show.
        offered: the newest payout that it was offered and has found right.
        dossiers: what was found here of commits.
        from_block: where to begin to look for demands; else with the oldest round that is shown,
            or that can be disputed.

    Raises:
        WrongContext: there is no such programme.
        ChainUnavailable: the endpoint does not answer.
    """
    terms, state, now = programme.terms(), programme.state(), programme.time()
    rounds = _newest(programme, state, now)
    first = _committed_in(programme, rounds, terms.window) if from_block is None else from_block
    demands, searched = _demands(programme, first)
    return Standing(
        chain_id=programme.endpoint.chain_id,
        contract=str(programme.settlement.address).lower(),
        programme=programme.word.hex(),
        block=programme.height(),
        time=now,
        state=_word(programme, state, now >= terms.end),
        token=terms.token,
        coordinator=terms.coordinator,
        funded=str(state.funded),
        paid=str(state.paid),
        head=state.head,
        void_from=state.void_from,
        end=terms.end,
        window=terms.window,
        bond_needed=str(terms.bond),
        bond=stake_of(programme, terms.coordinator),
        rounds=tuple(_round(each, state, now) for each in rounds[:NEWEST_ROUNDS]),
        demands=demands,
        searched=searched,
        own=None if account is None else stake_of(programme, account),
        payee=None if payee is None else _payee(programme, state, now, payee, offered),
        looked_at=() if dossiers is None else tuple(_looked_at(dossiers)),
    )


def stake_of(programme: Programme, account: str) -> StakeStanding:
    """Return what an account has in the vault.

    Raises:
        ChainUnavailable: the endpoint does not answer.
    """
    stake, credit = programme.stake_of(account), programme.credit_of(account)
    bonded, thawing = str(stake.bonded), str(stake.thawing)
    return StakeStanding(account.lower(), bonded, thawing, stake.thaws_at, str(credit))


def _looked_at(dossiers: Dossiers) -> Iterator[LookedAt]:
    for number in dossiers.rounds()[: -NEWEST_ROUNDS - 1 : -1]:
        found = dossiers.of(number)
        if found is not None:
            yield LookedAt(number, found.standing.value, found.reason)


def _word(programme: Programme, state: State, ended: bool) -> str:
    if state.void_from is not None:
        return "halted"
    if ended:
        return "ended"
    return "paused" if programme.is_paused() else "running"


def _round(each: Round, state: State, now: int) -> RoundStanding:
    word = "open" if now < each.matures_at else "matured"
    if state.is_void(each.number):
        word = "void"
    return RoundStanding(each.number, word, str(each.total), each.matures_at)


def _payee(
    programme: Programme, state: State, now: int, payee: str, offered: Entitlement | None
) -> PayeeStanding:
    paid = programme.claimed_by(payee)
    found = None if offered is None else programme.round(offered.round)
    if offered is None or found is None or state.is_void(found.number):
        return PayeeStanding(payee.lower(), str(paid), "0", 0, "0", "0")
    left = max(offered.amount() - paid, 0)
    now_, later = (left, 0) if now >= found.matures_at else (0, left)
    amounts = (str(now_), str(later))
    return PayeeStanding(payee.lower(), str(paid), offered.cumulative, offered.round, *amounts)


def _newest(programme: Programme, state: State, now: int) -> list[Round]:
    """Return the rounds that are shown, and older ones that can be disputed."""
    found: list[Round] = []
    for each in programme.newest(state):
        if len(found) >= NEWEST_ROUNDS and now >= each.matures_at:
            break
        found.append(each)
    return found


def _committed_in(programme: Programme, rounds: Sequence[Round], window: int) -> int:
    """Return the block of the oldest of these commits; nothing can be demanded before it."""
    if not rounds:
        return programme.height()
    return earliest_block_at(programme.endpoint, rounds[-1].matures_at - window)


def _demands(
    programme: Programme, first: int
) -> tuple[tuple[DemandStanding, ...], Searched] | tuple[None, None]:
    """Return the demands that are neither answered nor expired; None if nobody can say."""
    filters = {"programme": programme.word}
    try:
        told = logged(programme.endpoint, programme.settlement, "Demanded", filters, first)
    except ChainUnavailable:
        return None, None
    found = (
        DemandStanding(bytes(at["demand"]).hex(), at["round"], at["deadline"])
        for at in (each.arguments for each in told.events)
    )
    demands = tuple(each for each in found if _is_open(programme, each.demand))
    return demands, Searched(first, told.until)


def _is_open(programme: Programme, demand: str) -> bool:
    call = programme.settlement.functions.demandAt(bytes.fromhex(demand))
    _, deadline, closed = programme.endpoint.read(call)
    return bool(deadline) and not closed  # an endpoint may make up a demand
