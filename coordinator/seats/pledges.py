"""What seats pledge: the accounts that answer for the roots they have stated.

A pledge goes with a statement, and is taken after it; no round waits for one. It is shown when
statements are: no seat reads another's root before its own counts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from msgspec.structs import replace

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.rounds.standing import Rounds
from coordinator.rounds.state import Phase
from privacy import canonical
from privacy.documents import Signed, only_by
from privacy.errors import ConflictingContribution, IllegalEvent, NotYet, WrongContext
from privacy.records import SeatSum
from privacy.settlement import pledge as pledges
from privacy.settlement.payouts import Domain
from privacy.settlement.pledge import Pledge, SignerOf

from .sealed_sums import SealedSums
from .seat_sums import statement_name

log = structlog.get_logger()

PLEDGING: Final = frozenset(
    {Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, Phase.OPENING, Phase.DONE}
)
"""Phases in which pledges are taken."""

_KIND: Final = "pledge"


@dataclass(frozen=True)
class Bonds:
    """Where seats have their bonds, and how it is told which account has signed.

    Attributes:
        domain: chain, contract and programme of this coordinator's settings.
    """

    domain: Domain
    signer_of: SignerOf = field(repr=False)


@dataclass(frozen=True)
class Pledges:
    """Keeps one pledge of each seat of a round.

    Attributes:
        bonds: returns None where nothing is settled on a chain.
    """

    rounds: Rounds
    archive: Archive
    rosters: Rosters
    sealed: SealedSums
    bonds: Callable[[], Bonds | None]

    def put(self, caller: str, signed: Signed) -> None:
        """Take what a seat pledges for the sums that it has stated, once.

        Raises:
            WrongIdentity, InvalidSignature, MalformedMessage: it is not what the caller may
                pledge; the same if its account has not signed.
            WrongContext: it is for another round, plan, cohort or programme.
            RootMismatch: it is for other roots than the seat has stated.
            NotYet: the seat has stated no sums.
            IllegalEvent: the round takes no pledges, or nothing is settled here.
            ConflictingContribution: it has pledged something else.
        """
        number = canonical.decode(signed.body, Pledge).round
        current, bonds = self.rounds.of_seat(caller, number), self.bonds()
        if bonds is None:
            raise IllegalEvent("nothing is settled on a chain here: no pledges are taken")
        if current.phase not in PLEDGING:
            raise IllegalEvent(f"round {number} is {current.phase}: no pledges are taken")
        roster = self.rosters.under(self.archive.plan(number).terms.roster)
        key = roster.member(caller).signing_key
        pledge = pledges.check(signed, caller, key, bonds.signer_of)
        pledges.require_goes_with(pledge, self._stated(number, caller))
        _require_here(pledge, bonds.domain)
        self._keep(number, caller, signed, pledge)
        log.info("seat_pledged", round=number, seat=caller, account=pledge.account)

    def of(self, caller: str, number: int) -> list[Signed]:
        """Return the pledges of a round's seats, those that there are, once sums are compared.

        Raises:
            WrongIdentity, NotYet: as for `SealedSums.statements`.
        """
        self.sealed.statements(caller, number)
        found = []
        for seat in self.rounds.get(number).rules.seats:
            try:
                found.append(self.archive.document(_KIND, statement_name(number, seat)))
            except NotYet:
                continue  # it has made none
        return found

    def _keep(self, number: int, seat: str, signed: Signed, pledge: Pledge) -> None:
        name = statement_name(number, seat)
        try:
            self.archive.keep(_KIND, name, only_by(signed, seat))
        except ConflictingContribution:
            kept = canonical.decode(self.archive.document(_KIND, name).body, Pledge)
            # The same promise, made by a signer that never signs the same twice: the first counts.
            if _unsigned(kept) != _unsigned(pledge):
                raise

    def _stated(self, number: int, seat: str) -> SeatSum:
        signed = self.archive.document("seat-sum", statement_name(number, seat))
        return canonical.decode(signed.body, SeatSum)


def _unsigned(pledge: Pledge) -> Pledge:
    """Return what a pledge promises, whatever its account's signatures are."""
    roots = tuple(replace(each, signature="") for each in pledge.roots)
    return replace(pledge, roots=roots)


def _require_here(pledge: Pledge, here: Domain) -> None:
    if pledge.domain != here:
        raise WrongContext(
            f"round {pledge.round}: {pledge.seat} pledges for programme "
            f"{pledge.domain.programme[:16]}… on {pledge.domain.contract}, chain "
            f"{pledge.domain.chain_id}, and this coordinator settles {here.programme[:16]}… on "
            f"{here.contract}, chain {here.chain_id}; the seat's operator must correct settlement"
        )
