"""The candidates, and what seats say of them: whom they leave out, and why.

What a seat says counts once: the same again changes nothing, anything else is refused.
"""

from dataclasses import dataclass

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import Store
from coordinator.rounds import round as machine
from coordinator.rounds.seated import Judged
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Judgement, LeftOut, Round
from privacy import canonical
from privacy.documents import Signed, only_by, unpack
from privacy.errors import NotYet
from privacy.records import Candidates, Verdict, digest_of

from . import seat_checks as checks

log = structlog.get_logger()


@dataclass(frozen=True)
class Judging:
    """Shows seats the candidates of a round, and takes a verdict of each seat."""

    rounds: Rounds
    archive: Archive
    store: Store
    rosters: Rosters

    def candidates(self, caller: str, number: int) -> tuple[Signed, list[Signed]]:
        """Return the signed candidates of a round, and the signed header of each.

        Raises:
            WrongIdentity: the caller is no seat of the round.
            NotYet: the round is not closed.
        """
        current = self.rounds.of_seat(caller, number)
        signed, candidates = self._candidates(current)
        headers = []
        for entry in candidates.entries:
            upload = self.store.upload(number, entry.participant)
            assert upload is not None  # a candidate was committed
            headers.append(unpack(upload.header))
        return signed, headers

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
            current = self.rounds.of_seat(caller, number)
            plan, (_, candidates) = self.archive.plan(number), self._candidates(current)
            roster = self.rosters.under(plan.terms.roster)
            said = checks.verdict(signed, caller, candidates, plan, roster)
            judged = Judgement(caller, digest_of(said), said.unasked)
            if judged in current.judged:
                return  # a retry: the answer to the first was lost
            event = Judged(judged, said.candidates, _left_out(said))
            machine.step(current, event)
            # Only the signature that was checked: others beside it make it another document.
            self.archive.keep("verdict", judged.verdict, only_by(signed, caller))
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

    def _candidates(self, current: Round) -> tuple[Signed, Candidates]:
        if not current.candidates:
            raise NotYet(f"the candidates of round {current.number} are not signed yet")
        signed = self.archive.document("candidates", current.candidates)
        return signed, canonical.decode(signed.body, Candidates)


def _left_out(said: Verdict) -> tuple[LeftOut, ...]:
    return tuple(LeftOut(e.participant, said.seat, e.code, e.reason) for e in said.refused)
