"""What a site has earned: checked, claimed from this site's own process, and kept."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from participant.config import SiteConfig
from participant.view import Payout
from privacy import canonical
from privacy.errors import ConfigError
from privacy.payouts import Entitlement
from veilsum.files import write_durably

log = structlog.get_logger()


class Paid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim that was carried out: token units in all, and the transaction."""

    payee: str
    cumulative: str
    transaction: str
    gas: int
    rounds: int


@dataclass(frozen=True)
class Payouts:
    """A site's claims; the payout address is its own, whoever pays for the gas."""

    config: SiteConfig

    @property
    def receipt(self) -> Path:
        """The file that says what was paid."""
        return self.config.state / "payout.json"

    @property
    def entitlement(self) -> Path:
        """The file with what this site may claim, and where; evidence asks the chain about it."""
        return self.config.state / "entitlement.json"

    def claim(self, payout: Payout) -> None:
        """Claim this site's part, unless it is claimed, and keep the receipt.

        Raises:
            ConfigError: this site has no way to the chain in its configuration.
            RootMismatch, WrongContext: the coordinator offers what the chain does not hold.
            ChainUnavailable: the endpoint does not answer; run it again.
        """
        # web3 takes half a second to import, and is there only where the chain is used.
        from veilsum.chain.endpoint import connect  # noqa: PLC0415
        from veilsum.chain.journal import FolderJournal  # noqa: PLC0415
        from veilsum.chain.wallet import load_key  # noqa: PLC0415

        from .claim import claim  # noqa: PLC0415

        access = self.config.settlement
        if access is None:
            raise ConfigError("settlement: this site's file says nothing about a chain")
        entitlement = canonical.decode(payout.entitlement, Entitlement)
        write_durably(self.entitlement, payout.entitlement)
        endpoint = connect(access.rpc, chain_id=access.chain_id)
        gas_key = load_key(access.keystore, access.passphrase.read_text().strip())
        journal = self.config.state / "transactions"
        journal.mkdir(mode=0o700, exist_ok=True)
        claimed = claim(
            endpoint,
            gas_key,
            FolderJournal(journal),
            entitlement,
            payee=access.payee,
            contract=access.contract,
        )
        paid = Paid(
            payee=access.payee,
            cumulative=str(claimed.cumulative),
            transaction=claimed.transaction or "",
            gas=claimed.gas or 0,
            rounds=payout.rounds,
        )
        write_durably(self.receipt, canonical.encode(paid))
        log.info("claimed", amount=paid.cumulative, transaction=paid.transaction)
