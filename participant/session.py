"""What a site has to do next, given what it sees. Pure.

The coordinator's view only says where to look; whatever follows from it is
checked against signatures when the task is carried out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .view import LeftOut, RoundView, View


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do for a round."""

    round: int


@dataclass(frozen=True, slots=True)
class Adopt(Task):
    """Take the released model."""


@dataclass(frozen=True, slots=True)
class Contribute(Task):
    """Train, protect and send; or send again what is in the outbox."""


@dataclass(frozen=True, slots=True)
class MakeKey(Task):
    """Make the round's key: it is this opener's turn."""


@dataclass(frozen=True, slots=True)
class VouchForKey(Task):
    """Check the key that another opener made, and sign its record: of this key, and no other."""

    record: str


@dataclass(frozen=True, slots=True)
class Certify(Task):
    """Check this cohort, and sign it: the one cohort of the round that this site ever signs."""

    cohort: str


@dataclass(frozen=True, slots=True)
class Open(Task):
    """Open the round's sum and make the new model."""


@dataclass(frozen=True, slots=True)
class SealModel(Task):
    """Seal the new model: it is this opener's turn."""


@dataclass(frozen=True, slots=True)
class Agree(Task):
    """Compare this sealed model with one's own, and sign the release."""

    sealed_model: str


@dataclass(frozen=True, slots=True)
class StateProduct(Task):
    """State the product of this site's update with the released step."""


@dataclass(frozen=True, slots=True)
class JudgeProducts(Task):
    """Hold what sites state against the sum that this site has opened, and sign the scores."""


@dataclass(frozen=True, slots=True)
class Audit(Task):
    """Add the round's contributions again, and sign its sum or refuse it."""


@dataclass(frozen=True, slots=True)
class Settle(Task):
    """Find out which of two seats has signed a false sum, and name it."""

    seats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Claim(Task):
    """Claim this site's part on the chain."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a site has done already, as far as this process knows.

    Attributes:
        trains: whether it has the role of a trainer.
        adopted: the newest round whose model it holds.
        opened: rounds whose sum it has opened, by the digest of the model it made.
        declined: tasks it will not do, because a check or its policy refused.
        claimed: whether its part is claimed.
    """

    participant: str
    trains: bool = True
    adopted: int = 0
    opened: Mapping[int, str] = field(default_factory=dict)
    declined: frozenset[Task] = frozenset()
    claimed: bool = False


def tasks(view: View, standing: Standing) -> tuple[Task, ...]:
    """Return what is to be done, most urgent first."""
    found: list[Task] = []
    adopt = Adopt(view.released)
    for each in view.rounds:
        found += _of_round(each, standing)
        found += _of_scores(each, standing)
    if standing.trains and view.released > standing.adopted and adopt not in standing.declined:
        # A plan starts from the newest model; with an older one, policy would refuse it for good.
        found = [adopt, *(task for task in found if not isinstance(task, Contribute))]
    if view.finished and view.settled and not standing.claimed:
        found.append(Claim(view.released))
    urgent = (
        *(Adopt, Certify, Open, SealModel, Agree, StateProduct, JudgeProducts),
        *(Contribute, VouchForKey, MakeKey, Claim),
    )
    todo = (task for task in found if task not in standing.declined)
    return tuple(sorted(todo, key=lambda task: urgent.index(type(task))))


def audits(view: View, auditor: str, settled: frozenset[int]) -> tuple[Audit, ...]:
    """Return what an auditor is to do, the oldest round first.

    Args:
        settled: rounds whose sum it has signed or refused.
    """
    return tuple(
        Audit(each.number)
        for each in sorted(view.rounds, key=lambda each: each.number)
        if (each.phase, each.auditor) == ("auditing", auditor) and each.number not in settled
    )


def disputes(view: View, auditor: str, settled: frozenset[Settle]) -> tuple[Settle, ...]:
    """Return what an auditor is to settle, the oldest round first.

    Args:
        settled: what it has settled already.
    """
    found = (
        Settle(each.number, each.disputed)
        for each in sorted(view.rounds, key=lambda each: each.number)
        if (each.phase, each.auditor) == ("disputed", auditor) and each.disputed
    )
    return tuple(task for task in found if task not in settled)


def left_out(view: View, participant: str) -> tuple[tuple[int, LeftOut], ...]:
    """Return what seats say against a site's own contributions, with the round of each."""
    return tuple(
        (each.number, left)
        for each in view.rounds
        for left in each.left_out
        if left.participant == participant
    )


def works_on(view: View, standing: Standing) -> tuple[int, ...]:
    """Return the rounds that this site has, or will soon have, something to do for.

    Wider than `tasks`: a site that has yet to adopt the newest model, because it has
    just come back, will contribute to the open round, which must not close meanwhile.
    """
    rounds = {
        each.number
        for each in view.rounds
        if any(task not in standing.declined for task in _of_round(each, standing))
    }
    return tuple(sorted(rounds))


def is_over(view: View, standing: Standing) -> bool:
    """Return whether nothing more will come for this site."""
    claims = not standing.claimed and Claim(view.released) not in standing.declined
    waits_for_payout = view.settles and claims
    waits = waits_for_payout or any(_will_judge(each, standing) for each in view.rounds)
    return view.finished and not waits and not tasks(view, standing)


def _of_round(each: RoundView, standing: Standing) -> list[Task]:
    me = standing.participant
    if each.phase == "open" and standing.trains and me not in each.committed:
        return [Contribute(each.number)]
    if each.phase in ("certifying", "summing") and standing.trains:
        return _of_certificate(each, me)
    if me not in each.openers:
        return []
    if each.phase == "keying":
        return _of_keying(each, me)
    if each.phase == "opening" and me not in each.agreed:
        return _of_opening(each, standing)
    return []


def _of_scores(each: RoundView, standing: Standing) -> list[Task]:
    # Not among the rounds that this site works on: no round waits for scores.
    me = standing.participant
    if each.scoring == "stating" and me in each.committed and me not in each.stated:
        return [StateProduct(each.number)]
    if each.scoring == "judging" and me in each.agreed and me not in each.scored:
        return [JudgeProducts(each.number)]
    return []


def scores_are_over(each: RoundView, participant: str) -> bool:
    """Return whether nothing more will be asked of a site for the scores of a round."""
    ended = each.phase in ("done", "aborted") and each.scoring not in ("stating", "judging")
    left_out = each.scoring == "stating" and participant not in each.committed
    return ended or left_out


def _will_judge(each: RoundView, standing: Standing) -> bool:
    judges = each.scoring == "stating" and standing.participant in each.agreed
    return judges and JudgeProducts(each.number) not in standing.declined


def _of_keying(each: RoundView, me: str) -> list[Task]:
    if not each.key_record:
        return [MakeKey(each.number)] if each.turn == me else []
    return [] if me in each.key_signers else [VouchForKey(each.number, each.key_record)]


def _of_certificate(each: RoundView, me: str) -> list[Task]:
    wanted = each.cohort and me not in each.certified
    return [Certify(each.number, each.cohort)] if wanted else []


def _of_opening(each: RoundView, standing: Standing) -> list[Task]:
    if each.number not in standing.opened:
        return [Open(each.number)]
    if each.sealed_model:
        return [Agree(each.number, each.sealed_model)]
    return [SealModel(each.number)] if each.turn == standing.participant else []
