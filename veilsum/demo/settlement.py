"""The demo's escrow: contract and token deployed, programme opened and funded."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from coordinator.adapters.chain import deploy
from coordinator.settling.settle import Terms
from privacy.roster import Roster
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_key, make_key

from .chain import deploy_token, give_gas

ESCROW = 1_200_000
"""Units of the demonstration token."""

_LIFE_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Programme:
    """Where the run is settled."""

    rpc: str
    chain_id: int
    contract: str
    programme: str
    escrow: int
    payees: dict[str, str]

    def for_coordinator(self, home: Path) -> dict[str, object]:
        """Return the coordinator's `settlement` section."""
        return {
            "rpc": self.rpc,
            "chain_id": self.chain_id,
            "keystore": str(home / "chain.json"),
            "passphrase": str(home / "chain.passphrase"),
            "contract": self.contract,
            "programme": self.programme,
            "escrow": str(self.escrow),
        }

    def for_site(self, home: Path) -> dict[str, object]:
        """Return a hospital's `settlement` section."""
        return {
            "rpc": self.rpc,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "payee": self.payees[home.name],
            "keystore": str(home / "gas.json"),
            "passphrase": str(home / "passphrase"),
        }


def open_programme(rpc: str, home: Path, sites: dict[str, Path], roster: Roster) -> Programme:
    """Deploy, open and fund the escrow; the coordinator's key pays, hospitals get gas money.

    Args:
        home: the coordinator's folder, where its chain key is made.
        sites: each hospital's folder.

    Raises:
        ChainUnavailable: nothing answers at `rpc`, or its accounts are locked.
    """
    endpoint = connect(rpc)
    passphrase = secrets.token_hex(32)
    (home / "chain.passphrase").write_text(passphrase)
    (home / "chain.passphrase").chmod(0o600)
    key = make_key(home / "chain.json", passphrase, work_factor=2)
    gas = [_gas_address(folder) for folder in sites.values()]
    give_gas(endpoint, [key.address, *gas])
    journal = home / "founding-transactions"
    journal.mkdir(mode=0o700)
    token = deploy_token(endpoint, key, FolderJournal(journal), ESCROW)
    chain = deploy(endpoint, key, FolderJournal(journal))
    address = key.address.lower()
    terms = Terms(
        token, address, address, int(time.time()) + _LIFE_SECONDS, secrets.token_bytes(32)
    )
    programme = chain.open(terms)
    chain.fund(programme, ESCROW)
    contract = str(chain.contract.address).lower()
    payees = {member.participant: member.payout_address for member in roster.members}
    return Programme(rpc, endpoint.chain_id, contract, programme, ESCROW, payees)


def _gas_address(folder: Path) -> str:
    passphrase = (folder / "passphrase").read_text()
    return str(load_key(folder / "gas.json", passphrase).address)
