"""Begin a site, an auditor or a seat: its keys, and the two public files that others need."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from participant.keys import SiteKeys, certificate_request, load_keys, make_keys
from privacy import canonical
from privacy import organisation as organisations
from privacy.errors import ConfigError, MalformedMessage
from privacy.identifiers import COORDINATOR, check_name
from privacy.roster import Role
from veilsum.files import read_secret, write_durably, write_new

from .found import entry
from .own import ENTRY

KEYS = "keys"
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
        ConfigError: a name is not one, or `state` no folder: nothing is made. Or the site has
            keys already; they are never overwritten.
    """
    _check_names(federation, participant, organisation)
    with _state_errors(state):
        keys = make_keys(state / KEYS, os.urandom)
    return _write_public(state, keys, federation, participant, organisation, role, chain=chain)


def resume(
    state: Path,
    federation: str,
    participant: str,
    organisation: str,
    *,
    chain: bool = False,
    role: Role = Role.TRAINER,
) -> tuple[Path, Path]:
    """Do what `init` does, or the rest of it where a crash has stopped it: keys are kept.

    Raises:
        ConfigError: as for `init`, but for keys that are there.
        InsecureKeyFile: somebody else can read them.
    """
    if not (state / KEYS).exists():
        return init(state, federation, participant, organisation, chain=chain, role=role)
    _check_names(federation, participant, organisation)
    keys = load_keys(state / KEYS)
    return _write_public(state, keys, federation, participant, organisation, role, chain=chain)


def _write_public(
    state: Path,
    keys: SiteKeys,
    federation: str,
    participant: str,
    organisation: str,
    role: Role,
    *,
    chain: bool,
) -> tuple[Path, Path]:
    payee = _make_chain_keys(state) if chain else ""
    name = organisations.normal(organisation)
    member = entry(keys, participant, name, payee, (role.value,))
    write_durably(state / ENTRY, canonical.encode(member))
    write_durably(state / REQUEST, certificate_request(keys, federation, participant))
    return state / ENTRY, state / REQUEST


def _check_names(federation: str, participant: str, organisation: str) -> None:
    for option, name in (("--federation", federation), ("--participant", participant)):
        try:
            check_name(name)
        except MalformedMessage as error:
            raise ConfigError(f"{option}: {error}; it begins with a letter or digit") from None
    if participant == COORDINATOR:
        raise ConfigError(f"--participant: no member may be called {COORDINATOR}")
    try:
        organisations.check(organisations.normal(organisation))
    except MalformedMessage as error:
        raise ConfigError(f"--organisation: {error}; give the name of who runs this") from None


@contextmanager
def _state_errors(state: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"--state: {state} cannot be made or written ({error.strerror}); give a folder"
        ) from None


def _make_chain_keys(state: Path) -> str:
    # The chain's libraries are there only where a site is paid on a chain.
    from veilsum.chain.wallet import load_or_make_key  # noqa: PLC0415

    write_new(state / "passphrase", secrets.token_hex(32).encode())
    passphrase = read_secret(state / "passphrase").decode()
    # A passphrase of 256 random bits needs no slow derivation.
    load_or_make_key(state / "gas.json", passphrase, work_factor=2)
    payout = load_or_make_key(state / "payout.key.json", passphrase, work_factor=2)
    return payout.address.lower()
