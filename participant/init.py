"""Begin a site, an auditor or a seat: its keys, and the two public files that others need."""

import os
import secrets
from pathlib import Path

from privacy import canonical
from privacy.roster import Role
from veilsum.files import write_durably

from .found import entry
from .keys import certificate_request, make_keys

ENTRY = "entry.json"
REQUEST = "request.pem"


def init(
    state: Path,
    federation: str,
    participant: str,
    organisation: str,
    *,
    chain: bool = False,
    role: Role = Role.TRAINER,
) -> tuple[Path, Path]:
    """Make a member's keys in `state`; return its roster entry and its certificate request.

    Raises:
        ConfigError: the site has keys already; they are never overwritten.
        MalformedMessage: a name is not one.
    """
    keys = make_keys(state / "keys", os.urandom)
    payee = _make_chain_keys(state) if chain else ""
    member = entry(keys, participant, organisation, payee, (role.value,))
    write_durably(state / ENTRY, canonical.encode(member))
    write_durably(state / REQUEST, certificate_request(keys, federation, participant))
    return state / ENTRY, state / REQUEST


def _make_chain_keys(state: Path) -> str:
    # The chain's libraries are there only where a site is paid on a chain.
    from veilsum.chain.wallet import make_key  # noqa: PLC0415

    passphrase = secrets.token_hex(32)
    write_durably(state / "passphrase", passphrase.encode())
    # A passphrase of 256 random bits needs no slow derivation.
    make_key(state / "gas.json", passphrase, work_factor=2)
    return make_key(state / "payout.key.json", passphrase, work_factor=2).address.lower()
