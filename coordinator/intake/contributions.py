"""Contributions: begun, sent in chunks, counted once, while the round is open."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore, Store, Upload
from coordinator.rounds import round as machine
from coordinator.rounds import verify
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase
from privacy.documents import Signed, pack, unpack
from privacy.errors import IllegalEvent
from privacy.failpoints import Failpoints
from privacy.plan import SHARES, Plan
from privacy.records import Receipt, digest_of
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.shares.payload import PayloadCheck

from .accept import ChunkCheck, Offset, Uploads
from .arrivals import Arrivals

log = structlog.get_logger()


@dataclass(frozen=True)
class Contributions:
    """What a trainer does for the round that is open."""

    rounds: Rounds
    archive: Archive
    store: Store
    objects: ObjectStore
    rosters: Rosters
    now: Callable[[], float]
    failpoints: Failpoints
    arrivals: Arrivals
    _uploads_of: dict[int, Uploads] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(
        self, sender: str, signed: Signed, masks: Sequence[bytes], parts: Sequence[bytes] = ()
    ) -> Offset:
        """Open the upload of a contribution, or find it again.

        Args:
            masks: the secret of its mask, sealed to each opener of the plan.
            parts: under `shares`, the secrets of its components, sealed to each seat of the plan.
        """
        number = verify.round_of(signed)
        plan = self.archive.plan(number)
        roster = self.rosters.under(plan.terms.roster)
        header = verify.contribution(signed, sender, plan, roster)
        verify.seals(header, masks, parts)
        if not self._has_committed(number, sender, digest_of(header)):
            self._require_open(number)
        is_new = self.store.upload(number, sender) is None
        uploads = self._uploads(number)
        offset = uploads.begin(header, pack(signed))
        if not offset.committed:  # of a round that is over they are erased for good
            self.failpoints.hit("accept.before_masks")
            kept = uploads.keep_seals(header, (*masks, *parts))
            self._withdraw_if_over(number, kept)
        size, durable = sum(piece.length for piece in header.pieces), uploads.durable_bytes(sender)
        self.arrivals.begun(number, sender, size, durable)
        if is_new:
            log.info("contribution_begun", round=number, participant=sender)
            self.rounds.progress.came_of_it(number)
        return offset

    def offset(self, sender: str, number: int) -> Offset:
        """Return how much of the sender's upload is durable."""
        return self._uploads(number).offset(sender)

    def arrived(self, sender: str, number: int, partial: int) -> None:
        """Note that so many bytes are here of the sender's next chunk: it is at work.

        Raises:
            IllegalEvent: the round takes no contribution; the rest need not be sent.
        """
        current = self.rounds.all().get(number)  # on the loop, where nothing may wait for the lock
        if current is None or current.phase is not Phase.OPEN:
            raise IllegalEvent(f"round {number} is not open: no contribution is taken")
        self.rounds.worked(sender, number)
        self.arrivals.came(number, sender, partial=partial)

    def put_chunk(self, sender: str, number: int, piece: int, chunk: int, payload: bytes) -> int:
        """Make one chunk durable, then say so."""
        self._require_open(number)
        self.failpoints.hit("accept.before_chunk")
        uploads = self._uploads(number)
        is_new = uploads.awaits(sender, piece, chunk)
        chunks = uploads.put(sender, piece, chunk, payload)
        if is_new:
            place = names.contribution_chunk(number, sender, piece, chunk)
            self._withdraw_if_over(number, [place])
        self.failpoints.hit("accept.after_chunk")
        if is_new:  # a chunk sent again is work, and nothing has come of it
            self.arrivals.came(number, sender, durable=len(payload))
            self.rounds.progress.came_of_it(number)
        return chunks

    def commit(self, sender: str, number: int) -> Signed:
        """Count a complete contribution, once, and return its receipt."""
        entry, header = self._uploads(number).complete(sender)
        if entry not in self.rounds.get(number).committed:
            self._require_open(number)
            self.store.commit_upload(number, sender)
            self.rounds.apply(number, machine.Committed(entry))
            log.info("contribution_accepted", round=number, participant=sender)
        receipt = Receipt(
            federation=header.federation,
            round=number,
            plan=header.plan,
            participant=sender,
            contribution=entry.contribution,
        )
        return self.archive.signed(receipt)

    def newest(self, sender: str) -> Signed | None:
        """Return the sender's header whose ledger had come farthest, if it has sent one."""
        header = self.store.newest_header(sender)
        return None if header is None else unpack(header)

    def lost(self, number: int, participant: str, damaged: Sequence[str] = ()) -> None:
        """Look again what of an upload to an open round is durable: some of it was lost.

        Args:
            damaged: names of its objects that are there, and are not what was stored.
        """
        if self.rounds.get(number).phase is Phase.OPEN:
            self._uploads(number).lost(participant, damaged)

    def forget(self, number: int) -> None:
        """Forget what is remembered of a round that is over; the store keeps what counts."""
        with self._lock:
            self._uploads_of.pop(number, None)
        self.arrivals.forget(number)

    def _require_open(self, number: int) -> None:
        phase = self.rounds.get(number).phase
        if phase is not Phase.OPEN:
            raise IllegalEvent(f"round {number} is {phase}: no contribution is taken")

    def _withdraw_if_over(self, number: int, written: Sequence[str]) -> None:
        """Delete what one call wrote if its round has ended meanwhile, and nothing else.

        What others sent may be evidence by then: when that goes, retention decides.
        """
        # The round may have ended, and been erased, while something of it was on its way to disk.
        if self.rounds.get(number).is_over():
            for name in written:
                self.objects.delete_prefix(name)
            self._require_open(number)

    def _has_committed(self, number: int, sender: str, contribution: str) -> bool:
        current = self.rounds.all().get(number)  # waits for no lock: uploads ask it, too
        entries = current.committed if current else ()
        return (sender, contribution) in [(each.participant, each.contribution) for each in entries]

    def _counts(self, upload: Upload) -> bool:
        return self._has_committed(upload.round, upload.participant, upload.digest)

    def _uploads(self, number: int) -> Uploads:
        with self._lock:
            if number not in self._uploads_of:
                plan = self.archive.plan(number)
                self._uploads_of[number] = Uploads(
                    self.store, self.objects, number, plan, _door(plan), self.now, self._counts
                )
            return self._uploads_of[number]


def _door(plan: Plan) -> ChunkCheck:
    if plan.arithmetic.scheme == SHARES:
        return PayloadCheck(plan.shares(), plan.arithmetic.dimension)
    return CkksCombiner(plan.parameters(), plan.arithmetic.dimension)
