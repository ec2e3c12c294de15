"""What seats and openers have said of a round, read from outside and held against keys."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from coordinator.archive import with_signatures
from coordinator.rounds.seated import certificate_is_complete
from coordinator.rounds.state import Round
from coordinator.scoring.scores import scores_kind
from privacy import canonical
from privacy.documents import Signed, check_signer, unpack
from privacy.errors import InvalidSignature
from privacy.records import Score, Scores, SeatSum, Verdict, digest_of
from privacy.roster import Roster
from privacy.signing import Purpose

from .observe import Observer


@dataclass(frozen=True)
class Certificate:
    """Who has signed a round's cohort, seats and trainers apart."""

    seats: tuple[str, ...] = ()
    trainers: tuple[str, ...] = ()
    complete: bool = False


@dataclass(frozen=True)
class Opened:
    """What was opened about updates; none, and why, where too few signed the same.

    Attributes:
        record: what they have signed alike, all three seats or enough openers; or None.
    """

    scores: tuple[Score, ...]
    void: str
    record: Scores | None = None


@dataclass(frozen=True)
class Statements:
    """Reads what seats have signed, and takes nothing whose signature does not hold."""

    roster: Roster
    observer: Observer

    def certificate(self, current: Round) -> Certificate:
        """Return whose signatures on the cohort hold, and whether they are enough.

        Enough are three seats, or two and more than two thirds of the trainers.
        """
        if not current.cohort:
            return Certificate()
        signed = with_signatures(self.observer.store, "cohort", current.cohort)
        rules = current.rules
        seats = self._signers(signed, Purpose.CERTIFICATE, rules.seats)
        trainers = self._signers(signed, Purpose.CERTIFICATE, rules.trainers)
        believed = replace(current, certified=(*seats, *trainers))
        return Certificate(seats, trainers, certificate_is_complete(believed))

    def verdicts(self, current: Round) -> Mapping[str, Verdict]:
        """Return what each seat has said of the candidates."""
        store, found = self.observer.store, {}
        for each in current.judged:
            signed = unpack(store.document("verdict", each.verdict))
            if self._holds(signed, Purpose.VERDICT, each.seat):
                found[each.seat] = canonical.decode(signed.body, Verdict)
        return found

    def sums(self, current: Round) -> Mapping[str, SeatSum]:
        """Return the statements that the round's sum was taken from, by seat."""
        counted = {each.statement: each.seat for each in current.stated}
        found = {}
        for signed in self._kept("seat-sum"):
            stated = canonical.decode(signed.body, SeatSum)
            seat = counted.get(digest_of(stated))
            if seat and seat not in current.liars and self._holds(signed, Purpose.SEAT_SUM, seat):
                found[seat] = stated
        return found

    def scores(self, current: Round) -> Opened:
        """Return what all three seats, or enough openers, have signed alike; or why there is none.

        Openers are enough if as many as must agree on a model have signed what the round says.
        """
        seats = current.rules.seats
        if not seats:
            return self._by_openers(current)
        kept = [
            each for each in self._kept(scores_kind(current.number)) if self._is_of(current, each)
        ]
        there = {name for each in kept for name in self._signers(each, Purpose.SCORES, seats)}
        missing = [name for name in seats if name not in there]
        said = [canonical.decode(body, Scores) for body in sorted({each.body for each in kept})]
        if len(said) == 1 and not missing:
            return Opened(said[0].scores, said[0].void, said[0])
        reasons = [each.void for each in said if each.void]
        unsigned = f"not signed by {' and '.join(missing)}" if missing else "signed differently"
        return Opened((), "; ".join([unsigned, *reasons]))

    def _by_openers(self, current: Round) -> Opened:
        rules, alike, said = current.rules, set[str](), list[Scores]()
        for each in self._kept(scores_kind(current.number)):
            record = canonical.decode(each.body, Scores)
            if digest_of(record) == current.scores and self._is_of(current, each):
                alike |= {*self._signers(each, Purpose.SCORES, rules.openers)}
                said = [record]
        if not said or len(alike) < rules.agreement:
            return Opened((), f"signed alike by {len(alike)} of {rules.agreement} openers")
        return Opened(said[0].scores, said[0].void, said[0])

    def _is_of(self, current: Round, signed: Signed) -> bool:
        said = canonical.decode(signed.body, Scores)
        return (said.plan, said.cohort) == (current.plan, current.cohort)

    def _kept(self, kind: str) -> Iterator[Signed]:
        return (unpack(body) for _, body in self.observer.store.documents(kind))

    def _signers(self, signed: Signed, purpose: Purpose, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if self._holds(signed, purpose, name))

    def _holds(self, signed: Signed, purpose: Purpose, name: str) -> bool:
        try:
            check_signer(signed, purpose, name, self.roster.member(name).signing_key)
        except InvalidSignature:
            return False
        return True
