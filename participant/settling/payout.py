"""What a site has earned: checked, claimed from this site's own process, and kept."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from participant.config import SettlementAccess, SiteConfig
from participant.view import Payout
from privacy import canonical
from privacy.errors import ConfigError, FalsePayout, MalformedMessage, WrongContext
from privacy.failpoints import Step, pass_by
from privacy.settlement import accusation
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Entitlement
from veilsum.files import make_folder, read_file, write_durably

if TYPE_CHECKING:
    from veilsum.chain.endpoint import Endpoint
    from veilsum.chain.journal import FolderJournal

    from .check import Due, Offer

log = structlog.get_logger()


class Offered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest payout that this site was offered and has found right, claimed or not.

    Attributes:
        rounds: that this site took part in, as the coordinator counts them.
    """

    entitlement: Entitlement
    commit: Commit
    rounds: int


class Paid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim that was carried out: token units in all, and the transaction.

    Attributes:
        rounds: that this site took part in, as the coordinator counts them.
        round: under whose root it was paid.
    """

    payee: str
    cumulative: str
    transaction: str
    gas: int
    rounds: int
    round: int = 0


@dataclass(frozen=True, slots=True)
class Waits:
    """What is right and can be claimed later: Unix time from which it can."""

    round: int
    cumulative: str
    matures_at: int

    def when(self) -> str:
        """Return that time, in UTC."""
        return datetime.fromtimestamp(self.matures_at, UTC).isoformat()


@dataclass(frozen=True)
class Payouts:
    """A site's claims; the payout address is its own, whoever pays for the gas."""

    config: SiteConfig
    step: Step = pass_by

    @property
    def receipt(self) -> Path:
        """The file that says what was paid."""
        return self.config.state / "payout.json"

    @property
    def offer(self) -> Path:
        """The file with the newest offer that was found right; evidence asks the chain about it."""
        return self.config.state / "offer.json"

    def proof(self, number: int) -> Path:
        """Return the file for the proof that a round's payout is false."""
        return self.config.state / f"proof-{number}.json"

    def offered(self) -> Offered | None:
        """Return the newest offer that was found right, if there was one.

        Raises:
            ConfigError: the file is not what this process wrote.
        """
        if not self.offer.exists():
            return None
        try:
            return canonical.decode(read_file(self.offer), Offered)
        except MalformedMessage as error:
            raise ConfigError(
                f"{self.offer}: not what this process wrote ({error}); check that disk. Without "
                "this file the coordinator is asked again, and a fall is not noticed"
            ) from None

    def claim(self, payout: Payout) -> Paid | Waits:
        """Claim this site's part, unless it is claimed, and keep the receipt.

        What is offered is kept as soon as it is found right, so that it can be claimed without
        the coordinator; of what is false under the chain's root the proof is kept.

        Raises:
            ConfigError: this site has no way to the chain in its configuration.
            RootMismatch, WrongContext: the coordinator offers what the chain does not hold.
            FalsePayout: the chain holds it, and it is wrong.
            ChainUnavailable: no answer, or what was sent is not final yet; run it again.
        """
        access = self._access()
        entitlement = canonical.decode(payout.entitlement, Entitlement)
        commit = canonical.decode(payout.commit, Commit)
        return self._claim(access, Offered(entitlement, commit, payout.rounds))

    def check(self, payout: Payout) -> None:
        """Check what is shown of a round against the chain; nothing is sent.

        It is kept as an offer, unless this site has kept that of a later round that stands.

        Raises:
            ConfigError, RootMismatch, WrongContext, FalsePayout, ChainUnavailable: as for `claim`.
        """
        from veilsum.chain.endpoint import reach  # noqa: PLC0415  heavy, and an extra

        access = self._access()
        entitlement = canonical.decode(payout.entitlement, Entitlement)
        offered = Offered(entitlement, canonical.decode(payout.commit, Commit), payout.rounds)
        found = self._examined(reach(access, step=self.step), access, offered, may_be_old=True)
        if found.is_newest:
            write_durably(self.offer, canonical.encode(offered))

    def claim_kept(self) -> Paid | Waits:
        """Claim what was offered before, without the coordinator.

        Raises:
            ConfigError: this site was offered nothing yet; or as for `claim`.
            WrongContext, ChainUnavailable: as for `claim`.
        """
        access, kept = self._access(), self.offered()
        if kept is None:
            raise ConfigError(
                f"{self.offer}: this site was offered nothing yet; once the coordinator answers, "
                "run this again"
            )
        return self._claim(access, kept)

    def journal(self) -> "FolderJournal":
        """Return where this site keeps what it sends to a chain."""
        from veilsum.chain.journal import FolderJournal  # noqa: PLC0415

        folder = self.config.state / "transactions"
        make_folder(folder)
        return FolderJournal(folder)

    def _claim(self, access: SettlementAccess, offered: Offered) -> Paid | Waits:
        # web3 takes half a second to import, and is there only where the chain is used.
        from veilsum.chain.endpoint import reach, signer_of  # noqa: PLC0415

        from .claim import Later, claim, require_final  # noqa: PLC0415

        one = offered.entitlement
        endpoint, gas_key = reach(access, step=self.step), signer_of(access)
        owed = self._examined(endpoint, access, offered)
        write_durably(self.offer, canonical.encode(offered))
        journal = self.journal()
        claimed = claim(owed, gas_key, journal)
        if isinstance(claimed, Later):
            waits = Waits(one.round, one.cumulative, claimed.matures_at)
            log.info("claim_later", round=one.round, matures=waits.when())
            return waits
        require_final(endpoint, gas_key, journal, one)
        paid = Paid(
            payee=access.payee,
            cumulative=str(claimed.cumulative),
            transaction=claimed.transaction or "",
            gas=claimed.gas or 0,
            rounds=offered.rounds,
            round=one.round,
        )
        write_durably(self.receipt, canonical.encode(paid))
        log.info("claimed", amount=paid.cumulative, transaction=paid.transaction)
        return paid

    def _examined(
        self,
        endpoint: "Endpoint",
        access: SettlementAccess,
        offered: Offered,
        *,
        may_be_old: bool = False,
    ) -> "Due":
        from .check import Offer  # noqa: PLC0415
        from .claim import due  # noqa: PLC0415

        kept = self.offered()
        before = None if kept is None else kept.entitlement
        offer = Offer(offered.entitlement, offered.commit, before, may_be_old)
        _require_programme(access, offered.commit.programme)
        try:
            return due(endpoint, offer, payee=access.payee, contract=access.contract)
        except FalsePayout:
            self._accuse(endpoint, access, offer)
            raise

    def _accuse(self, endpoint: "Endpoint", access: SettlementAccess, offer: "Offer") -> None:
        """Keep the proof of a false payout, if there is one that convinces the contract."""
        from .check import accusation_of, measured_by  # noqa: PLC0415
        from .programme import programme_at  # noqa: PLC0415

        number = offer.commit.round
        programme = programme_at(endpoint, access.contract, offer.commit.programme)
        round_, measured = programme.round(number), measured_by(offer, programme.state())
        found = None if round_ is None else accusation_of(measured, round_.previous)
        if found is not None:
            write_durably(self.proof(number), accusation.encode(found))
        log.error("false_payout", round=number, proof=found and str(self.proof(number)))

    def _access(self) -> SettlementAccess:
        if self.config.settlement is None:
            raise ConfigError("settlement: this site's file says nothing about a chain")
        return self.config.settlement


def _require_programme(access: SettlementAccess, programme: str) -> None:
    if access.programme not in {None, programme}:
        raise WrongContext(
            f"a payout of programme {programme[:16]}…, where settlement.programme is "
            f"{str(access.programme)[:16]}…; the coordinator must issue the right one"
        )
