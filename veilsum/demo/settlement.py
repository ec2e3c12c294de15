"""The demo's escrow: contract and token deployed, programme opened and funded."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from coordinator.adapters.chain import deploy
from coordinator.settling.settle import Terms
from coordinator.settling.shape import Shape
from privacy.roster import Roster
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.wallet import load_key, make_key

from .chain import deploy_token, give_gas

ESCROW = 3_600_000
"""Units of the demonstration token; three rounds or twenty, of three sites or four, divide it."""

BOND = 300_000
"""What the coordinator loses if it is proved wrong."""

_DEMAND_BOND = 1 << 127
"""More than there is: the coordinator answers no demand yet, and silence would cost its bond."""

_WINDOW_SECONDS = 3
_RESPONSE_SECONDS = 1

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
            # Nobody else mines on this chain, and no fork undoes what it has.
            "finality_blocks": 0,
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
            "finality_blocks": 0,
        }


def open_programme(
    rpc: str, home: Path, sites: dict[str, Path], roster: Roster, shape: Shape
) -> Programme:
    """Deploy, open, fund and bond; the coordinator's key pays, hospitals get gas money.

    Args:
        home: the coordinator's folder, where its chain key is made.
        sites: each hospital's folder.
        shape: of what hospitals contribute.

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
    token = deploy_token(endpoint, key, FolderJournal(journal), ESCROW + BOND)
    chain = deploy(endpoint, key, FolderJournal(journal))
    address = key.address.lower()
    terms = Terms(
        token=token,
        coordinator=address,
        funder=address,
        end=int(time.time()) + _LIFE_SECONDS,
        window=_WINDOW_SECONDS,
        response=_RESPONSE_SECONDS,
        bond=BOND,
        demand_bond=_DEMAND_BOND,
        arithmetic=shape.arithmetic,
        leaves_per_chunk=shape.leaves_per_chunk,
        last_chunk_leaves=shape.last_chunk_leaves,
        label=secrets.token_bytes(32),
    )
    programme = chain.open(terms)
    chain.fund(programme, ESCROW)
    chain.bond(programme, BOND)
    contract = str(chain.contract.address).lower()
    payees = {member.participant: member.payout_address for member in roster.members}
    return Programme(rpc, endpoint.chain_id, contract, programme, ESCROW, payees)


def _gas_address(folder: Path) -> str:
    passphrase = (folder / "passphrase").read_text()
    return str(load_key(folder / "gas.json", passphrase).address)
