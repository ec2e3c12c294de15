"""Sealed models and their releases: stored for those who can open them."""

from dataclasses import dataclass

import structlog

from coordinator import object_names as names
from coordinator.announced import check_chunk
from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore
from coordinator.rounds import round as machine
from coordinator.rounds import verify
from coordinator.rounds.moving import Moving
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    NotYet,
    WrongContext,
)
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import Release, SealedModel, Wraps, digest_of, release_of
from privacy.roster import Roster

from .model_upload import ModelUpload

log = structlog.get_logger()


@dataclass(frozen=True)
class Models:
    """What openers do once they have opened the sum, and what members fetch of it."""

    rounds: Rounds
    archive: Archive
    objects: ObjectStore
    rosters: Rosters
    moving: Moving

    # -- a model that is sent ------------------------------------------------------

    def begin(self, sender: str, signed: Signed) -> SealedModel:
        """Return the verified envelope of a model that the sender is about to store."""
        number = canonical.decode(signed.body, SealedModel).round
        current = self._require_opening(number)
        plan = self.archive.plan(number)
        sealed = verify.envelope(
            signed, sender, current.sum, plan, self.rosters.under(plan.terms.roster)
        )
        # Asked before anything is stored, so that models out of turn fill no disk.
        machine.step(current, _sealing(sealed, current, plan))
        return sealed

    def find(self, upload: ModelUpload) -> bool:
        """Take the next chunk of an upload from what is stored, if it is there as announced."""
        sealed = upload.sealed
        if upload.came == sealed.chunks:
            return False
        try:
            payload = self.objects.get(_name_of(sealed, upload.came))
            upload.check(payload)
        except (NotYet, MalformedMessage):
            return False  # not there, or damaged: it is sent again
        upload.take(payload)
        # What was here before is work, and nothing new has come of it.
        self.rounds.progress.worked(sealed.round)
        return True

    def put_next(self, upload: ModelUpload, payload: bytes) -> int:
        """Store the next chunk of an upload; return how many are durable.

        Raises:
            MalformedMessage: it is not the next one; what came is deleted, unless its digests
                were announced, and the model must be sent again.
            IllegalEvent: the round has ended, and its models are erased.
        """
        try:
            upload.check(payload)
        except MalformedMessage:
            self._drop_unannounced(upload)
            raise
        digest = upload.announced.of(0, upload.came)
        self.put_chunk(upload.sealed, upload.came, payload, digest)
        self.rounds.failpoints.hit("models.after_chunk")
        upload.take(payload)
        return upload.came

    def finish_upload(self, upload: ModelUpload) -> None:
        """Count an upload, all of which came; as `finish`.

        Raises:
            MalformedMessage: it is not what its envelope says; deleted as for `put_next`.
        """
        if not upload.is_whole():
            self._drop_unannounced(upload)
            sealer = upload.sealed.sealer
            raise MalformedMessage(f"{sealer}: chunks that do not hash to what the envelope says")
        self.finish(upload.sealed, upload.signed)

    def _drop_unannounced(self, upload: ModelUpload) -> None:
        # What was announced is right as far as it came, and goes on from there: another process
        # that still believes that it leads must not take it away from the one that does.
        if not upload.announced.has_begun():
            self.drop(upload.sealed)

    def put_chunk(
        self, sealed: SealedModel, chunk: int, payload: bytes, digest: bytes | None = None
    ) -> None:
        """Store one chunk of a sealed model.

        Args:
            digest: of the chunk, if its sender announced it: it then replaces any other bytes.

        Raises:
            IllegalEvent: the round has ended, and its models are erased.
            MalformedMessage: it is not the one that was announced.
            ConflictingContribution: another was stored, and none was announced.
        """
        self._require_opening(sealed.round)
        check_chunk(sealed.sealer, chunk, payload, digest)
        try:
            self.objects.put(_name_of(sealed, chunk), payload)
        except ConflictingContribution:
            if digest is None:
                raise
            self.objects.mend(_name_of(sealed, chunk), payload)
        self.rounds.progress.came_of_it(sealed.round)

    def drop(self, sealed: SealedModel) -> None:
        """Delete the chunks of a model that is not what its envelope says."""
        # The same envelope may have arrived before, whole.
        if self.rounds.get(sealed.round).sealed_model != digest_of(sealed):
            self.objects.delete_prefix(names.model(sealed.round, digest_of(sealed)))

    def finish(self, sealed: SealedModel, signed: Signed) -> None:
        """Make a stored model the one that openers are asked to agree on.

        Raises:
            NotYet: a chunk of it is not stored; send it again.
        """
        number, name = sealed.round, digest_of(sealed)
        # Before the lock: no round moves while it is held, and a bucket may take a minute.
        self._require_stored(sealed)
        with self.rounds.lock:
            current, plan = self.rounds.get(number), self.archive.plan(number)
            release = release_of(sealed, current.cohort, plan.terms.model)
            self.archive.keep("model", name, signed)
            self.archive.keep("release", digest_of(release), Signed(canonical.encode(release), {}))
            self.rounds.apply(number, _sealing(sealed, current, plan))

    def _require_stored(self, sealed: SealedModel) -> None:
        number, name = sealed.round, digest_of(sealed)
        there = set(self.objects.names(names.model(number, name)))
        for chunk in range(sealed.chunks):
            if names.model_chunk(number, name, chunk) not in there:
                raise NotYet(f"round {number}: chunk {chunk} of the model is not here")

    def _require_opening(self, number: int) -> Round:
        current = self.rounds.get(number)
        if current.phase is not Phase.OPENING:
            raise IllegalEvent(f"round {number} is {current.phase}: no model is waited for")
        return current

    # -- a model that is fetched ---------------------------------------------------

    def envelope(self, number: int) -> Signed:
        """Return the envelope of the round's sealed model.

        Raises:
            NotYet: there is none.
        """
        current = self.rounds.get(number)
        if not current.sealed_model:
            raise NotYet(f"round {number} has no sealed model yet")
        return self.archive.document("model", current.sealed_model)

    def chunk(self, caller: str, number: int, chunk: int) -> bytes:
        """Return one chunk of the round's sealed model.

        Raises:
            IllegalEvent: a later round has released a model, and this one is not kept any more.
        """
        current = self.rounds.get(number)
        name = names.model_chunk(number, current.sealed_model, chunk)
        if self._is_superseded(current) and not self.objects.exists(name):
            raise IllegalEvent(f"the model of round {number} is not kept any more; ask for newer")
        payload = self.objects.get(name)
        # Others fetch it too, for as long as they like; only openers decide on it.
        if current.phase is Phase.OPENING and caller in current.waits_for():
            self.moving.given(number, caller, f"model {current.sealed_model}", chunk)
        return payload

    def _is_superseded(self, current: Round) -> bool:
        rounds = self.rounds.all().items()
        return current.phase is Phase.DONE and any(
            number > current.number and each.phase is Phase.DONE for number, each in rounds
        )

    # -- wraps made later ----------------------------------------------------------

    def add_wraps(self, sender: str, signed: Signed) -> None:
        """Keep the wraps that a trainer made of a released model's key, for who has none.

        Raises:
            NotYet, IllegalEvent: the round has not released a model, or never will.
            ConflictingContribution: the sender has made other wraps for this roster; those stand.
        """
        current = self.rounds.get(canonical.decode(signed.body, Wraps).round)
        if not current.is_over():
            raise NotYet(f"round {current.number} is {current.phase}: its model is not released")
        if current.phase is not Phase.DONE:
            raise IllegalEvent(f"round {current.number} is aborted: it has no model to wrap")
        made = verify.wraps(signed, sender, current.sealed_model, self.rosters.current())
        self.archive.keep(_wraps_of(made.sealed_model), f"{sender}-{made.roster}", signed)
        log.info("wraps_added", round=current.number, maker=sender, count=len(made.wraps))

    def later_wraps(self, number: int) -> list[Signed]:
        """Return the wraps that were made of a round's model after it was sealed."""
        return self.archive.all_of(_wraps_of(self.rounds.get(number).sealed_model))

    # -- its release ---------------------------------------------------------------

    def sign_release(self, sender: str, signed: Signed) -> None:
        """Take an opener's signature on the release of a round."""
        release = verify.release(signed, sender, self._roster_of_release(signed))
        number, name = release.round, digest_of(release)
        if name != self.rounds.get(number).release:
            raise WrongContext(f"round {number}: {sender} signs another release")
        event = machine.ReleaseSigned(sender, name)
        # An aborted round must not gather the signatures that would make it count.
        machine.step(self.rounds.get(number), event)
        self.archive.keep_signature("release", name, sender, signed.signatures[sender])
        self.rounds.apply(number, event)

    def _roster_of_release(self, signed: Signed) -> Roster:
        number = canonical.decode(signed.body, Release).round
        if not self.archive.has_plan(number):
            return self.rosters.current()
        return self.rosters.under(self.archive.plan(number).terms.roster)

    def release(self, number: int) -> Signed:
        """Return the release of a round, with the signatures it has.

        Raises:
            NotYet: there is none.
        """
        current = self.rounds.get(number)
        if not current.release:
            raise NotYet(f"round {number} has no release yet")
        return self.archive.with_signatures("release", current.release)

    # -- the end -------------------------------------------------------------------

    def erase_unreleased(self, number: int) -> None:
        """Delete every model that was sent for a round that is over, but the released one."""
        current = self.rounds.get(number)
        is_released = current.phase is Phase.DONE
        released = names.model(number, current.sealed_model) if is_released else ""
        for name in self.objects.names(names.models(number)):
            if not (released and name.startswith(released)):
                self.objects.delete_prefix(name)


def _name_of(sealed: SealedModel, chunk: int) -> str:
    return names.model_chunk(sealed.round, digest_of(sealed), chunk)


def _wraps_of(sealed_model: Digest) -> str:
    return f"wraps-{sealed_model}"


def _sealing(sealed: SealedModel, current: Round, plan: Plan) -> machine.ModelSealed:
    release = release_of(sealed, current.cohort, plan.terms.model)
    return machine.ModelSealed(sealed.sealer, digest_of(sealed), digest_of(release))
