"""One aggregation round, as a pure state machine.

Nothing here sleeps, sends, stores, logs or reads a clock. Time arrives inside
events; work leaves as effects. `rounds.py` saves the new round and its effects in
one transaction; `service.py` carries the effects out, each as often as needed.

    KEYING ──KeySigned by most openers──▶ KEYED ──Planned──▶ OPEN
                                                              │ all have committed,
                                                              │ or quiet with a quorum
                                                              ▼
    DONE ◀──ReleaseSigned by enough openers── OPENING ◀──Aggregated── AGGREGATING
                                                 ▲                        │ Aggregated, where
                                                 │                        ▼ an auditor is named
                                                 └────Countersigned─── AUDITING

`Quiet` moves every waiting phase on: to the next opener in the plan's order, to
the cohort there is, or, when nothing has moved for much longer, to ABORTED.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from privacy.errors import ConflictingContribution, IllegalEvent, WrongIdentity
from privacy.learned import learned
from privacy.records import Entry

from . import scoring, seated
from .state import (
    Abandoned,
    Aggregate,
    Aggregated,
    CohortRefused,
    Effect,
    Erase,
    Event,
    Phase,
    Quiet,
    Round,
    Rules,
    Step,
    abandon,
    abort,
    with_name,
)

__all__ = [
    "Abandoned",
    "Aggregate",
    "Aggregated",
    "CohortRefused",
    "Effect",
    "Erase",
    "Event",
    "Phase",
    "Quiet",
    "Round",
    "Rules",
]
"""What others use of the state, beside the events and effects of this file."""


class KeyOffered(Event, frozen=True):
    """An opener made a key and signed its record."""

    maker: str
    record: str


class KeySigned(Event, frozen=True):
    """An opener checked the key and signed its record."""

    opener: str
    record: str


class KeyRefused(Event, frozen=True):
    """An opener found the key not to be what it must be."""

    opener: str


class Planned(Event, frozen=True):
    """The plan is signed."""

    plan: str


class Committed(Event, frozen=True):
    """A participant's contribution is complete and verified."""

    entry: Entry


class Countersigned(Event, frozen=True):
    """The auditor has added the contributions again, and signed the sum's manifest."""

    auditor: str
    sum: str


class AuditRefused(Event, frozen=True):
    """The auditor found the sum, or a contribution in it, not to be what it must be."""

    auditor: str
    code: str


class ModelSealed(Event, frozen=True):
    """An opener stored a sealed model, made from the sum."""

    sealer: str
    sealed_model: str
    release: str


class ReleaseSigned(Event, frozen=True):
    """An opener made the same model and signed the release."""

    opener: str
    release: str


class OpeningFailed(Event, frozen=True):
    """An opener could not open the sum, or made another model."""

    opener: str
    code: str


# Keys that openers refuse again and again have one cause that waiting does not mend.
REFUSALS_BEFORE_ABORT: Final = 8


def step(current: Round, event: Event) -> Step:
    """Return the round after `event`, and what must be done about it.

    Raises:
        IllegalEvent: the phase does not take this event; the round is unchanged.
        ConflictingContribution: a participant contradicted itself.
        WrongIdentity: it is not the sender's to say.
    """
    transition = TRANSITIONS.get((current.phase, type(event)))
    if transition is None:
        raise IllegalEvent(
            f"round {current.number} is {current.phase}: too late or too early "
            f"for {type(event).__name__}"
        )
    return transition(current, event)


def _offer_key(current: Round, event: KeyOffered) -> Step:
    if event.record == current.key_record:
        return current, ()
    if event.maker != current.whose_turn():
        raise IllegalEvent(
            f"it is {current.whose_turn()}'s turn to make the key, not {event.maker}'s"
        )
    if current.key_record:
        raise IllegalEvent(f"round {current.number} has a key record already")
    offered = replace(current, key_record=event.record, key_signers=())
    return _sign_key(offered, KeySigned(event.maker, event.record))


def _sign_key(current: Round, event: KeySigned) -> Step:
    _check_opener(current, event.opener)
    if not current.key_record or event.record != current.key_record:
        raise IllegalEvent(f"round {current.number} has another key record by now")
    signers = with_name(current.key_signers, event.opener)
    signed = replace(current, key_signers=signers)
    if 2 * len(signers) > len(current.rules.openers):
        return replace(signed, phase=Phase.KEYED), ()
    return signed, ()


def _sign_key_late(current: Round, event: KeySigned) -> Step:
    _check_opener(current, event.opener)
    if event.record != current.key_record:
        raise IllegalEvent(f"round {current.number} has another key record by now")
    return replace(current, key_signers=with_name(current.key_signers, event.opener)), ()


def _refuse_key(current: Round, event: KeyRefused) -> Step:
    _check_opener(current, event.opener)
    if not current.key_record:
        raise IllegalEvent(f"round {current.number} has no key record to refuse")
    refusals = current.refusals + 1
    if refusals >= REFUSALS_BEFORE_ABORT * len(current.rules.openers):
        return abort(current, f"{refusals} keys in a row that openers do not vouch for")
    return _next_maker(replace(current, refusals=refusals))


def _wait_for_key(current: Round, event: Quiet) -> Step:
    rules = current.rules
    if event.seconds < rules.progress_seconds and event.still_seconds < rules.abandon_seconds:
        return current, ()
    return _next_maker(current)


def _next_maker(current: Round) -> Step:
    # Silence passes the turn and never aborts: openers that are away come back.
    return replace(current, turn=current.turn + 1, key_record="", key_signers=()), ()


def _open(current: Round, event: Planned) -> Step:
    return replace(current, phase=Phase.OPEN, plan=event.plan), ()


def _commit(current: Round, event: Committed) -> Step:
    participant = event.entry.participant
    if participant not in current.rules.trainers:
        raise WrongIdentity(f"{participant} is no trainer of round {current.number}")
    for known in current.committed:
        if known == event.entry:
            return current, ()  # a retry, not a second vote
        if known.participant == participant:
            raise ConflictingContribution(f"{participant}: a second, different contribution")
    entries = sorted((*current.committed, event.entry), key=lambda entry: entry.participant)
    accepted = replace(current, committed=tuple(entries))
    return _close(accepted) if len(entries) == len(current.rules.trainers) else (accepted, ())


def _wait_for_contributions(current: Round, event: Quiet) -> Step:
    rules = current.rules
    still = event.still_seconds >= rules.abandon_seconds
    quiet = event.seconds >= rules.progress_seconds or still
    without = replace(current, stragglers=event.stragglers)
    if quiet and len(current.committed) >= rules.quorum:
        return _close(without)
    if still:
        have = len(current.committed)
        return abort(without, f"cohort of {have}, a quorum of {rules.quorum} is needed")
    return current, ()


def _close(current: Round) -> Step:
    assert len(current.committed) >= current.rules.quorum  # both callers count first
    if current.rules.seats:
        return seated.judge(current)
    return replace(current, phase=Phase.AGGREGATING), (Aggregate(current.number),)


def _publish(current: Round, event: Aggregated) -> Step:
    added_up = replace(current, cohort=event.cohort, sum=event.sum, turn=0)
    # Seats check each other's sums; their auditor is asked only where they disagree.
    if current.rules.auditor and not current.rules.seats:
        return replace(added_up, phase=Phase.AUDITING), ()
    return replace(added_up, phase=Phase.OPENING), ()


def _countersign(current: Round, event: Countersigned) -> Step:
    _check_countersigned(current, event)
    return replace(current, phase=Phase.OPENING), ()


def _countersign_again(current: Round, event: Countersigned) -> Step:
    _check_countersigned(current, event)
    return current, ()  # a retry: the answer to the first was lost


def _refuse_sum(current: Round, event: AuditRefused) -> Step:
    _check_auditor(current, event.auditor)
    return abort(current, f"the auditor {event.auditor} refuses the sum: {event.code}")


def _wait_for_auditor(current: Round, event: Quiet) -> Step:
    if event.still_seconds < current.rules.abandon_seconds:
        return current, ()
    return abort(current, f"the auditor {current.rules.auditor} neither signed nor refused")


def _seal(current: Round, event: ModelSealed) -> Step:
    if event.sealed_model == current.sealed_model:
        return current, ()
    if current.sealed_model:
        raise IllegalEvent(f"round {current.number} has a sealed model already")
    if event.sealer != current.whose_turn():
        raise IllegalEvent(f"it is {current.whose_turn()}'s turn to seal, not {event.sealer}'s")
    sealings = current.sealings + 1
    sealed = replace(current, sealed_model=event.sealed_model, release=event.release)
    return replace(sealed, sealings=sealings), ()


def _sign_release(current: Round, event: ReleaseSigned) -> Step:
    _check_opener(current, event.opener)
    if not current.release or event.release != current.release:
        raise IllegalEvent(f"round {current.number}: {event.opener} signs another release")
    agreed = with_name(current.agreed, event.opener)
    signed = replace(current, agreed=agreed)
    if len(agreed) < current.rules.agreement or current.phase is Phase.DONE:
        return signed, ()
    return scoring.begin(replace(signed, phase=Phase.DONE)), (Erase(current.number),)


def _fail_opening(current: Round, event: OpeningFailed) -> Step:
    _check_opener(current, event.opener)
    failed = with_name(current.failed, event.opener)
    # Who has signed the release has opened the sum, whatever it says afterwards.
    able = set(current.rules.openers) - (set(failed) - set(current.agreed))
    if len(able) >= current.rules.agreement:
        return replace(current, failed=failed), ()
    if current.sealed_model and current.sealings < len(current.rules.openers):
        return _next_sealer(current)
    return abort(current, f"{len(failed)} openers cannot open the sum: {event.code}")


def _next_sealer(current: Round) -> Step:
    # The model may be wrong, and the sum right: somebody else's model is compared then.
    return replace(
        current, turn=current.turn + 1, sealed_model="", release="", agreed=(), failed=()
    ), ()


def _wait_for_openers(current: Round, event: Quiet) -> Step:
    rules = current.rules
    if event.still_seconds >= rules.abandon_seconds:
        return abort(current, f"{len(current.agreed)} openers agreed before nothing moved any more")
    # An opener that works and works gets its share of the wait, not all of it.
    share = rules.abandon_seconds * (current.turn + 1) / (len(rules.openers) + 1)
    waits = event.seconds < rules.progress_seconds and event.still_seconds < share
    if current.sealed_model or waits:
        return current, ()
    return replace(current, turn=current.turn + 1), ()


def _check_opener(current: Round, opener: str) -> None:
    if opener not in current.rules.openers:
        raise WrongIdentity(f"{opener} is no opener of round {current.number}")


def _check_countersigned(current: Round, event: Countersigned) -> None:
    _check_auditor(current, event.auditor)
    if event.sum != current.sum:
        raise IllegalEvent(f"round {current.number}: {event.auditor} countersigns another sum")


def _check_auditor(current: Round, auditor: str) -> None:
    if auditor != current.rules.auditor:
        raise WrongIdentity(f"{auditor} is not the auditor of round {current.number}")


# The protocol, readable at a glance and by the script that draws the diagram.
TRANSITIONS: Final[Mapping[tuple[Phase, type[Event]], Callable[[Round, Any], Step]]] = {
    (Phase.KEYING, KeyOffered): _offer_key,
    (Phase.KEYING, KeySigned): _sign_key,
    (Phase.KEYING, KeyRefused): _refuse_key,
    (Phase.KEYING, Quiet): _wait_for_key,
    (Phase.KEYING, Abandoned): abandon,
    (Phase.KEYED, KeySigned): _sign_key_late,
    (Phase.KEYED, Planned): _open,
    (Phase.KEYED, Abandoned): abandon,
    (Phase.OPEN, KeySigned): _sign_key_late,
    (Phase.OPEN, Committed): _commit,
    (Phase.OPEN, Quiet): _wait_for_contributions,
    (Phase.OPEN, Abandoned): abandon,
    (Phase.AGGREGATING, CohortRefused): abandon,
    (Phase.AGGREGATING, Aggregated): _publish,
    (Phase.AGGREGATING, Abandoned): abandon,
    (Phase.AUDITING, Countersigned): _countersign,
    (Phase.AUDITING, AuditRefused): _refuse_sum,
    (Phase.AUDITING, Quiet): _wait_for_auditor,
    (Phase.AUDITING, Abandoned): abandon,
    (Phase.OPENING, Countersigned): _countersign_again,
    (Phase.OPENING, ModelSealed): _seal,
    (Phase.OPENING, ReleaseSigned): _sign_release,
    (Phase.OPENING, OpeningFailed): _fail_opening,
    (Phase.OPENING, Quiet): _wait_for_openers,
    (Phase.OPENING, Abandoned): abandon,
    (Phase.DONE, Countersigned): _countersign_again,
    (Phase.DONE, ReleaseSigned): _sign_release,
    **seated.TRANSITIONS,
    **scoring.TRANSITIONS,
}


def encode(current: Round) -> bytes:
    """Return the round as JSON, for the store."""
    return msgspec.json.encode(current)


def decode(body: bytes) -> Round:
    """Return the round that the store kept."""
    return msgspec.json.decode(body, type=learned(Round))


def encode_effect(effect: Effect) -> bytes:
    """Return an effect as JSON, for the store."""
    return msgspec.json.encode(effect)


AnyEffect = (
    Aggregate | Erase | seated.Nominate | seated.Freeze | seated.Manifest | scoring.ForgetProducts
)


def decode_effect(body: bytes) -> AnyEffect:
    """Return the effect that the store kept."""
    effect: AnyEffect = msgspec.json.decode(body, type=learned(AnyEffect))
    return effect
