"""The demo's escrow: contract and token deployed, programme opened and funded."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.adapters.chain import deploy
from coordinator.settling.settle import Terms
from coordinator.settling.shape import Shape
from privacy.roster import Roster
from veilsum.chain.endpoint import connect
from veilsum.chain.journal import FolderJournal
from veilsum.chain.signing import Signer
from veilsum.chain.wallet import load_key, make_key

from .chain import deploy_token, give_gas

ESCROW = 3_600_000
"""Units of the demonstration token; three rounds or twenty, of three sites or four, divide it."""

BOND = 300_000
"""What the coordinator loses if it is proved wrong."""

_DEMAND_BOND = 1_000
"""What a demand costs whoever is answered; about what an answer's gas is worth."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds in which a round can be challenged, and a demand is answered."""

    window: int
    response: int


SHORT: Final = Times(window=15, response=5)
"""Nobody cheats, and hospitals are soon paid; yet a machine at work has looked at it all before."""

TO_CHALLENGE: Final = Times(window=120, response=20)
"""Somebody cheats: time to add it all again, and for three transactions."""

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

    def for_auditor(self, home: Path) -> dict[str, object]:
        """Return the auditor's `settlement` section."""
        return {
            "rpc": self.rpc,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "programme": self.programme,
            "keystore": str(home / "chain.json"),
            "passphrase": str(home / "chain.passphrase"),
            "finality_blocks": 0,
        }


def open_programme(
    rpc: str,
    home: Path,
    sites: dict[str, Path],
    roster: Roster,
    shape: Shape,
    *,
    times: Times = SHORT,
    challengers: Sequence[Path] = (),
) -> Programme:
    """Deploy, open, fund and bond; the coordinator's key pays, hospitals get gas money.

    Args:
        home: the coordinator's folder, where its chain key is made.
        sites: each hospital's folder.
        shape: of what hospitals contribute.
        challengers: folders of others who may send something; each gets a key, and gas money.

    Raises:
        ChainUnavailable: nothing answers at `rpc`, or its accounts are locked.
    """
    endpoint = connect(rpc)
    key = _new_key(home)
    gas = [_gas_address(folder) for folder in sites.values()]
    gas += [_new_key(folder).address for folder in challengers]
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
        window=times.window,
        response=times.response,
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


def _new_key(home: Path) -> Signer:
    passphrase = secrets.token_hex(32)
    (home / "chain.passphrase").write_text(passphrase)
    (home / "chain.passphrase").chmod(0o600)
    return make_key(home / "chain.json", passphrase, work_factor=2)


def _gas_address(folder: Path) -> str:
    passphrase = (folder / "passphrase").read_text()
    return str(load_key(folder / "gas.json", passphrase).address)
