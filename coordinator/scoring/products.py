"""Products that sites state of their own updates, sealed to the openers: carried, never opened."""

from dataclasses import dataclass
from typing import Final

import structlog

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import Store
from coordinator.rounds import round as machine
from coordinator.rounds.scoring import ProductStated
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Round, Scoring
from privacy import canonical
from privacy.contribution.sealed_products import SEALED_BYTES, Scored, check_seals, check_stated
from privacy.documents import Signed, only_by, pack, unpack
from privacy.errors import IllegalEvent, NotYet, WrongIdentity
from privacy.records import Cohort, Release, StatedProduct

log = structlog.get_logger()

_LENGTH_BYTES: Final = 4


@dataclass(frozen=True)
class Products:
    """Keeps what each site of a cohort states, and hands each opener what is sealed to it.

    Openers must judge the same statements: none is handed out while more are taken, and none is
    taken once one could have been handed out.
    """

    rounds: Rounds
    archive: Archive
    store: Store
    rosters: Rosters

    def put(self, caller: str, signed: Signed, seals: tuple[bytes, ...]) -> None:
        """Keep what a site states of its own update, once.

        Raises:
            NotYet: there is no such round.
            WrongIdentity: the caller is not in its cohort.
            InvalidSignature, WrongContext, MalformedMessage: it is not what it may state.
            ConflictingContribution: it has stated something else.
            IllegalEvent: no product is taken now.
        """
        number = canonical.decode(signed.body, StatedProduct).round
        event = ProductStated(caller)
        # Asked before anything is kept: what comes too late, or from others, fills no disk.
        machine.step(self.rounds.get(number), event)
        scored = self._scored(number)
        roster = self.rosters.under(scored.plan.terms.roster)
        check_seals(check_stated(scored, roster, caller, signed), seals)
        # Whatever else was sent as a signature is nobody's, and would fill disk and answers.
        kept = _packed(only_by(signed, caller), seals)
        self.store.put_document(_kind(number), caller, kept)
        self.rounds.failpoints.hit("scoring.after_product")
        self.rounds.apply(number, event)

    def of(self, caller: str, number: int) -> list[tuple[Signed, bytes]]:
        """Return what sites have stated, each with the seal for one opener, in the sites' order.

        Raises:
            WrongIdentity: the caller is no opener of the round.
            NotYet: more are still taken.
            IllegalEvent: the scores are over, and the products forgotten.
        """
        current = self.rounds.get(number)
        if caller not in current.rules.openers:
            raise WrongIdentity(f"{caller} is no opener of round {number}")
        _require_judging(current)
        place, kept = current.rules.openers.index(caller), dict(self.store.documents(_kind(number)))
        found = (_unpacked(kept[site]) for site in current.products if site in kept)
        return [(signed, seals[place]) for signed, seals in found]

    def forget(self, number: int) -> None:
        """Forget the products of a round whose scores are over."""
        names = [(_kind(number), name) for name, _ in self.store.documents(_kind(number))]
        self.store.forget_documents(names)

    def _scored(self, number: int) -> Scored:
        current = self.rounds.get(number)
        cohort = canonical.decode(self.archive.document("cohort", current.cohort).body, Cohort)
        release = canonical.decode(self.archive.document("release", current.release).body, Release)
        return Scored(self.archive.plan(number), cohort, release)


def _require_judging(current: Round) -> None:
    if current.scoring is Scoring.JUDGING:
        return
    if current.scoring is Scoring.OVER:
        raise IllegalEvent(f"round {current.number}: its scores are over")
    raise NotYet(f"round {current.number}: its sites have not all stated their products yet")


def _kind(number: int) -> str:
    return f"product-{number:06d}"


def _packed(signed: Signed, seals: tuple[bytes, ...]) -> bytes:
    body = pack(signed)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body + b"".join(seals)


def _unpacked(kept: bytes) -> tuple[Signed, tuple[bytes, ...]]:
    length = _LENGTH_BYTES + int.from_bytes(kept[:_LENGTH_BYTES], "big")
    seals = kept[length:]
    starts = range(0, len(seals), SEALED_BYTES)
    return unpack(kept[_LENGTH_BYTES:length]), tuple(seals[at : at + SEALED_BYTES] for at in starts)
