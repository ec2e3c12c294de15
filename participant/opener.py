"""An opener's part of a round: keys made and vouched for, one sum opened, one model agreed on."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from privacy import canonical
from privacy.errors import InvalidSignature, NotYet, OpeningRefused
from privacy.failpoints import Failpoints
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import KeyRecord, KeySpecification, digest_of, release_of
from privacy.roster import Roster
from privacy.sealing import Entropy
from privacy.signing import Purpose, sign
from privacy.vectors import Shapes, model_digest

from . import agree as agreement
from . import keying
from . import policy as policies
from . import reveal as opening
from .apply import apply
from .config import SiteConfig
from .coordinator import Coordinator
from .keys import SiteKeys
from .memory import Memory
from .planned import planned
from .reveal import Frozen
from .sign import sign as sign_record
from .worker import Worker


@dataclass(frozen=True)
class Opening:
    """What this opener made of a round: of one cohort's one sum, under one plan."""

    plan: Plan
    frozen: Frozen
    model: Digest
    vector: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Opener:
    """What a site does as an opener; `openings` is what it has made, by round."""

    config: SiteConfig
    keys: SiteKeys = field(repr=False)
    entropy: Entropy
    failpoints: Failpoints
    coordinator: Coordinator
    worker: Worker
    memory: Memory
    roster: Roster
    shapes: Shapes
    openings: dict[int, Opening]

    async def make_key(self, number: int) -> None:
        """Make the round's key, and offer it sealed to each opener."""
        state = await self.coordinator.key(number)
        wanted = canonical.decode(state.specification, KeySpecification)
        policies.check_specification(wanted, self.config.policy, self.roster)
        self.failpoints.hit("keying.before_make")
        key = await self.worker.make_key(keying.parameters_of(wanted))
        me = self.config.participant
        record, sealed = keying.seal_key(number, me, wanted, self.roster, key.public, key.secret)
        signed = sign_record(record, me, self.keys.signing)
        self.failpoints.hit("keying.before_offer")
        await self.coordinator.offer_key(signed, key.public, sealed)

    async def vouch_for_key(self, number: int, wanted: Digest) -> None:
        """Check the key that another opener made, and sign its record.

        Raises:
            NotYet: there is another key by now.
        """
        record, public_key, secret = await self._key_with_secret(number)
        if digest_of(record) != wanted:
            raise NotYet(f"round {number} has another key by now")
        policies.check_specification(record.specification, self.config.policy, self.roster)
        keying.check_recipients(record)
        parameters = keying.parameters_of(record.specification)
        await self.worker.check_key(parameters, public_key, secret)
        self.failpoints.hit("keying.before_vouch")
        signature = sign(self.keys.signing, Purpose.KEY_RECORD, canonical.encode(record))
        try:
            await self.coordinator.sign_key(number, signature)
        except InvalidSignature:
            # The key was replaced while it was checked: nothing is wrong with the new one.
            raise NotYet(f"round {number} has another key by now") from None

    async def _key_with_secret(self, number: int) -> tuple[KeyRecord, bytes, bytes]:
        state = await self.coordinator.key(number)
        if state.record is None:
            raise NotYet(f"round {number} has no key yet")
        record = keying.check_record(state.record, number, state.public_key, self.roster)
        secret = keying.unseal(
            record,
            state.sealed_secret,
            self.config.participant,
            self.keys.sealing,
            self.roster,
        )
        return record, state.public_key, secret

    async def open_sum(self, number: int) -> None:
        """Open the one sum of the round that this site will ever open, and make the model."""
        plan = await planned(self.coordinator, self.roster, number)
        policies.check_round(plan, self.config.policy, self.roster)
        cohort, headers = await self.coordinator.cohort(number)
        manifest, chunks = await self.coordinator.sum(number)
        frozen = opening.check(plan, self.config.policy, self.roster, cohort, headers, manifest)
        self.failpoints.hit("reveal.before_record")
        self.memory.opens(number, digest_of(frozen.cohort), digest_of(frozen.sum))
        record, _, secret = await self._key_with_secret(number)
        keying.check_planned(record, plan)
        total = await self.worker.reveal(plan, frozen, secret, chunks)
        model = self.memory.model(plan.terms.model)
        if model is None:
            raise NotYet(f"the model that round {number} started from is not here yet")
        vector = apply(plan, model, total, len(frozen.cohort.entries))
        digest = model_digest(self.shapes, vector)
        self.openings[number] = Opening(plan, frozen, digest, vector)
        self.memory.keep_model(digest, vector)

    async def seal(self, number: int) -> None:
        """Seal the model that this opener made, to every trainer."""
        # Never the coordinator's plan of this moment: the one under which the sum was opened.
        made = self.openings[number]
        self.failpoints.hit("agree.before_seal")
        envelope, chunks = agreement.seal_model(
            made.plan,
            self.roster,
            digest_of(made.frozen.sum),
            self.config.participant,
            made.model,
            made.vector,
            self.entropy,
        )
        signed = sign_record(envelope, self.config.participant, self.keys.signing)
        await self.coordinator.put_model(signed, chunks)
        self.failpoints.hit("agree.after_seal")

    async def agree(self, number: int) -> None:
        """Sign the release, if what was sealed is the model that this opener made.

        Raises:
            OpeningRefused: it is another; the openers disagree.
        """
        made = self.openings[number]
        plan, frozen = made.plan, made.frozen
        signed, chunks = await self.coordinator.model(number)
        envelope = agreement.check_envelope(signed, plan, digest_of(frozen.sum), self.roster)
        agreement.open_model(
            envelope, chunks, self.config.participant, self.keys.sealing, self.shapes
        )
        if envelope.model != made.model:
            raise OpeningRefused(
                f"round {number}: {envelope.sealer} sealed model {envelope.model[:16]}…, this "
                f"opener made {made.model[:16]}…; the openers disagree"
            )
        release = release_of(envelope, digest_of(frozen.cohort), plan.terms.model)
        self.memory.signs(number, digest_of(release))
        self.failpoints.hit("agree.before_sign")
        signed_release = sign_record(release, self.config.participant, self.keys.signing)
        await self.coordinator.sign_release(signed_release)
