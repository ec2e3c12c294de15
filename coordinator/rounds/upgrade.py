"""Rounds that this coordinator cannot bring to an end: ended at the start, by name.

Another version has planned them, or they wait for their plan under another scheme.
"""

import structlog

from coordinator.archive import Archive
from privacy import canonical
from privacy.errors import MalformedMessage, SchemaMismatch, UnsafeParameters
from privacy.plan import CKKS, SHARES
from privacy.records import KeyRecord

from . import round as machine
from .standing import Rounds
from .state import Round

log = structlog.get_logger()


def abandon_unreadable(rounds: Rounds, archive: Archive) -> None:
    """End every round whose plan or key record this version cannot read; the next one goes on.

    Asked once, before anything else: a plan that cannot be read would stop every start.
    """
    for current in [each for each in rounds.all().values() if not each.is_over()]:
        try:
            _read(current, archive)
        except (SchemaMismatch, MalformedMessage, UnsafeParameters) as error:
            reason = "it was planned by another version of the coordinator"
            log.error(
                "round_of_another_version",
                round=current.number,
                phase=current.phase,
                who_acts="the coordinator's operator",
                reason=f"{reason}, and cannot be read: {error}",
                action="nothing now: a new round begins; next time upgrade between two rounds",
            )
            rounds.apply(current.number, machine.Abandoned(f"{reason}: {error}"))


def abandon_other_scheme(rounds: Rounds, archive: Archive, scheme: str) -> None:
    """End every round that has begun under another scheme than `scheme` and has no plan yet.

    Nobody makes its key any more, or it has none to be planned with.
    """
    for current in [each for each in rounds.all().values() if not each.is_over()]:
        began = SHARES if current.rules.seats else CKKS
        if began != scheme and not archive.has_plan(current.number):
            reason = f"it began under {began}, and the settings say {scheme} by now"
            log.warning("round_of_another_scheme", round=current.number, reason=reason)
            rounds.apply(current.number, machine.Abandoned(reason))


def _read(current: Round, archive: Archive) -> None:
    if archive.has_plan(current.number):
        archive.plan(current.number)
    if current.key_record:
        canonical.decode(archive.document("key", current.key_record).body, KeyRecord)
