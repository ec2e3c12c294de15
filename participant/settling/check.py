"""What a site looks at before it takes what it is offered: its round, its leaf, its formula."""

from dataclasses import dataclass, replace

from privacy.errors import (
    ChainUnavailable,
    FalsePayout,
    RootMismatch,
    UnsafeParameters,
    WrongContext,
)
from privacy.settlement.accusation import Accusation, accuse
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Entitlement, check, earned_by, keccak256
from privacy.settlement.sum_proof import BadPayout, Fault, Payout

from .programme import Programme, Round, State


@dataclass(frozen=True, slots=True)
class Offer:
    """What a coordinator offers a site: its leaf under a round's commit.

    Attributes:
        before: what this site was offered before and has kept, if anything.
        may_be_old: whether it is of a round that was asked for; else it is refused where a later
            one was kept.
    """

    entitlement: Entitlement
    commit: Commit
    before: Entitlement | None = None
    may_be_old: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """A payout that its site has checked: under a round that stands, and by the formula.

    Attributes:
        is_newest: whether no later one that stands was kept.
    """

    programme: Programme
    round: Round
    entitlement: Entitlement
    is_newest: bool = True


def require_place(entitlement: Entitlement, chain_id: int, contract: str, payee: str) -> None:
    """Return if a payout counts where this site's operator agreed to be paid.

    Raises:
        WrongContext: it is for another chain, contract or payee.
    """
    domain = entitlement.domain
    found = (domain.chain_id, domain.contract, entitlement.payee)
    if found != (chain_id, contract.lower(), payee.lower()):
        raise WrongContext(
            f"a payout for {entitlement.payee} on contract {domain.contract}, chain "
            f"{domain.chain_id}, where {payee} on {contract}, chain {chain_id} was expected; "
            "the coordinator must issue the right one, unless this site was paid there when the "
            "round was planned: then set settlement.payee to that address, and claim"
        )


def examine(programme: Programme, offer: Offer) -> Due:
    """Return what is due by an offer, after all that can be checked without sending anything.

    Raises:
        WrongContext: the round is void, or older than what was offered before.
        RootMismatch: the leaf is not under the round's root, or the commit is another.
        FalsePayout: it is under the root, and what it says was earned is wrong; `accusation_of`
            makes the proof.
        ChainUnavailable: the endpoint does not answer, or has no such round yet.
    """
    one, state = offer.entitlement, programme.state()
    round_ = _standing(programme, state, one.round)
    same = (offer.commit.programme, offer.commit.round) == (one.domain.programme, one.round)
    if not same or offer.commit.digest() != round_.commit:
        raise RootMismatch(
            f"the commit that the coordinator shows for round {one.round} is not the one on the "
            "chain; the coordinator must show that"
        )
    check(one, round_.payouts)
    measured = measured_by(offer, state)
    is_newest = measured.before is None or measured.before.round <= one.round
    if not is_newest:
        _require_asked_for(measured)
        measured = replace(measured, before=None)  # more was earned by then
    require_earned(measured)
    return Due(programme, round_, one, is_newest)


def measured_by(offer: Offer, state: State) -> Offer:
    """Return an offer without what was kept before, where that is no measure for it.

    It is none in another programme, of another payee, or of a round that is void by now.
    """
    one, before = offer.entitlement, offer.before
    if before is None or (before.domain, before.payee) != (one.domain, one.payee):
        return replace(offer, before=None)
    return replace(offer, before=None) if state.is_void(before.round) else offer


def require_earned(offer: Offer) -> None:
    """Return if a payout is by the formula, and not below what this site had before.

    Raises:
        FalsePayout: it is not.
    """
    one, commit = offer.entitlement, offer.commit
    due = _due(one, commit)
    if int(one.earned) != due:
        raise FalsePayout(
            f"round {one.round}: {one.earned} token units for a score of {one.score} of "
            f"{commit.scores} in all, of a budget of {commit.budget}, which makes {due or 0}; "
            "challenge the round before it matures"
        )
    least = _least(offer)
    if one.amount() < least:
        raise FalsePayout(
            f"round {one.round}: {one.amount()} token units in all, where {least} were earned, "
            f"{one.earned} of them in this round; challenge the round before it matures"
        )


def accusation_of(offer: Offer, previous: int) -> Accusation | None:
    """Return the proof of a false payout; None if the contract would not be convinced by it.

    Args:
        previous: the round right before; a fall is proved by its leaf, if this site has kept it.
    """
    one, before = offer.entitlement, offer.before
    leaf, entry = _leaf(one), one.opened()
    proof = None
    if int(one.earned) != _due(one, offer.commit) or one.amount() < int(one.earned):
        proof = BadPayout(Fault.FORMULA, one.payee, leaf, entry)
    elif before is not None and one.amount() < _least(offer):
        if before.round == one.round:
            proof = BadPayout(Fault.TWIN, one.payee, leaf, other=_leaf(before))
        elif before.round == previous:
            proof = BadPayout(Fault.REGRESSION, one.payee, leaf, entry, _leaf(before))
    return None if proof is None else accuse(offer.commit, proof)


def _due(one: Entitlement, commit: Commit) -> int | None:
    """Return what the formula makes of a score; None if there is no such score."""
    try:
        return earned_by(int(one.score), int(commit.budget), int(commit.scores))
    except UnsafeParameters:
        return None


def _least(offer: Offer) -> int:
    """Return what the payee has earned in all, as far as this site knows."""
    one, before = offer.entitlement, offer.before
    if before is None:
        return int(one.earned)
    return before.amount() + (int(one.earned) if before.round < one.round else 0)


def _leaf(one: Entitlement) -> Payout:
    salt = bytes.fromhex(one.salt)
    return Payout(one.amount(), salt, keccak256(one.opened()), one.path())


def _standing(programme: Programme, state: State, number: int) -> Round:
    found = programme.round(number)
    if found is None:
        raise ChainUnavailable(
            f"the chain's endpoint has no round {number} of programme "
            f"{programme.word.hex()[:16]}…; it may be behind, or the commit was undone: run this "
            "again"
        )
    if state.is_void(number):
        raise WrongContext(
            f"round {number} is void: round {state.void_from} was proved wrong, and the programme "
            f"is halted. The coordinator must issue the payout of round {state.head}, the newest "
            "that stands"
        )
    return found


def _require_asked_for(offer: Offer) -> None:
    one, before = offer.entitlement, offer.before
    if before is not None and not offer.may_be_old:
        raise WrongContext(
            f"a payout of round {one.round}, where that of round {before.round} was issued "
            "before; the coordinator must issue the newest"
        )
