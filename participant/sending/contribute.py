"""Take part in one round: train, privatise, protect, sign, send.

The update never leaves the worker process in the clear. The ledger reserves all rounds that
are planned before the data is touched, and commits this one before its first byte leaves.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from participant.kept import Kept
from participant.ledger.site_ledger import SiteLedger
from participant.opening.frozen import header_kind
from participant.scoring.kept_update import Keeper
from participant.training.worker import Worker
from participant.wire.send import Sender
from privacy.distributed_sum import DistributedSum
from privacy.documents import Signed, pack
from privacy.errors import ConflictingContribution, Unavailable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.ledger import NOTHING_SENT, Noise
from privacy.mechanism import events_of
from privacy.plan import SHARES, Plan
from privacy.records import PURPOSES, Header, digest_of
from privacy.roster import Roster
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.schemes.shares.sharing import UpdateSecrets
from privacy.sealing import Entropy
from privacy.signing import Purpose
from veilsum.files import make_folder, write_durably

from .masking import seal_mask
from .outbox import Outbox
from .share import seal_parts
from .sign import contribution, read_header, shared_contribution, sign


@dataclass(frozen=True)
class Made:
    """A contribution whose chunks are in the outbox: its header, and the seals beside it."""

    header: Header
    seals: tuple[bytes, ...]


@dataclass
class Contributor:
    """Everything a site needs to take part, in the order it is needed.

    Attributes:
        keeper: keeps updates whose plans ask for their products; None where none may.
    """

    participant: str
    dataset: str
    key: Ed25519PrivateKey
    entropy: Entropy
    roster: Roster
    worker: Worker
    ledger: SiteLedger
    sender: Sender
    receipts: Path
    kept: Kept
    failpoints: Failpoints
    keeper: Keeper | None = None

    async def contribute(self, plan: Plan, public_key: bytes, outbox: Outbox) -> None:
        """Take part in the round of `plan`, which the site's policy has accepted.

        A contribution that a crash left in the outbox is sent as it is; nothing is
        trained, noised or spent a second time.

        Args:
            public_key: of the round's cohort; empty under `shares`, which needs none.

        Raises:
            BudgetExhausted: the rounds still planned would cost more than the policy allows, or
                what is set aside is more than one that was lowered meanwhile; nothing has left.
            ConflictingContribution: another output of this round was committed before.
            UpdateOutOfRange: the update is not finite; nothing has left, and the round is paid for.
            NotYet, UnsafeParameters: the plan cannot be worked on here, whatever the data is;
                nothing is set aside or spent.
            PeerUnreachable, StoreUnavailable: send again, with the same call.
        """
        header = self._finished(plan, outbox)
        if header is None:
            # What is refused here says nothing of the data, and so it costs nothing.
            await self.worker.prepare(plan)
        reservation = self._reserve(plan, header)
        if header is None:
            made = await self._make(plan, public_key, outbox, reservation)
            header = sign(made.header, self.participant, self.key)
            self.failpoints.hit("contribute.before_finish")
            outbox.finish(header, made.seals)
            self.failpoints.hit("contribute.after_finish")
        self._commit(plan, reservation, header)
        self.kept.keep(PURPOSES[header_kind(plan)], plan.terms.round, header)
        receipt = await self.sender.send(outbox, header)
        make_folder(self.receipts)
        write_durably(self.receipts / f"{plan.terms.round:06d}", pack(receipt))
        self.failpoints.hit("contribute.after_receipt")
        self.kept.keep(Purpose.RECEIPT, plan.terms.round, receipt)
        self.failpoints.hit("contribute.before_sent")
        self.ledger.sent(reservation, plan.terms.round)

    async def _make(self, plan: Plan, public_key: bytes, outbox: Outbox, reservation: str) -> Made:
        try:
            await self.worker.train(plan)
            await self.worker.privatise(plan)
            if plan.arithmetic.scheme == SHARES:
                return await self._share(plan, outbox)
            return await self._encrypt(plan, public_key, outbox)
        except Unavailable:
            raise  # it is tried again, and the reservation stands
        except VeilsumError:
            # That this site refuses, after it has trained, is seen by others: an output, too.
            self.ledger.commit(reservation, plan.terms.round, NOTHING_SENT)
            raise

    async def _encrypt(self, plan: Plan, public_key: bytes, outbox: Outbox) -> Made:
        if plan.terms.scheme.releases():
            await self._keep(plan)
        secret = self.entropy(MASK_SECRET_BYTES)
        mask = seal_mask(plan, self.roster, self.participant, secret)
        piece = await self.worker.protect(plan, public_key, secret, str(outbox.start()))
        ledger = self.ledger.checkpoint()
        return Made(contribution(plan, self.participant, (piece,), mask, ledger), mask.seals)

    async def _keep(self, plan: Plan) -> None:
        assert self.keeper is not None  # a site's agent has one
        await self.worker.keep(self.keeper.start(plan))
        self.failpoints.hit("contribute.after_keep")

    async def _share(self, plan: Plan, outbox: Outbox) -> Made:
        # Drawn for this try, and dropped with it: what a crash cuts short is split anew.
        secrets, me = UpdateSecrets.generate(self.entropy), self.participant
        shared = await self.worker.share(plan, me, secrets, str(outbox.start()))
        seals = seal_parts(plan, self.roster, me, secrets, shared.declared_third)
        ledger = self.ledger.checkpoint()
        header = shared_contribution(plan, me, shared.piece, shared.roots, seals, ledger)
        return Made(header, seals)

    def _finished(self, plan: Plan, outbox: Outbox) -> Signed | None:
        """Return the header that an earlier try has signed for this very plan, if one has."""
        header = outbox.header()
        if header is None or read_header(header.body).plan != plan.digest():
            return None
        return header

    def _reserve(self, plan: Plan, header: Signed | None) -> str:
        """Return the reservation of this round, with those of all that are planned after it."""
        terms, training = plan.terms, plan.terms.privacy.training
        made = self.ledger.committed(self.dataset, terms.federation, terms.round)
        if made is None:
            return self.ledger.reserve(
                self.dataset,
                terms.federation,
                events_of(training),
                training.clip,
                terms.rounds_left,
                plan.digest(),
            )
        if header is None:
            raise ConflictingContribution(
                f"round {terms.round}: an output was committed before ({made.reservation}); "
                "another one would be a second release"
            )
        return made.reservation

    def _commit(self, plan: Plan, reservation: str, header: Signed) -> None:
        self.failpoints.hit("contribute.before_commit")
        out = digest_of(read_header(header.body))
        self.ledger.commit(reservation, plan.terms.round, out, noise_of(plan))
        self.failpoints.hit("contribute.after_commit")


def noise_of(plan: Plan) -> Noise | None:
    """Return what the ledger says of this site's part of a noise that sites share."""
    training = plan.terms.privacy.training
    if not isinstance(training, DistributedSum):
        return None
    variance = training.site_variance(plan.arithmetic.fraction_bits)
    return Noise("discrete_gaussian", str(variance), training.honest, training.colluders)
