"""State the product of this site's update with the released step, once, sealed to the openers."""

import asyncio
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.model.adopt import Adopter
from participant.model.released import Released
from participant.sending.sign import sign
from participant.training.worker import Worker
from participant.wire.coordinator import Coordinator
from participant.wire.score_calls import ScoreCalls
from privacy import canonical
from privacy.contribution.sealed_products import Scored, seal_product
from privacy.documents import Signed, check_signer
from privacy.errors import IllegalEvent, WrongContext
from privacy.failpoints import Step
from privacy.identifiers import COORDINATOR
from privacy.records import Cohort
from privacy.signing import Purpose

from .kept_update import Keeper, KeptUpdate


@dataclass(frozen=True)
class Stating:
    """What a trainer does for the scores of a round that it is in."""

    participant: str
    key: Ed25519PrivateKey = field(repr=False)
    coordinator: Coordinator
    worker: Worker
    keeper: Keeper
    adopter: Adopter
    step: Step

    async def state(self, number: int) -> None:
        """State this site's product: the one that it has stated before, if it has.

        Raises:
            ConfigError: the update is not here any more.
            WrongContext: this site is not in the cohort, or the released model is not there.
            OpeningRefused, InvalidSignature, PolicyRefusal: as for `Adopter.adopt`.
        """
        kept = self.keeper.kept(number)
        stated = kept.statement() or await self._make(number, kept)
        self.step("scoring.before_send")
        await ScoreCalls(self.coordinator).put_product(*stated)

    async def _make(self, number: int, kept: KeptUpdate) -> tuple[Signed, tuple[bytes, ...]]:
        found = await self._released(number)
        cohort = await cohort_of(self.coordinator, found)
        if all(entry.participant != self.participant for entry in cohort.entries):
            raise WrongContext(f"round {number}: this site is not in its cohort")
        plan, release = found.plan, found.release
        scored, entropy = Scored(plan, cohort, release), self.keeper.entropy
        sealing = self.keeper.sealing(plan)
        product = await self.worker.multiply(plan, sealing, len(cohort.entries), release.model)
        made = await asyncio.to_thread(
            seal_product, scored, found.roster, self.participant, product, entropy
        )
        stated = sign(made.stated, self.participant, self.key), made.seals
        self.step("scoring.before_keep")
        # Durable before a byte of it leaves: there is one statement of a round, ever.
        kept.state(*stated)
        return stated

    async def _released(self, number: int) -> Released:
        try:
            return await self.adopter.fetch(number)
        except IllegalEvent as error:
            # Not a matter of time: the coordinator keeps no old models.
            raise WrongContext(f"round {number}: its scores are void: {error}") from error


async def cohort_of(coordinator: Coordinator, found: Released) -> Cohort:
    """Return the cohort that the coordinator shows of a release's round; `Scored` compares it.

    Raises:
        InvalidSignature: the coordinator has not signed it.
    """
    signed, _ = await coordinator.cohort(found.release.round)
    check_signer(signed, Purpose.COHORT, COORDINATOR, found.roster.coordinator_key)
    return canonical.decode(signed.body, Cohort)
