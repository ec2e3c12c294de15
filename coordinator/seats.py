"""Seats: what they are given of a round, and what they state of it.

A seat is given each contribution as it holds it, and no other seat's secrets. What it states
counts once: the same again changes nothing, anything else is refused. What it seals is stored
as it comes, in the sizes that the plan gives it, and is given to trainers alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from privacy import canonical
from privacy.documents import Signed, unpack
from privacy.errors import IllegalEvent, MalformedMessage, NotYet, WrongIdentity
from privacy.identifiers import Digest
from privacy.records import Candidates, Cohort, Scores, SeatSum, Verdict, digest_of
from privacy.schemes.shares.layout import COMPONENTS
from privacy.schemes.shares.seat_sum import takes_payload
from privacy.sealing import CiphertextDigest
from privacy.signing import Purpose, verify

from . import object_names as names
from . import round as machine
from . import seat_checks as checks
from .archive import Archive
from .moving import Moving
from .ports import ObjectStore, Store
from .rosters import Rosters
from .rounds import Rounds
from .seated import CohortSigned, Judged, LiarNamed, Summed
from .state import Judgement, LeftOut, Phase, Round, Stated

log = structlog.get_logger()

HOLDING: Final = frozenset(
    {Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING, Phase.DISPUTED}
)
"""Phases in which seats are given contributions."""

STATING: Final = frozenset({Phase.SUMMING, Phase.DISPUTED})
"""Phases in which seats state sums."""

SHOWN: Final = frozenset(
    {Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE, Phase.ABORTED}
)
"""Phases in which statements are given out: no seat reads another's before its own counts."""

CERTIFIED: Final = frozenset(
    {Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE}
)
"""Phases in which scores are taken."""


@dataclass(frozen=True)
class Part:
    """A contribution as one seat gets it: its header, what was sealed to that seat, its chunks.

    `chunks` is how many follow; none for the seat whose components are both expanded.
    """

    header: Signed
    sealed: bytes = field(repr=False)
    chunks: int


@dataclass
class SumUpload:
    """A seat's sealed sums on their way: what came of each of the two, in the order it must.

    `known` says that the same were stated before; nothing is stored again.
    """

    statement: SeatSum
    known: bool
    came: int = 0
    lengths: list[int] = field(default_factory=lambda: [0, 0])
    digests: list[CiphertextDigest] = field(
        default_factory=lambda: [CiphertextDigest(), CiphertextDigest()]
    )

    def next_place(self, position: int) -> int:
        """Return the chunk that must come next, if `position` is that of its sum.

        Raises:
            MalformedMessage: it is not, or both sums are here.
        """
        expected, chunk = divmod(self.came, self.statement.chunks)
        if position != expected or expected > 1:
            raise MalformedMessage(
                f"{self.statement.seat}: a chunk of sum {position} where "
                f"{'none' if expected > 1 else f'one of sum {expected}'} was expected"
            )
        return chunk

    def take(self, position: int, payload: bytes) -> int:
        """Note that a chunk is durable; return how many are."""
        self.digests[position].update(payload)
        self.lengths[position] += len(payload)
        self.came += 1
        return self.came

    def is_whole(self) -> bool:
        """Return whether both sums came, and are those of the statement."""
        stated = [(each.length, each.ciphertext) for each in self.statement.sums]
        found = zip(self.lengths, (each.hexdigest() for each in self.digests), strict=True)
        return self.came == 2 * self.statement.chunks and list(found) == stated


@dataclass(frozen=True)
class Seats:
    """What the three seats of a round get and state, and what others read of that."""

    rounds: Rounds
    archive: Archive
    store: Store
    objects: ObjectStore
    rosters: Rosters
    moving: Moving

    # -- what a seat is given --------------------------------------------------------

    def part(self, caller: str, number: int, participant: str) -> Part:
        """Return what a seat is given first of a contribution that counts.

        Raises:
            WrongIdentity: the caller is no seat of the round.
            NotYet: the contribution is not committed.
            IllegalEvent: the round gives no contributions to seats, yet or any more.
        """
        current = self._holding(caller, number, participant)
        upload = self.store.upload(number, participant)
        assert upload is not None  # a committed entry has its upload's row for good
        sealed = self.objects.get(names.sealed_part(number, participant, caller))
        self._given(current, caller, f"part {participant}", 0)
        travels = takes_payload(current.rules.seats.index(caller))
        chunks = self.archive.plan(number).geometry().chunks if travels else 0
        return Part(unpack(upload.header), sealed, chunks)

    def part_chunk(self, caller: str, number: int, participant: str, chunk: int) -> bytes:
        """Return one chunk of the component that travels, under the same conditions as `part`.

        Raises:
            WrongIdentity: the caller's seat does not hold that component, too.
        """
        current = self._holding(caller, number, participant)
        if not takes_payload(current.rules.seats.index(caller)):
            raise WrongIdentity(f"{caller} does not hold the component that travels")
        payload = self.objects.get(names.contribution_chunk(number, participant, 0, chunk))
        self._given(current, caller, f"part {participant}", chunk + 1)
        return payload

    def candidates(self, caller: str, number: int) -> tuple[Signed, list[Signed]]:
        """Return the signed candidates of a round, and the signed header of each.

        Raises:
            WrongIdentity: the caller is no seat of the round.
            NotYet: the round is not closed.
        """
        current = self._of_seat(caller, number)
        signed, candidates = self._candidates(current)
        headers = []
        for entry in candidates.entries:
            upload = self.store.upload(number, entry.participant)
            assert upload is not None  # a candidate was committed
            headers.append(unpack(upload.header))
        return signed, headers

    def _holding(self, caller: str, number: int, participant: str) -> Round:
        current = self._of_seat(caller, number)
        if current.phase not in HOLDING:
            raise IllegalEvent(f"round {number} is {current.phase}: no seat is given anything")
        if participant not in [entry.participant for entry in current.committed]:
            raise NotYet(f"{participant[:80]!r} has committed no contribution to round {number}")
        return current

    def _given(self, current: Round, caller: str, stream: str, place: int) -> None:
        # An open round waits for trainers: seats that fetch meanwhile do not hold it open.
        if caller in current.waits_for():
            self.moving.given(current.number, caller, stream, place)

    # -- what it says of the candidates, and of the cohort ---------------------------

    def put_verdict(self, caller: str, signed: Signed) -> None:
        """Take what a seat says of the candidates, once.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may say of this round.
            ConflictingContribution: it has said something else.
            IllegalEvent: the round does not wait for it.
        """
        number = canonical.decode(signed.body, Verdict).round
        with self.rounds.lock:
            current = self._of_seat(caller, number)
            plan, (_, candidates) = self.archive.plan(number), self._candidates(current)
            said = checks.verdict(signed, caller, candidates, plan, self.rosters.current())
            judged = Judgement(caller, digest_of(said), said.unasked)
            if judged in current.judged:
                return  # a retry: the answer to the first was lost
            event = Judged(judged, said.candidates, _left_out(said))
            machine.step(current, event)
            self.archive.keep("verdict", judged.verdict, _by(caller, signed))
            self.rounds.failpoints.hit("seats.after_verdict")
            self.rounds.apply(number, event)
        for each in said.refused:
            log.warning(
                "contribution_left_out",
                round=number,
                participant=each.participant,
                seat=caller,
                code=each.code,
                reason=each.reason,
            )

    def sign_cohort(self, caller: str, number: int, cohort: Digest, signature: bytes) -> None:
        """Take a seat's or a trainer's signature on the cohort: a part of its certificate.

        Raises:
            IllegalEvent: the round has another cohort, none, or gathers no signatures now.
            InvalidSignature: the caller's key has not signed this cohort for a certificate.
            WrongIdentity: the caller is neither seat nor trainer of the round.
        """
        with self.rounds.lock:
            current, event = self.rounds.get(number), CohortSigned(caller, cohort)
            if caller not in current.certified or cohort != current.cohort:
                machine.step(current, event)
            body = self.archive.document("cohort", cohort).body
            key = self.rosters.current().member(caller).signing_key
            verify(key, Purpose.CERTIFICATE, body, signature)
            if caller in current.certified:
                return  # a retry: the answer to the first was lost
            self.archive.keep_signature("cohort", cohort, caller, signature)
            self.rounds.failpoints.hit("seats.after_certificate")
            self.rounds.apply(number, event)
        log.info("cohort_certified", round=number, participant=caller)

    def _candidates(self, current: Round) -> tuple[Signed, Candidates]:
        if not current.candidates:
            raise NotYet(f"the candidates of round {current.number} are not signed yet")
        signed = self.archive.document("candidates", current.candidates)
        return signed, canonical.decode(signed.body, Candidates)

    # -- what it states as its sums --------------------------------------------------

    def begin_sum(self, caller: str, signed: Signed) -> SumUpload:
        """Take a seat's statement of its sums, the one it makes of this round; its words follow.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may state of this round.
            ConflictingContribution: it has stated, or begun to state, something else.
            IllegalEvent: the round does not wait for it.
        """
        number = canonical.decode(signed.body, SeatSum).round
        current = self._of_seat(caller, number)
        plan, roster = self.archive.plan(number), self.rosters.current()
        stated = checks.seat_sum(signed, caller, current.cohort, plan, roster)
        if _roots(stated) in current.stated:
            return SumUpload(stated, known=True)
        # Asked before anything is stored; then kept, so that a seat fills the disk only once.
        machine.step(current, Summed(_roots(stated)))
        self.archive.keep("seat-sum", _name(number, caller), _by(caller, signed))
        self.rounds.failpoints.hit("seats.after_statement")
        return SumUpload(stated, known=False)

    def put_sum_chunk(self, upload: SumUpload, position: int, payload: bytes) -> int:
        """Store the next chunk of a seat's sealed sums; return how many are durable.

        Raises:
            MalformedMessage: not the next one, or not of its length.
            IllegalEvent: the round waits for no sums any more.
        """
        stated, chunk = upload.statement, upload.next_place(position)
        length = checks.sealed_bytes(self.archive.plan(stated.round), chunk)
        if len(payload) != length:
            raise MalformedMessage(
                f"{stated.seat}: chunk {chunk} of a sum has {len(payload)} bytes, not {length}"
            )
        if not upload.known:
            self._store(stated, position, chunk, payload)
        return upload.take(position, payload)

    def finish_sum(self, upload: SumUpload) -> None:
        """Count a seat's sums, whose words are what its statement says.

        Raises:
            MalformedMessage: they are not; they are deleted, and must be sent again.
            NotYet: a chunk of them is not stored; send them again.
        """
        stated, number = upload.statement, upload.statement.round
        if not upload.is_whole():
            self._drop(upload)
            raise MalformedMessage(f"{stated.seat}: chunks that are not those its statement names")
        if upload.known:
            return
        with self.rounds.lock:
            for position in range(len(stated.sums)):
                self._require_stored(stated, position)
            self.rounds.apply(number, Summed(_roots(stated)))
        log.info("seat_summed", round=number, seat=stated.seat)

    def _store(self, stated: SeatSum, position: int, chunk: int, payload: bytes) -> None:
        number = stated.round
        self._require_stating(number)
        name = names.seat_sum_chunk(number, digest_of(stated), position, chunk)
        is_new = not self.objects.exists(name)
        self.objects.put(name, payload)
        self.rounds.failpoints.hit("seats.after_chunk")
        current = self._require_stating(number)
        # A chunk sent again is work, and nothing has come of it.
        if stated.seat in current.waits_for():
            noted = self.rounds.progress
            (noted.came_of_it if is_new else noted.worked)(number)

    def _drop(self, upload: SumUpload) -> None:
        stated = upload.statement
        with self.rounds.lock:
            counted = {each.statement for each in self.rounds.get(stated.round).stated}
            # The same statement may have arrived before, whole.
            if digest_of(stated) not in counted:
                self.objects.delete_prefix(names.seat_sum(stated.round, digest_of(stated)))

    def _require_stored(self, stated: SeatSum, position: int) -> None:
        for chunk in range(stated.chunks):
            name = names.seat_sum_chunk(stated.round, digest_of(stated), position, chunk)
            if not self.objects.exists(name):
                raise NotYet(f"{stated.seat}: chunk {chunk} of sum {position} is not here")

    def _require_stating(self, number: int) -> Round:
        current = self.rounds.get(number)
        if current.is_over():
            # It may have ended, and been erased, while something was on its way to disk.
            self.erase(number)
        if current.phase not in STATING:
            raise IllegalEvent(f"round {number} is {current.phase}: it waits for no sums")
        return current

    # -- what others read of sums ----------------------------------------------------

    def sums(self, caller: str, number: int) -> list[Signed]:
        """Return the signed statements of a round's seats, once they are compared.

        Raises:
            WrongIdentity: the caller is no seat, trainer or auditor of the round.
            NotYet: seats are still adding.
        """
        current = self.rounds.get(number)
        rules = current.rules
        if caller not in (*rules.trainers, *rules.seats, rules.auditor):
            raise WrongIdentity(f"{caller} has no part in round {number}")
        if current.phase not in SHOWN:
            raise NotYet(f"round {number} is {current.phase}: its seats' sums are not compared")
        stated = [_name(number, each.seat) for each in current.stated]
        return [self.archive.document("seat-sum", name) for name in stated]

    def words_chunks(self, caller: str, number: int, seat: str, position: int) -> int:
        """Return in how many chunks a seat has sealed the sum of one of its components.

        Raises:
            WrongIdentity: the caller is no trainer of the round.
            NotYet: the sums are not compared, or that seat has stated none that counts.
            IllegalEvent: the round was aborted, and its sums are erased.
        """
        self._opened(caller, number, seat, position)
        return self.archive.plan(number).geometry().chunks

    def words(self, caller: str, number: int, seat: str, position: int, chunk: int) -> bytes:
        """Return one chunk of a sealed sum, under the same conditions as `words_chunks`."""
        current, stated = self._opened(caller, number, seat, position)
        name = names.seat_sum_chunk(number, stated.statement, position, chunk)
        if current.phase is Phase.DONE and not self.objects.exists(name):
            raise IllegalEvent(f"round {number} is done: its sums are erased")
        payload = self.objects.get(name)
        # Others fetch them too, for as long as they like; only openers make a model of them.
        if caller in current.rules.openers:
            self.moving.given(number, caller, f"words {stated.statement} {position}", chunk)
        return payload

    def _opened(self, caller: str, number: int, seat: str, position: int) -> tuple[Round, Stated]:
        current = self.rounds.get(number)
        if caller not in current.rules.trainers:
            raise WrongIdentity(f"{caller} is no trainer of round {number}")
        if current.phase is Phase.ABORTED:
            raise IllegalEvent(f"round {number} is aborted: nobody opens its sum")
        if current.phase not in (Phase.OPENING, Phase.DONE):
            raise NotYet(f"round {number} is {current.phase}: its sums are not opened yet")
        if position not in (0, 1):
            raise MalformedMessage(f"a seat states two sums, there is no number {position}")
        for each in current.stated:
            if each.seat == seat and seat not in current.liars:
                return current, each
        raise NotYet(f"round {number}: {seat[:80]!r} has stated no sum that counts")

    # -- scores ----------------------------------------------------------------------

    def put_scores(self, caller: str, signed: Signed) -> None:
        """Keep what a seat signs as the scores of a cohort, once.

        Raises:
            WrongIdentity, InvalidSignature, WrongContext, MalformedMessage: it is not what the
                caller may sign of this round.
            ConflictingContribution: it has signed something else.
            IllegalEvent: the round has no certified cohort.
        """
        number = canonical.decode(signed.body, Scores).round
        current = self._of_seat(caller, number)
        if current.phase not in CERTIFIED:
            raise IllegalEvent(f"round {number} is {current.phase}: no scores are taken")
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        checks.scores(signed, caller, cohort, self.archive.plan(number), self.rosters.current())
        self.archive.keep(scores_kind(number), caller, _by(caller, signed))
        differ = sorted(self._differing(number, signed.body))
        if differ:
            log.warning("scores_differ", round=number, seat=caller, others=differ)

    def scores(self, number: int) -> Signed:
        """Return the scores of a round, under the signatures of all three seats.

        Raises:
            NotYet: fewer have signed scores, or not all of them the same.
        """
        seats = self.rounds.get(number).rules.seats
        signed = self._scores(number)
        missing = [seat for seat in seats if seat not in signed]
        if missing or not seats:
            raise NotYet(f"round {number}: no scores of {' and '.join(missing) or 'any seat'} yet")
        if len({each.body for each in signed.values()}) != 1:
            raise NotYet(f"round {number}: its seats have signed different scores; none count")
        signatures = {seat: signed[seat].signatures[seat] for seat in seats}
        return Signed(signed[seats[0]].body, signatures)

    def _differing(self, number: int, body: bytes) -> list[str]:
        return [seat for seat, each in self._scores(number).items() if each.body != body]

    def _scores(self, number: int) -> dict[str, Signed]:
        kept = self.store.documents(scores_kind(number))
        return {seat: unpack(stored) for seat, stored in kept}

    # -- a dispute, and the end ------------------------------------------------------

    def name_liar(self, caller: str, number: int, seats: Sequence[str]) -> None:
        """Take the auditor's word on which seats' sums are false; none if it cannot be told.

        Raises:
            WrongIdentity: the caller is not the auditor of the round.
            IllegalEvent: there is no dispute, or not with these seats.
        """
        with self.rounds.lock:
            current = self.rounds.get(number)
            again = caller == current.rules.auditor and {*seats} <= {*current.liars}
            if seats and again:
                return  # a retry: the answer to the first was lost
            self.rounds.apply(number, LiarNamed(caller, tuple(sorted({*seats}))))
        log.warning("seats_judged", round=number, auditor=caller, liars=sorted({*seats}))

    def erase(self, number: int) -> None:
        """Delete what seats sealed for a round that is over."""
        self.objects.delete_prefix(names.seat_sums(number))

    def _of_seat(self, caller: str, number: int) -> Round:
        current = self.rounds.get(number)
        if caller not in current.rules.seats:
            raise WrongIdentity(f"{caller} is no seat of round {number}")
        return current


def _left_out(said: Verdict) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(e.participant, said.seat, e.code, e.reason) for e in said.refused)


def _roots(statement: SeatSum) -> Stated:
    known = {each.component: each.root for each in statement.sums}
    first, second, third = (known.get(component, "") for component in range(COMPONENTS))
    return Stated(statement.seat, digest_of(statement), (first, second, third))


def _by(caller: str, signed: Signed) -> Signed:
    # Only the signature that was checked: others beside it would make it another document.
    return Signed(signed.body, {caller: signed.signatures[caller]})


def _name(number: int, seat: str) -> str:
    return f"{number:06d}-{seat}"


def scores_kind(number: int) -> str:
    """Return the kind under which the scores that seats sign of a round are kept, by seat."""
    return f"scores-{number:06d}"
