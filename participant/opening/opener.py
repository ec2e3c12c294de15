"""An opener's part of a round: keys made and vouched for, one sum opened, one model agreed on."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from participant.config import SiteConfig
from participant.keys import SiteKeys
from participant.ledger.peers import Peers
from participant.memory import Memory
from participant.model.models import Models
from participant.policy import plans as policies
from participant.sending.masking import open_masks
from participant.sending.sign import sign as sign_record
from participant.training.worker import Worker
from participant.wire.coordinator import Coordinator
from participant.wire.fetch import fetch_model, fetch_sum
from participant.wire.planned import planned
from participant.wire.seat_calls import SeatCalls
from participant.wire.whole import Whole
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    NotYet,
    OpeningRefused,
    ProtocolError,
    StoreUnavailable,
    Unavailable,
    VeilsumError,
)
from privacy.failpoints import Failpoints
from privacy.identifiers import Digest
from privacy.plan import SHARES, Plan
from privacy.records import (
    Contribution,
    KeyRecord,
    KeySpecification,
    SealedModel,
    digest_of,
    release_of,
)
from privacy.roster import Roster
from privacy.sealing import Entropy
from privacy.signing import Purpose, sign
from privacy.vectors import ModelDigest, Shapes

from . import agree as agreement
from . import keying
from . import reveal as opening
from .frozen import Frozen
from .seat_sums import SeatSums, agreeing
from .spool import FOLDER, erase, erase_sealed, own_envelope


@dataclass(frozen=True)
class Opening:
    """What this opener made of a round: of one cohort's one sum, under one plan."""

    plan: Plan
    frozen: Frozen
    model: Digest


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
    peers: Peers
    models: Models
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
        self.memory.vouches(number, record.public_key)
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
        self.memory.vouches(number, record.public_key)
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
        if not self.models.holds(plan.terms.model):
            raise NotYet(f"the model that round {number} started from is not here yet")
        cohort, headers = await self.coordinator.cohort(number)
        if plan.arithmetic.scheme == SHARES:
            await self._open_shares(plan, cohort, headers)
        else:
            await self._open_ckks(plan, cohort, headers)

    async def _open_ckks(self, plan: Plan, cohort: Signed, headers: Sequence[Signed]) -> None:
        number, seen = plan.terms.round, self.peers.seen()

        def check(manifest: Signed) -> Frozen:
            limits, roster = self.config.policy, self.roster
            return opening.check(plan, limits, roster, cohort, headers, manifest, seen)

        place = self.config.state / FOLDER
        frozen, spool = await fetch_sum(self.coordinator, plan, check, place, self.failpoints.hit)
        await self.peers.record(headers)
        self.failpoints.hit("reveal.before_record")
        self.memory.opens(number, digest_of(frozen.cohort), digest_of(frozen.sum))
        self.failpoints.hit("reveal.after_record")
        record, _, secret = await self._key_with_secret(number)
        keying.check_planned(record, plan)
        masks = await self._masks(plan, headers)
        try:
            model = await self.worker.reveal(plan, frozen, secret, masks, spool.folder)
            if plan.terms.scheme.releases():
                # Before the sum is erased: nobody opens it a second time to judge products.
                self.memory.measures(number, model, await self.worker.measure_sum())
        except Unavailable:
            raise  # it is opened again, from the same chunks
        except VeilsumError:
            spool.erase()
            raise
        self.failpoints.hit("reveal.after_open")
        self.openings[number] = Opening(plan, frozen, model)
        spool.erase()

    async def _open_shares(self, plan: Plan, cohort: Signed, headers: Sequence[Signed]) -> None:
        number, calls = plan.terms.round, SeatCalls(self.coordinator)
        async with self.coordinator.sum(number) as (manifest, _):
            limits, roster, seen = self.config.policy, self.roster, self.peers.seen()
            frozen = opening.check(plan, limits, roster, cohort, headers, manifest, seen)
        await self.peers.record(headers)
        stated = agreeing(plan, frozen, await calls.sums(number), self.roster)
        self.failpoints.hit("reveal.before_record")
        # Before the first key is unwrapped: whoever has all three could open the sum.
        self.memory.opens(number, digest_of(frozen.cohort), digest_of(frozen.sum))
        self.failpoints.hit("reveal.after_record")
        me, pair, place = self.config.participant, self.keys.sealing, self.config.state / FOLDER
        fetching = SeatSums(calls, plan, frozen, me, pair, place, self.failpoints.hit)
        sums = await fetching.fetch(stated)
        try:
            model = await self.worker.reveal_shares(plan, frozen, sums)
        except Unavailable:
            raise  # it is opened again, from the same chunks
        except VeilsumError:
            erase(place, frozen.sum)
            raise
        self.failpoints.hit("reveal.after_open")
        self.openings[number] = Opening(plan, frozen, model)
        erase(place, frozen.sum)

    async def _masks(self, plan: Plan, headers: Sequence[Signed]) -> tuple[bytes, ...]:
        """Return the secrets of the masks of a cohort whose headers have been checked."""
        contributions = [canonical.decode(signed.body, Contribution) for signed in headers]
        seals = await self.coordinator.masks(plan.terms.round, len(contributions))
        me, pair = self.config.participant, self.keys.sealing
        return open_masks(plan, contributions, seals, me, pair)

    async def seal(self, number: int) -> None:
        """Seal the model that this opener made, to every trainer."""
        # Never the coordinator's plan of this moment: the one under which the sum was opened.
        made = self.openings[number]
        self.failpoints.hit("agree.before_seal")
        envelope, sealed = await asyncio.to_thread(self._sealed, made)
        signed = sign_record(envelope, self.config.participant, self.keys.signing)
        await self.coordinator.put_model(signed, self._going(sealed))
        self.failpoints.hit("agree.after_seal")

    def _sealed(self, made: Opening) -> tuple[SealedModel, agreement.Resealed]:
        """Return the envelope of the model and what gives its chunks: the same in each process."""
        kept = own_envelope(self.config.state / FOLDER, made.plan.terms.round)
        envelope = kept.load()
        if envelope is not None and self._is_of(envelope, made):
            with suppress(ProtocolError, StoreUnavailable):
                return envelope, self._again(envelope, made)
        envelope, _ = agreement.seal_model(
            made.plan,
            self.roster,
            digest_of(made.frozen.sum),
            self.config.participant,
            made.model,
            lambda: self.models.chunks(made.model),
            self.entropy,
        )
        # Before a byte of it goes: who is killed then seals to the same bytes, and goes on.
        kept.keep(envelope)
        return envelope, self._again(envelope, made)

    def _again(self, envelope: SealedModel, made: Opening) -> agreement.Resealed:
        me, pair = self.config.participant, self.keys.sealing
        return agreement.seal_again(envelope, me, pair, lambda: self.models.chunks(made.model))

    def _is_of(self, envelope: SealedModel, made: Opening) -> bool:
        terms, total = made.plan.terms, digest_of(made.frozen.sum)
        found = (envelope.federation, envelope.round, envelope.plan, envelope.sum)
        expected = (terms.federation, terms.round, made.plan.digest(), total)
        sealed = (envelope.model, envelope.roster, envelope.sealer)
        mine = (made.model, self.roster.digest(), self.config.participant)
        return found == expected and sealed == mine

    def _going(self, sealed: agreement.Resealed) -> Whole[bytes]:
        def chunks(first: int) -> Iterator[bytes]:
            for chunk in sealed.after(first):
                self.failpoints.hit("agree.in_upload")
                yield chunk

        return Whole(lambda: sealed.digests, chunks)

    async def agree(self, number: int) -> None:
        """Sign the release, if what was sealed is the model that this opener made.

        Raises:
            OpeningRefused: it is another; the openers disagree.
        """
        made = self.openings[number]
        plan, frozen = made.plan, made.frozen

        def check(signed: Signed) -> SealedModel:
            envelope = agreement.check_envelope(signed, plan, digest_of(frozen.sum), self.roster)
            if envelope.model != made.model:
                raise OpeningRefused(
                    f"round {number}: {envelope.sealer} sealed model {envelope.model[:16]}…, "
                    f"this opener made {made.model[:16]}…; the openers disagree"
                )
            return envelope

        me, pair = self.config.participant, self.keys.sealing
        digest = ModelDigest(self.shapes)
        place = self.config.state / FOLDER
        envelope = await fetch_model(self.coordinator, number, check, me, pair, digest, place=place)
        release = release_of(envelope, digest_of(frozen.cohort), plan.terms.model)
        self.memory.signs(number, digest_of(release))
        self.failpoints.hit("agree.before_sign")
        signed_release = sign_record(release, self.config.participant, self.keys.signing)
        await self.coordinator.sign_release(signed_release)
        erase_sealed(place, number)
