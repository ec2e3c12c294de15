"""A seat states the sums of its two components over a certified cohort: once, and as it is.

Nothing is added before a certificate is complete, and nothing leaves before the statement is
recorded. A process that is killed after that sends the same bytes again.
"""

import asyncio
import threading
from collections.abc import Iterator

import structlog

from participant.opening.frozen import check_frozen_cohort
from participant.opening.sealed_words import key_context, words_context
from participant.pace import Pace, say_in_log
from participant.sending.sign import sign as sign_record
from participant.training.worker import error_of
from participant.wire.whole import Whole, digests_of
from privacy.certificate import check_certificate
from privacy.failpoints import Failpoints
from privacy.records import Cohort, SealedWords, SeatSum, Wrap, digest_of
from privacy.sealing import StreamSealer, new_content_key, seal

from .holding import Held
from .outbox import FOLDER, SumOutbox
from .sitting import Seat, Sitting
from .summing import fold

log = structlog.get_logger()


async def state(seat: Seat, sitting: Sitting) -> None:
    """Send this seat's sums of the certified cohort; add them first, if need be.

    Raises:
        OpeningRefused: this seat stands for another cohort of the round.
        InvalidSignature: the certificate is not complete, or a signature in it is wrong.
        CohortTooSmall, ProtocolError: the cohort is not what it must be, or this seat has not
            been given what its sites have signed.
        Unavailable: not now; the sums stay as they are if there are any.
    """
    outbox = SumOutbox(seat.config.state / FOLDER, sitting.plan)
    statement = seat.memory.statement(sitting.number)
    if statement is None:
        found = await _stated(seat, sitting, outbox)
        seat.failpoints.hit("seat.before_statement")
        signed = sign_record(found, seat.me, seat.keys.signing)
        statement = seat.memory.states(sitting.number, signed)
        seat.has_stated()
    await seat.calls.put_sum(statement, _going(outbox, seat.failpoints))


async def certified(seat: Seat, sitting: Sitting) -> tuple[Cohort, list[Held]]:
    """Return the cohort that is certified, and what this seat holds of all its contributions.

    Raises:
        InvalidSignature: the certificate is not complete, or a signature in it is wrong.
        ProtocolError, PrivacyError, Unavailable: as for `state`.
    """
    signed, headers = await seat.coordinator.cohort(sitting.number)
    policy, roster = seat.config.policy, sitting.roster
    # Each header's ledger is held against what this seat has seen where it is accepted.
    cohort = check_frozen_cohort(sitting.plan, policy, roster, signed, headers, seen={})
    check_certificate(signed, sitting.plan, sitting.roster)
    held, refused = await sitting.take(cohort.entries)
    if refused:
        raise error_of(refused[0].code, refused[0].reason)
    return cohort, held


async def _stated(seat: Seat, sitting: Sitting, outbox: SumOutbox) -> SeatSum:
    cohort, held = await certified(seat, sitting)
    # Who was away when the cohort was signed stands for it from here on.
    seat.memory.certifies(sitting.number, digest_of(cohort))
    seat.failpoints.hit("seat.before_fold")
    # Not kept: of a fold that is cut short nothing is used, and the next has its own key.
    content_key = new_content_key(seat.entropy)
    plan, name = sitting.plan, digest_of(cohort)

    def sealer(component: int) -> StreamSealer:
        return StreamSealer(content_key, words_context(plan, name, seat.me, component))

    pace = Pace(plan.arithmetic.chunks, say_in_log("summing", sitting.number))
    stopped = threading.Event()
    try:
        args = plan, held, sealer, outbox, pace, stopped.is_set, seat.failpoints.hit
        sums = await asyncio.to_thread(fold, *args)
    finally:
        stopped.set()
    return _statement(seat, sitting, cohort, sums, content_key)


def _statement(
    seat: Seat,
    sitting: Sitting,
    cohort: Cohort,
    sums: tuple[SealedWords, SealedWords],
    content_key: bytes,
) -> SeatSum:
    name = digest_of(cohort)
    return SeatSum(
        federation=cohort.federation,
        round=cohort.round,
        plan=cohort.plan,
        cohort=name,
        seat=seat.me,
        roster=sitting.roster.digest(),
        chunks=sitting.plan.arithmetic.chunks,
        sums=sums,
        wraps=tuple(
            Wrap(
                trainer.participant,
                seal(
                    trainer.sealing_key,
                    key_context(sitting.plan, name, seat.me, trainer.participant),
                    content_key,
                ),
            )
            for trainer in sitting.roster.trainers()
        ),
    )


def _going(outbox: SumOutbox, failpoints: Failpoints) -> Whole[tuple[int, bytes]]:
    def chunks(first: int) -> Iterator[tuple[int, bytes]]:
        for position, payload in outbox.chunks(first):
            failpoints.hit("seat.in_upload")
            yield position, payload

    return Whole(lambda: digests_of(payload for _, payload in outbox.chunks()), chunks)
