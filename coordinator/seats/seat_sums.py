"""What seats state as their sums, and the sealed words behind each statement.

A seat states its sums once: the same again changes nothing, anything else is refused. What it
seals is stored as it comes, in the sizes that the plan gives it.
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

import structlog

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore
from coordinator.rounds import round as machine
from coordinator.rounds.seated import Summed
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round, Stated
from privacy import canonical
from privacy.documents import Signed, only_by
from privacy.errors import ConflictingContribution, IllegalEvent, MalformedMessage, NotYet
from privacy.records import SeatSum, digest_of
from privacy.schemes.shares.layout import COMPONENTS

from . import seat_checks as checks
from .sum_upload import SumUpload

log = structlog.get_logger()

STATING: Final = frozenset({Phase.SUMMING, Phase.DISPUTED})
"""Phases in which seats state sums."""


@dataclass(frozen=True)
class SeatSums:
    """Takes the sums of seats, each behind its signed statement."""

    rounds: Rounds
    archive: Archive
    objects: ObjectStore
    rosters: Rosters

    def begin(self, caller: str, signed: Signed) -> SumUpload:
        """Take a seat's statement of its sums, the one it makes of this round; its words follow.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may state of this round.
            ConflictingContribution: it has stated, or begun to state, something else.
            IllegalEvent: the round does not wait for it.
        """
        number = canonical.decode(signed.body, SeatSum).round
        current = self.rounds.of_seat(caller, number)
        plan = self.archive.plan(number)
        roster = self.rosters.under(plan.terms.roster)
        stated = checks.seat_sum(signed, caller, current.cohort, plan, roster)
        if _roots(stated) in current.stated:
            return SumUpload(stated, known=True)
        # Asked before anything is stored; then kept, so that a seat fills the disk only once.
        machine.step(current, Summed(_roots(stated)))
        self.archive.keep("seat-sum", statement_name(number, caller), only_by(signed, caller))
        self.rounds.failpoints.hit("seats.after_statement")
        return SumUpload(stated, known=False)

    def find(self, upload: SumUpload) -> bool:
        """Take the next chunk of an upload from what is stored, if it is there as announced."""
        stated = upload.statement
        if upload.known or upload.came == 2 * stated.chunks:
            upload.came = 2 * stated.chunks
            return False
        position, chunk = divmod(upload.came, stated.chunks)
        name = names.seat_sum_chunk(stated.round, digest_of(stated), position, chunk)
        try:
            payload = self.objects.get(name)
            upload.check(payload)
        except (NotYet, MalformedMessage):
            return False  # not there, or damaged: it is sent again
        upload.take(position, payload)
        # What was here before is work, and nothing new has come of it.
        self.rounds.progress.worked(stated.round)
        return True

    def put_chunk(self, upload: SumUpload, position: int, payload: bytes) -> int:
        """Store the next chunk of a seat's sealed sums; return how many are durable.

        Raises:
            MalformedMessage: not the next one, not of its length, or not the one announced.
            IllegalEvent: the round waits for no sums any more.
        """
        stated, chunk = upload.statement, upload.next_place(position)
        length = checks.sealed_bytes(self.archive.plan(stated.round), chunk)
        if len(payload) != length:
            raise MalformedMessage(
                f"{stated.seat}: chunk {chunk} of a sum has {len(payload)} bytes, not {length}"
            )
        upload.check(payload)
        if not upload.known:
            self._store(upload, position, chunk, payload)
        return upload.take(position, payload)

    def finish(self, upload: SumUpload) -> None:
        """Count a seat's sums, whose words are what its statement says.

        Raises:
            MalformedMessage: they are not; they are deleted, unless their digests were announced,
                and must be sent again.
            NotYet: a chunk of them is not stored; send them again.
        """
        stated, number = upload.statement, upload.statement.round
        if upload.known and upload.announced.is_whole():
            return
        if not upload.is_whole():
            self._drop_unannounced(upload)
            raise MalformedMessage(f"{stated.seat}: chunks that are not those its statement names")
        if upload.known:
            return
        # Before a round is stepped: no other moves meanwhile, and a bucket may take a minute.
        self._require_stored(stated)
        self.rounds.apply(number, Summed(_roots(stated)))
        log.info("seat_summed", round=number, seat=stated.seat)

    def erase(self, number: int) -> None:
        """Delete what seats sealed for a round that is over."""
        self.objects.delete_prefix(names.seat_sums(number))

    def _store(self, upload: SumUpload, position: int, chunk: int, payload: bytes) -> None:
        stated = upload.statement
        number = stated.round
        self._require_stating(number)
        name = names.seat_sum_chunk(number, digest_of(stated), position, chunk)
        is_new = not self.objects.exists(name)
        self._put(name, payload, announced=upload.announced.has_begun())
        self.rounds.failpoints.hit("seats.after_chunk")
        self._withdraw_if_over(stated, name)
        current = self._require_stating(number)
        # A chunk sent again is work, and nothing has come of it.
        if stated.seat in current.waits_for():
            noted = self.rounds.progress
            (noted.came_of_it if is_new else noted.worked)(number)

    def _put(self, name: str, payload: bytes, *, announced: bool) -> None:
        try:
            self.objects.put(name, payload)
        except ConflictingContribution:
            if not announced:
                raise
            self.objects.mend(name, payload)

    def _drop_unannounced(self, upload: SumUpload) -> None:
        # What was announced is right as far as it came, and goes on from there: another process
        # that still believes that it leads must not take it away from the one that does.
        if not upload.announced.has_begun():
            self._drop(upload)

    def _drop(self, upload: SumUpload) -> None:
        stated = upload.statement
        with self.rounds.lock:
            counted = {each.statement for each in self.rounds.get(stated.round).stated}
            # The same statement may have arrived before, whole.
            if digest_of(stated) not in counted:
                self.objects.delete_prefix(names.seat_sum(stated.round, digest_of(stated)))

    def _require_stored(self, stated: SeatSum) -> None:
        number, statement = stated.round, digest_of(stated)
        there = set(self.objects.names(names.seat_sum(number, statement)))
        for position, chunk in product(range(len(stated.sums)), range(stated.chunks)):
            if names.seat_sum_chunk(number, statement, position, chunk) not in there:
                raise NotYet(f"{stated.seat}: chunk {chunk} of sum {position} is not here")

    def _withdraw_if_over(self, stated: SeatSum, name: str) -> None:
        """Delete a chunk that came after its round had ended, and nothing else."""
        current = self.rounds.get(stated.round)
        counted = {each.statement for each in current.stated}
        # It may have ended, and been erased, while this chunk was on its way to disk. The words
        # of a statement that counts may be evidence: when those go, retention decides.
        if current.is_over() and digest_of(stated) not in counted:
            self.objects.delete_prefix(name)

    def _require_stating(self, number: int) -> Round:
        current = self.rounds.get(number)
        if current.phase not in STATING:
            raise IllegalEvent(f"round {number} is {current.phase}: it waits for no sums")
        return current


def statement_name(number: int, seat: str) -> str:
    """Return the name under which a seat's statement is kept, as a `seat-sum`."""
    return f"{number:06d}-{seat}"


def _roots(statement: SeatSum) -> Stated:
    known = {each.component: each.root for each in statement.sums}
    first, second, third = (known.get(component, "") for component in range(COMPONENTS))
    return Stated(statement.seat, digest_of(statement), (first, second, third))
