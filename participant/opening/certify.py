"""Certify the cohort of a round: check it, record it, and sign it, once per round ever.

A sum under `shares` opens only with a certificate: the signatures of all three seats on the
cohort, or of two and more than two thirds of the trainers. Whoever signs one cohort of a round
signs no second one, so that a coordinator with a seat of its own has one sum of a round, and not
the difference of two.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.config import Policy
from participant.ledger.peers import Peers
from participant.memory import Memory
from participant.policy import plans as policies
from participant.wire.coordinator import Coordinator
from participant.wire.planned import planned
from participant.wire.seat_calls import SeatCalls
from privacy.errors import NotYet
from privacy.failpoints import Failpoints
from privacy.identifiers import Digest
from privacy.records import digest_of
from privacy.roster import Roster
from privacy.signing import Purpose, sign

from .frozen import check_frozen_cohort


@dataclass(frozen=True)
class Certifier:
    """What a trainer does for a round's certificate."""

    key: Ed25519PrivateKey = field(repr=False)
    policy: Policy
    roster: Roster
    memory: Memory
    peers: Peers
    coordinator: Coordinator
    failpoints: Failpoints

    async def certify(self, number: int, wanted: Digest) -> None:
        """Check the cohort of a round, and hand in this site's signature on it.

        Raises:
            NotYet: there is another cohort by now.
            OpeningRefused: this site has signed another one for the round.
            PolicyRefusal: its policy does not accept the plan.
            InvalidSignature, WrongContext, MalformedMessage, WrongIdentity, CohortTooSmall,
                PeerLedgerRolledBack: the cohort is not one that may be summed.
        """
        plan = await planned(self.coordinator, self.roster, number)
        policies.check_round(plan, self.policy, self.roster)
        signed, headers = await self.coordinator.cohort(number)
        seen = self.peers.seen()
        cohort = check_frozen_cohort(plan, self.policy, self.roster, signed, headers, seen)
        if digest_of(cohort) != wanted:
            raise NotYet(f"round {number} has another cohort by now")
        await self.peers.record(headers)
        self.memory.certifies(number, wanted)
        self.failpoints.hit("certify.before_sign")
        signature = sign(self.key, Purpose.CERTIFICATE, signed.body)
        await SeatCalls(self.coordinator).sign_cohort(number, wanted, signature)
