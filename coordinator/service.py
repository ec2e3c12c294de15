"""The rounds: load, step, save, then carry out effects.

Everything here is synchronous and runs in threads; one lock makes each step a
unit. State and effects are saved in one transaction; an effect is carried out as
often as it takes, so a crash at any point is a resume.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed, check_signer, pack, unpack
from privacy.errors import (
    CohortTooSmall,
    ConflictingContribution,
    IllegalEvent,
    MalformedMessage,
    NotYet,
    RootMismatch,
    WrongContext,
)
from privacy.failpoints import Failpoints
from privacy.identifiers import COORDINATOR
from privacy.plan import Plan
from privacy.records import (
    PURPOSES,
    Cohort,
    Contribution,
    Receipt,
    Record,
    Release,
    SealedModel,
    digest_of,
    release_of,
)
from privacy.roster import Roster
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.signing import Purpose, sign

from . import close, programme, publish, verify
from . import object_names as names
from . import plan as planning
from . import round as machine
from .accept import Offset, Uploads
from .aggregate import aggregate
from .config import Settings
from .ports import ObjectStore, Store
from .progress import Progress
from .rosters import Rosters
from .round import Phase, Round, Rules

log = structlog.get_logger()

_ERROR_CODE: Final = re.compile(r"[a-z][a-z_]{0,63}")


@dataclass
class Service:
    """The coordinator's application: what the transport may ask of it."""

    settings: Settings
    store: Store
    objects: ObjectStore
    rosters: Rosters
    signing_key: Ed25519PrivateKey = field(repr=False)
    now: Callable[[], float]
    progress: Progress
    failpoints: Failpoints

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._rounds: dict[int, Round] = {}
        self._revisions: dict[int, int] = {}
        self._uploads_of: dict[int, Uploads] = {}
        self._listeners: list[Callable[[], None]] = []
        self.revision = 1
        for number in self.store.round_numbers():
            self._load(number)
        self._since = max(self._rounds, default=0)
        self._said_halted = False

    # -- what everybody may know -------------------------------------------------

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from any thread, whenever a round has changed."""
        self._listeners.append(listener)

    def rounds(self) -> Mapping[int, Round]:
        """Return every round, by number, as of the last one saved; waits for nothing."""
        return self._rounds

    def roster(self) -> Roster:
        """Return the roster that members have admitted.

        Raises:
            NotYet: the founding members have not all signed.
        """
        return self.rosters.current()

    def finished(self) -> bool:
        """Return whether the programme has every model it wanted."""
        return programme.is_over(self.rounds(), self.settings.rounds.wanted)

    def halted(self) -> bool:
        """Return whether the operator must look: round after round was aborted.

        A restart of the coordinator is the operator's word to go on.
        """
        return programme.halted(self.rounds(), self._since)

    def announce(self) -> None:
        """Tell those who watch that there is something new to see."""
        self.revision += 1
        for listener in self._listeners:
            listener()

    def worked(self, participant: str, number: int) -> None:
        """Note that a member works for a round, if the round waits for it."""
        current = self.rounds().get(number)
        if current is not None and participant in current.waits_for():
            self.progress.worked(number)

    # -- keying ------------------------------------------------------------------

    def key(self, number: int) -> tuple[Signed, bytes]:
        """Return the key record of a round and the public key it names.

        Raises:
            NotYet: no opener has offered one.
        """
        current = self._round(number)
        if not current.key_record:
            raise NotYet(f"round {number}: {current.whose_turn()} makes the key")
        return self._key_document(current), self.objects.get(
            names.public_key(number, current.key_record)
        )

    def sealed_secret(self, number: int, opener: str) -> bytes:
        """Return the round's secret, sealed to one opener; empty if there is none for it."""
        current = self._round(number)
        if not current.key_record or opener not in current.rules.openers:
            return b""
        return self.objects.get(names.sealed_secret(number, current.key_record, opener))

    def key_specification(self, number: int) -> bytes:
        """Return what the key of a round must be made for, in canonical form."""
        self._round(number)
        return canonical.encode(planning.key_specification(self.settings, self.roster()))

    def offer_key(
        self, sender: str, signed: Signed, public_key: bytes, sealed: tuple[bytes, ...]
    ) -> None:
        """Take the key that an opener made for its turn."""
        specification = planning.key_specification(self.settings, self.roster())
        record = verify.key_offer(signed, sender, public_key, sealed, specification, self.roster())
        name = digest_of(record)
        # Asked before anything is stored, so that keys out of turn fill no disk.
        machine.step(self._round(record.round), machine.KeyOffered(sender, name))
        self.objects.put(names.public_key(record.round, name), public_key)
        for opener, secret in zip(specification.openers, sealed, strict=True):
            self.objects.put(names.sealed_secret(record.round, name, opener), secret)
        self.store.put_document("key", name, pack(Signed(signed.body, {})))
        self._keep_signature("key", name, sender, signed.signatures[sender])
        self.apply(record.round, machine.KeyOffered(sender, name))

    def sign_key(self, sender: str, number: int, signature: bytes) -> None:
        """Take an opener's signature on the round's key record."""
        current = self._round(number)
        stored = self._key_document(current)
        signed = Signed(stored.body, {sender: signature})
        member = self.roster().member(sender)
        check_signer(signed, Purpose.KEY_RECORD, sender, member.signing_key)
        machine.step(current, machine.KeySigned(sender, current.key_record))
        self._keep_signature("key", current.key_record, sender, signature)
        self.apply(number, machine.KeySigned(sender, current.key_record))

    def refuse(self, sender: str, number: int, code: str) -> None:
        """Take an opener's word that the key, or the sum, is not what it must be.

        Raises:
            MalformedMessage: `code` has not the form of an error code, and is not logged.
        """
        if _ERROR_CODE.fullmatch(code) is None:
            raise MalformedMessage(f"{sender}: a refusal needs an error code: at most 64 of a-z, _")
        keying = self._round(number).phase is Phase.KEYING
        self.apply(
            number, machine.KeyRefused(sender) if keying else machine.OpeningFailed(sender, code)
        )
        log.warning("round_refused", round=number, opener=sender, code=code)

    # -- the plan and the contributions -------------------------------------------

    def plan(self, number: int) -> tuple[Plan, bytes]:
        """Return a round's plan and the coordinator's signature on it.

        Raises:
            NotYet: it has none.
        """
        if not self._round(number).plan:
            raise NotYet(f"round {number} has no plan yet")
        plan = self._plan(number)
        return plan, self._sign(Purpose.PLAN, bytes.fromhex(plan.digest()))

    def begin(self, sender: str, signed: Signed) -> Offset:
        """Open the upload of a contribution, or find it again."""
        number = canonical.decode(signed.body, Contribution).round
        header = verify.contribution(signed, sender, self._plan(number), self.roster())
        if not self._has_committed(number, sender, digest_of(header)):
            self._require_open(number)
        is_new = self.store.upload(number, sender) is None
        offset = self._uploads(number).begin(header, pack(signed))
        if is_new:
            log.info("contribution_begun", round=number, participant=sender)
            self.progress.came_of_it(number)
        return offset

    def offset(self, sender: str, number: int) -> Offset:
        """Return how much of the sender's upload is durable."""
        return self._uploads(number).offset(sender)

    def put_chunk(self, sender: str, number: int, piece: int, chunk: int, payload: bytes) -> int:
        """Make one chunk durable, then say so."""
        self._require_open(number)
        self.failpoints.hit("accept.before_chunk")
        uploads = self._uploads(number)
        is_new = uploads.awaits(sender, piece, chunk)
        chunks = uploads.put(sender, piece, chunk, payload)
        self.failpoints.hit("accept.after_chunk")
        if is_new:  # a chunk sent again is work, and nothing has come of it
            self.progress.came_of_it(number)
        return chunks

    def commit(self, sender: str, number: int) -> Signed:
        """Count a complete contribution, once, and return its receipt."""
        entry, header = self._uploads(number).complete(sender)
        if entry not in self._round(number).committed:
            self._require_open(number)
            self.store.commit_upload(number, sender)
            self.apply(number, machine.Committed(entry))
            log.info("contribution_accepted", round=number, participant=sender)
        receipt = Receipt(
            federation=header.federation,
            round=number,
            plan=header.plan,
            participant=sender,
            contribution=entry.contribution,
        )
        return self._signed(receipt)

    # -- the cohort, the sum, the model -------------------------------------------

    def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        """Return the signed cohort and the signed header of each contribution in it."""
        current = self._round(number)
        if not current.cohort:
            raise NotYet(f"the cohort of round {number} is not frozen yet")
        headers = []
        for entry in current.committed:
            upload = self.store.upload(number, entry.participant)
            assert upload is not None  # a committed entry has its upload's row for good
            headers.append(unpack(upload.header))
        return self._document("cohort", current.cohort), headers

    def sum(self, number: int) -> Signed:
        """Return the signed manifest of the round's protected sum."""
        current = self._round(number)
        if not current.sum:
            raise NotYet(f"round {number} has no sum yet")
        return self._document("sum", current.sum)

    def sum_chunk(self, number: int, chunk: int) -> bytes:
        """Return one chunk of the protected sum."""
        return self.objects.get(names.sum_chunk(number, chunk))

    def begin_model(self, sender: str, signed: Signed) -> SealedModel:
        """Return the verified envelope of a model that the sender is about to store."""
        number = canonical.decode(signed.body, SealedModel).round
        current = self._round(number)
        if current.phase is not Phase.OPENING:
            raise IllegalEvent(f"round {number} is {current.phase}: no model is waited for")
        plan = self._plan(number)
        sealed = verify.envelope(signed, sender, current.sum, plan, self.roster())
        # Asked before anything is stored, so that models out of turn fill no disk.
        machine.step(current, _sealing(sealed, current, plan))
        return sealed

    def put_model_chunk(self, sealed: SealedModel, chunk: int, payload: bytes) -> None:
        """Store one chunk of a sealed model.

        Raises:
            IllegalEvent: the round has ended, and its models are erased.
        """
        phase = self._round(sealed.round).phase
        if phase is not Phase.OPENING:
            raise IllegalEvent(f"round {sealed.round} is {phase}: no model is waited for")
        self.objects.put(names.model_chunk(sealed.round, digest_of(sealed), chunk), payload)
        self.progress.came_of_it(sealed.round)

    def drop_model(self, sealed: SealedModel) -> None:
        """Delete the chunks of a model that is not what its envelope says."""
        # The same envelope may have arrived before, whole.
        if self._round(sealed.round).sealed_model != digest_of(sealed):
            self.objects.delete_prefix(names.model(sealed.round, digest_of(sealed)))

    def finish_model(self, sealed: SealedModel, signed: Signed) -> None:
        """Make a stored model the one that openers are asked to agree on.

        Raises:
            NotYet: a chunk of it is not stored; send it again.
        """
        with self._lock:
            current, plan = self._round(sealed.round), self._plan(sealed.round)
            name = digest_of(sealed)
            for chunk in range(sealed.chunks):
                if not self.objects.exists(names.model_chunk(sealed.round, name, chunk)):
                    raise NotYet(f"round {sealed.round}: chunk {chunk} of the model is not here")
            release = release_of(sealed, current.cohort, plan.terms.model)
            self.store.put_document("model", name, pack(signed))
            self.store.put_document(
                "release", digest_of(release), pack(Signed(canonical.encode(release), {}))
            )
            self.apply(sealed.round, _sealing(sealed, current, plan))

    def sealed_model(self, number: int) -> Signed:
        """Return the envelope of the round's sealed model."""
        current = self._round(number)
        if not current.sealed_model:
            raise NotYet(f"round {number} has no sealed model yet")
        return self._document("model", current.sealed_model)

    def model_chunk(self, number: int, chunk: int) -> bytes:
        """Return one chunk of the round's sealed model."""
        return self.objects.get(names.model_chunk(number, self._round(number).sealed_model, chunk))

    def sign_release(self, sender: str, signed: Signed) -> None:
        """Take an opener's signature on the release of a round."""
        release = verify.release(signed, sender, self.roster())
        if digest_of(release) != self._round(release.round).release:
            raise WrongContext(f"round {release.round}: {sender} signs another release")
        event = machine.ReleaseSigned(sender, digest_of(release))
        # An aborted round must not gather the signatures that would make it count.
        machine.step(self._round(release.round), event)
        self._keep_signature("release", digest_of(release), sender, signed.signatures[sender])
        self.apply(release.round, event)

    def release(self, number: int) -> Signed:
        """Return the release of a round, with the signatures it has."""
        current = self._round(number)
        if not current.release:
            raise NotYet(f"round {number} has no release yet")
        return self._with_signatures("release", current.release)

    # -- time and effects ----------------------------------------------------------

    def tick(self) -> None:
        """Move on what waits in vain, carry out what is due, keep the programme going."""
        with self._lock:
            for current in [each for each in self._rounds.values() if not each.is_over()]:
                quiet = machine.Quiet(*self.progress.quiet(current.number))
                if (current.phase, machine.Quiet) in machine.TRANSITIONS:
                    self.apply(current.number, quiet)
        self.carry_out()
        self._advance()

    def apply(self, number: int, event: machine.Event) -> Round:
        """Step a round and save it with its effects, in one transaction."""
        with self._lock:
            before = self._round(number)
            after, effects = machine.step(before, event)
            if after == before and not effects:
                return after
            self._save(after, effects)
            if isinstance(event, machine.Quiet) and after.phase is Phase.OPENING:
                self.progress.worked(number)  # a turn that passes is time for the next, no more
            else:
                self.progress.came_of_it(number)
            what = type(event).__name__
            log.info("round_stepped", round=number, what=what, phase=after.phase)
            return after

    def carry_out(self) -> None:
        """Carry out every effect that is due; each is finished only when it is done."""
        for pending in self.store.pending_effects():
            effect = machine.decode_effect(pending.body)
            self.failpoints.hit(f"effect.before_{type(effect).__name__.lower()}")
            self._carry_out(effect)
            self.failpoints.hit(f"effect.after_{type(effect).__name__.lower()}")
            self.store.finish_effect(pending.id)

    def _carry_out(self, effect: machine.Effect) -> None:
        if isinstance(effect, machine.Aggregate):
            self._aggregate(effect.round)
        elif isinstance(effect, machine.Erase):
            self.objects.delete_prefix(names.contributions(effect.round))
            # The cohort key lives for one round: nobody can ask for its secret again.
            self.objects.delete_prefix(names.keys(effect.round))
            self._erase_models(self._round(effect.round))
            self._uploads_of.pop(effect.round, None)

    def _erase_models(self, current: Round) -> None:
        number, envelope = current.number, current.sealed_model
        released = names.model(number, envelope) if current.phase is Phase.DONE else ""
        for name in self.objects.names(names.models(number)):
            if not (released and name.startswith(released)):
                self.objects.delete_prefix(name)

    def _aggregate(self, number: int) -> None:
        current = self._round(number)
        if current.phase is not Phase.AGGREGATING:
            return
        plan = self._plan(number)
        try:
            cohort = close.cohort(current, plan, self.roster())
        except CohortTooSmall as error:
            self.apply(number, machine.CohortRefused(str(error)))
            return
        combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
        try:
            root, length = aggregate(
                combiner, self.objects, number, self._roots(cohort), plan.arithmetic.chunks
            )
        except (RootMismatch, MalformedMessage, NotYet, ConflictingContribution) as error:
            log.error("contribution_lost", round=number, reason=str(error))
            self.apply(number, machine.CohortRefused(str(error)))
            return
        manifest = publish.sum_manifest(plan, cohort, root, length)
        self._put_signed("cohort", cohort)
        self._put_signed("sum", manifest)
        self.apply(number, machine.Aggregated(digest_of(cohort), digest_of(manifest)))

    def _roots(self, cohort: Cohort) -> dict[str, list[bytes]]:
        found = {upload.participant: upload for upload in self.store.uploads(cohort.round)}
        return {
            entry.participant: [row.root for row in found[entry.participant].chunks]
            for entry in cohort.entries
        }

    def _advance(self) -> None:
        if not self.rosters.is_founded():
            return
        with self._lock:
            wanted = self.settings.rounds.wanted
            for order in programme.orders(self._rounds, wanted, self._since):
                self._obey(order)
            if self.halted() and not self._said_halted:
                self._said_halted = True
                reasons = {str(n): each.reason for n, each in self._rounds.items() if each.reason}
                log.error("programme_halted", reasons=reasons)

    def _obey(self, order: programme.Order) -> None:
        if isinstance(order, programme.StartKeying):
            self._save(Round(order.round, self._rules()), ())
            self.progress.came_of_it(order.round)
        elif isinstance(order, programme.PublishPlan):
            plan = self._make_plan(order.round)
            self.apply(order.round, machine.Planned(plan.digest()))
        elif isinstance(order, programme.Abandon):
            self.apply(order.round, machine.Abandoned("the programme is over"))

    def _make_plan(self, number: int) -> Plan:
        if str(number) in dict(self.store.documents("plan")):
            return self._plan(number)  # signed before a crash: sites may have seen it
        current, last = self._rounds[number], programme.last_released(self._rounds)
        model, release = self.settings.model.initial, None
        if last:
            release = self._rounds[last].release
            model = canonical.decode(self._document("release", release).body, Release).model
        plan = planning.plan(
            self.settings, self.roster(), number, current.key_record, model, release
        )
        body = plans.pack(plan)
        self.store.put_document("plan", str(number), body)
        return plan

    def _rules(self) -> Rules:
        rounds = self.settings.rounds
        return Rules(
            openers=rounds.openers,
            trainers=tuple(member.participant for member in self.roster().trainers()),
            quorum=rounds.quorum,
            agreement=rounds.agreement,
            progress_seconds=float(rounds.deadline.progress_seconds),
            abandon_seconds=float(rounds.deadline.abandon_seconds),
        )

    # -- storage -------------------------------------------------------------------

    def _load(self, number: int) -> None:
        stored = self.store.load_round(number)
        assert stored is not None  # the number came from the store itself
        self._rounds[number] = machine.decode(stored.state)
        self._revisions[number] = stored.revision

    def _save(self, after: Round, effects: tuple[machine.Effect, ...]) -> None:
        bodies = [machine.encode_effect(effect) for effect in effects]
        self.failpoints.hit("service.before_save")
        self._revisions[after.number] = self.store.save_step(
            after.number, self._revisions.get(after.number), machine.encode(after), bodies
        )
        self.failpoints.hit("service.after_save")
        # A new mapping each time, so that who reads one needs no lock.
        self._rounds = {**self._rounds, after.number: after}
        self.announce()

    def _round(self, number: int) -> Round:
        with self._lock:
            if number not in self._rounds:
                raise NotYet(f"there is no round {number} yet")
            return self._rounds[number]

    def _require_open(self, number: int) -> None:
        phase = self._round(number).phase
        if phase is not Phase.OPEN:
            raise IllegalEvent(f"round {number} is {phase}: no contribution is taken")

    def _has_committed(self, number: int, sender: str, contribution: str) -> bool:
        entries = self._round(number).committed
        return (sender, contribution) in [(each.participant, each.contribution) for each in entries]

    def _plan(self, number: int) -> Plan:
        return plans.unpack(self.store.document("plan", str(number)))

    def _uploads(self, number: int) -> Uploads:
        with self._lock:
            if number not in self._uploads_of:
                plan = self._plan(number)
                combiner = CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
                uploads = Uploads(self.store, self.objects, number, plan, combiner, self.now)
                self._uploads_of[number] = uploads
            return self._uploads_of[number]

    def _key_document(self, current: Round) -> Signed:
        if not current.key_record:
            raise NotYet(f"round {current.number}: {current.whose_turn()} makes the key")
        return self._with_signatures("key", current.key_record)

    def _document(self, kind: str, name: str) -> Signed:
        return unpack(self.store.document(kind, name))

    def _keep_signature(self, kind: str, name: str, signer: str, signature: bytes) -> None:
        self.store.put_document(f"{kind}-signature-{name}", signer, signature)

    def _with_signatures(self, kind: str, name: str) -> Signed:
        body = self._document(kind, name).body
        return Signed(body, dict(self.store.documents(f"{kind}-signature-{name}")))

    def _put_signed(self, kind: str, record: Record) -> None:
        signed = self._signed(record)
        self.store.put_document(kind, digest_of(record), pack(signed))

    def _signed(self, record: Record) -> Signed:
        body = canonical.encode(record)
        return Signed(body, {COORDINATOR: self._sign(PURPOSES[type(record)], body)})

    def _sign(self, purpose: Purpose, body: bytes) -> bytes:
        return sign(self.signing_key, purpose, body)


def _sealing(sealed: SealedModel, current: Round, plan: Plan) -> machine.ModelSealed:
    release = release_of(sealed, current.cohort, plan.terms.model)
    return machine.ModelSealed(sealed.sealer, digest_of(sealed), digest_of(release))
