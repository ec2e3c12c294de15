"""Take part in one round: train, privatise, protect, sign, send.

The update never leaves the worker process in the clear. The ledger reserves
before the data is touched, and commits before the first byte leaves.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.documents import Signed, pack
from privacy.errors import Unavailable, VeilsumError
from privacy.events import from_json
from privacy.failpoints import Failpoints
from privacy.identifiers import sha256_hex
from privacy.local_training import privacy_event
from privacy.plan import SHARES, Plan
from privacy.records import Header, digest_of
from privacy.roster import Roster
from privacy.schemes.masks import MASK_SECRET_BYTES
from privacy.schemes.shares.sharing import UpdateSecrets
from privacy.sealing import Entropy
from veilsum.files import make_folder, write_durably

from .ledger import SiteLedger
from .masking import seal_mask
from .outbox import Outbox
from .send import Sender
from .share import seal_parts
from .sign import contribution, read_header, shared_contribution, sign
from .worker import Worker

NOTHING_SENT = sha256_hex(b"veilsum/nothing-sent/1")
"""What a ledger says was the output of a round that a site trained for and then refused."""


@dataclass(frozen=True)
class Made:
    """A contribution whose chunks are in the outbox: its header, and the seals beside it."""

    header: Header
    seals: tuple[bytes, ...]


@dataclass
class Contributor:
    """Everything a site needs to take part, in the order it is needed."""

    participant: str
    dataset: str
    key: Ed25519PrivateKey
    entropy: Entropy
    roster: Roster
    worker: Worker
    ledger: SiteLedger
    sender: Sender
    receipts: Path
    failpoints: Failpoints

    async def contribute(self, plan: Plan, public_key: bytes, outbox: Outbox) -> None:
        """Take part in the round of `plan`, which the site's policy has accepted.

        A contribution that a crash left in the outbox is sent as it is; nothing is
        trained, noised or spent a second time.

        Args:
            public_key: of the round's cohort; empty under `shares`, which needs none.

        Raises:
            BudgetExhausted: the round would cost more than the policy allows.
            UpdateOutOfRange: the update is not finite; nothing has left.
            PeerUnreachable, StoreUnavailable: send again, with the same call.
        """
        header = self._finished(plan, outbox)
        reservation = self._reserve(plan, header)
        if header is None:
            made = await self._make(plan, public_key, outbox, reservation)
            header = sign(made.header, self.participant, self.key)
            self.failpoints.hit("contribute.before_finish")
            outbox.finish(header, made.seals)
        self._commit(reservation, header)
        receipt = await self.sender.send(outbox, header)
        make_folder(self.receipts)
        write_durably(self.receipts / f"{plan.terms.round:06d}", pack(receipt))
        self.ledger.sent(reservation)

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
            self.ledger.commit(reservation, NOTHING_SENT)
            raise

    async def _encrypt(self, plan: Plan, public_key: bytes, outbox: Outbox) -> Made:
        secret = self.entropy(MASK_SECRET_BYTES)
        mask = seal_mask(plan, self.roster, self.participant, secret)
        piece = await self.worker.protect(plan, public_key, secret, str(outbox.start()))
        return Made(contribution(plan, self.participant, (piece,), mask), mask.seals)

    async def _share(self, plan: Plan, outbox: Outbox) -> Made:
        # Drawn for this try, and dropped with it: what a crash cuts short is split anew.
        secrets, me = UpdateSecrets.generate(self.entropy), self.participant
        shared = await self.worker.share(plan, me, secrets, str(outbox.start()))
        seals = seal_parts(plan, self.roster, me, secrets, shared.declared_third)
        return Made(shared_contribution(plan, me, shared.piece, shared.roots, seals), seals)

    def _finished(self, plan: Plan, outbox: Outbox) -> Signed | None:
        """Return the header that an earlier try has signed for this very plan, if one has."""
        header = outbox.header()
        if header is None or read_header(header.body).plan != plan.digest():
            return None
        return header

    def _reserve(self, plan: Plan, header: Signed | None) -> str:
        terms = plan.terms
        held = self.ledger.committed(self.dataset, terms.federation, terms.round)
        if held is not None and header is not None:
            return held.id
        event = from_json(privacy_event(plan.terms.privacy.training))
        clip = plan.terms.privacy.training.clip
        return self.ledger.reserve(self.dataset, terms.federation, terms.round, event, clip)

    def _commit(self, reservation: str, header: Signed) -> None:
        self.failpoints.hit("contribute.before_commit")
        self.ledger.commit(reservation, digest_of(read_header(header.body)))
        self.failpoints.hit("contribute.after_commit")
