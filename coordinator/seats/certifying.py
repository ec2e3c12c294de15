"""The certificate of a cohort: signatures of seats and trainers, gathered one by one."""

from dataclasses import dataclass

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds import round as machine
from coordinator.rounds.seated import CohortSigned
from coordinator.rounds.standing import Rounds
from privacy.identifiers import Digest
from privacy.signing import Purpose, verify

log = structlog.get_logger()


@dataclass(frozen=True)
class Certifying:
    """Takes what members sign for a cohort; of each member once."""

    rounds: Rounds
    archive: Archive
    rosters: Rosters

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
            roster = self.rosters.under(self.archive.plan(number).terms.roster)
            key = roster.member(caller).signing_key
            verify(key, Purpose.CERTIFICATE, body, signature)
            if caller in current.certified:
                return  # a retry: the answer to the first was lost
            self.archive.keep_signature("cohort", cohort, caller, signature)
            self.rounds.failpoints.hit("seats.after_certificate")
            self.rounds.apply(number, event)
        log.info("cohort_certified", round=number, participant=caller)
