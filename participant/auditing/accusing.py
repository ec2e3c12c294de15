"""An auditor writes what judges need against a seat that lied: its report, and the seat's pledge.

evidence/000004-elm.json      against elm, for its sums of round 4
evidence/000004-elm-2.json    the same, against another account that it has pledged before
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from participant.joining.versions import kept_versions
from participant.kept import FOLDER as KEPT
from participant.kept import Kept
from participant.keys import SiteKeys, load_keys
from participant.wire.connect import connect
from participant.wire.seat_calls import SeatCalls
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import MissingDependency, NotYet, PrivacyError, ProtocolError
from privacy.records import SeatSum
from privacy.roster import Roster
from privacy.settlement import pledge as pledges
from privacy.settlement.pledge import SignerOf
from privacy.settlement.verdict import Evidence, evidence_of
from veilsum.files import make_folder, write_durably

from .config import AuditorConfig
from .report import DISPUTES, DisputeReports, SignedDispute

log = structlog.get_logger()

FOLDER: Final = "evidence"
"""Where evidence is, in an auditor's state folder."""

MOST_ROUNDS_BACK: Final = 20
"""How many rounds, back from that of a lie, are searched for accounts that a seat has pledged."""


class Shows(Protocol):
    """Where pledges are, as `SeatCalls` has it."""

    async def pledges(self, number: int) -> list[Signed]:
        """Return what the seats of a round have pledged."""
        ...


class Written(msgspec.Struct, frozen=True):
    """Evidence against one account of a seat, and where it is; nowhere if it has pledged none."""

    round: int
    seat: str
    account: str
    path: str


def accusing(
    config: AuditorConfig, keys: SiteKeys, shows: Shows, rosters: Sequence[Roster]
) -> "Accusing":
    """Return what accuses on behalf of an auditor; its settings name a chain.

    Raises:
        MissingDependency: web3 is not installed.
    """
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    from veilsum.chain.digests import signer_of_digest  # noqa: PLC0415  heavy, and an extra

    reports = DisputeReports(config.state / DISPUTES, keys.signing)
    return Accusing(config.state, keys, reports, shows, rosters, signer_of_digest)


async def accuse_of(config: AuditorConfig, number: int) -> tuple[Written, ...]:
    """Write the evidence against each seat that lied in a round, over one connection.

    Raises:
        NotYet: this auditor has settled no dispute of that round with a liar.
        Unavailable: the coordinator does not answer, or the disk refuses.
        ConfigError: a file is not what it must be.
    """
    keys = load_keys(config.state / "keys")
    rosters = kept_versions(Kept(config.state / KEPT))
    coordinator = connect(config.coordinator, keys)
    try:
        return await accusing(config, keys, SeatCalls(coordinator), rosters).accuse(number)
    finally:
        await coordinator.close()


@dataclass(frozen=True)
class Accusing:
    """Makes evidence out of the disputes that an auditor has settled.

    Attributes:
        state: the auditor's state folder.
        rosters: versions that this auditor knows.
    """

    state: Path
    keys: SiteKeys = field(repr=False)
    reports: DisputeReports
    shows: Shows
    rosters: Sequence[Roster]
    signer_of: SignerOf

    async def accuse(self, number: int) -> tuple[Written, ...]:
        """Write the evidence against each seat that was found to have lied in a round.

        Raises:
            NotYet: no dispute of that round was settled with a liar.
            Unavailable: the coordinator does not answer.
            StoreUnavailable: the disk refuses.
        """
        lies = [
            (dispute, seat) for dispute in self.reports.of(number) for seat in dispute.report.liars
        ]
        if not lies:
            raise NotYet(f"round {number}: this auditor has found no seat that lied")
        return tuple([one for lie in lies for one in await self._accuse(*lie)])

    async def _accuse(self, dispute: SignedDispute, seat: str) -> list[Written]:
        number = dispute.report.round
        found = await self._pledges(number, seat, self._key(dispute, seat))
        if not found:
            log.warning("no_pledge", round=number, seat=seat)
            return [Written(number, seat, "", "")]
        written = []
        for at, (account, pledge) in enumerate(found.items(), 1):
            evidence = evidence_of(dispute.report, dispute.signature, pledge, seat)
            suffix = "" if at == 1 else f"-{at}"
            path = self.state / FOLDER / f"{number:06d}-{seat}{suffix}.json"
            self._write(path, evidence)
            log.info("accused", round=number, seat=seat, account=account, evidence=str(path))
            written.append(Written(number, seat, account, str(path)))
        return written

    async def _pledges(self, number: int, seat: str, key: bytes) -> dict[str, Signed]:
        """Return the newest pledge of each account that a seat has named, the newest first.

        Who is about to lie may pledge an account with nothing in it: those before answer, too.
        """
        found = dict[str, Signed]()
        for earlier in range(number, max(number - MOST_ROUNDS_BACK, 0), -1):
            try:
                shown = await self.shows.pledges(earlier)
            except (NotYet, ProtocolError):
                continue  # a round of other seats, or one that was never summed
            for signed in shown:
                account = self._account(signed, seat, key) if seat in signed.signatures else ""
                if account:
                    found.setdefault(account, signed)
        return found

    def _account(self, signed: Signed, seat: str, key: bytes) -> str:
        """Return the account that a pledge names; none if it does not hold."""
        try:
            return pledges.check(signed, seat, key, self.signer_of).account
        except (ProtocolError, PrivacyError) as error:
            log.warning("pledge_in_vain", seat=seat, reason=str(error))
            return ""

    def _key(self, dispute: SignedDispute, seat: str) -> bytes:
        """Return a seat's key, by the roster under which it has stated its sums."""
        (statement,) = (each.statement for each in dispute.report.exhibits if each.seat == seat)
        named = canonical.decode(statement, SeatSum).roster
        for roster in self.rosters:
            if roster.digest() == named:
                return roster.member(seat).signing_key
        raise NotYet(f"this auditor has not seen roster {named[:16]}…; run its agent once")

    def _write(self, path: Path, evidence: Evidence) -> None:
        make_folder(path.parent)
        write_durably(path, canonical.encode(evidence))
