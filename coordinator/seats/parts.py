"""Parts: what a seat is given of each contribution, as that seat holds it.

No seat is given another's secrets, nor the component that travels if it does not hold it.
"""

from dataclasses import dataclass, field
from typing import Final

from coordinator import object_names as names
from coordinator.archive import Archive
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.moving import Moving
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase, Round
from privacy.documents import Signed, unpack
from privacy.errors import IllegalEvent, NotYet, WrongIdentity
from privacy.schemes.shares.seat_sum import takes_payload

HOLDING: Final = frozenset(
    {Phase.OPEN, Phase.JUDGING, Phase.CERTIFYING, Phase.SUMMING, Phase.DISPUTED}
)
"""Phases in which seats are given contributions."""


@dataclass(frozen=True)
class Part:
    """A contribution as one seat gets it: its header, what was sealed to that seat, its chunks.

    `chunks` is how many follow; none for the seat whose components are both expanded.
    """

    header: Signed
    sealed: bytes = field(repr=False)
    chunks: int


@dataclass(frozen=True)
class Parts:
    """Gives seats the contributions that count, for as long as they work on them."""

    rounds: Rounds
    archive: Archive
    store: Store
    objects: ObjectStore
    moving: Moving

    def part(self, caller: str, number: int, participant: str) -> Part:
        """Return what a seat is given first of a contribution that counts.

        Raises:
            WrongIdentity: the caller is no seat of the round.
            NotYet: the contribution is not committed.
            IllegalEvent: the round gives no contributions to seats, yet or any more.
        """
        current = self._holding(caller, number, participant)
        upload = self.store.upload(number, participant)
        assert upload is not None  # a committed entry has its upload's row for good
        sealed = self.objects.get(names.sealed_part(number, participant, caller))
        self._given(current, caller, f"part {participant}", 0)
        travels = takes_payload(current.rules.seats.index(caller))
        chunks = self.archive.plan(number).geometry().chunks if travels else 0
        return Part(unpack(upload.header), sealed, chunks)

    def chunk(self, caller: str, number: int, participant: str, chunk: int) -> bytes:
        """Return one chunk of the component that travels, under the same conditions as `part`.

        Raises:
            WrongIdentity: the caller's seat does not hold that component, too.
        """
        current = self._holding(caller, number, participant)
        if not takes_payload(current.rules.seats.index(caller)):
            raise WrongIdentity(f"{caller} does not hold the component that travels")
        payload = self.objects.get(names.contribution_chunk(number, participant, 0, chunk))
        self._given(current, caller, f"part {participant}", chunk + 1)
        return payload

    def _holding(self, caller: str, number: int, participant: str) -> Round:
        current = self.rounds.of_seat(caller, number)
        if current.phase not in HOLDING:
            raise IllegalEvent(f"round {number} is {current.phase}: no seat is given anything")
        if participant not in [entry.participant for entry in current.committed]:
            raise NotYet(f"{participant[:80]!r} has committed no contribution to round {number}")
        return current

    def _given(self, current: Round, caller: str, stream: str, place: int) -> None:
        # An open round waits for trainers: seats that fetch meanwhile do not hold it open.
        if caller in current.waits_for():
            self.moving.given(current.number, caller, stream, place)
