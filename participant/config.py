"""A site's own file, `site.toml`: where things are, and the policy that has the last word.

Read once at start; unknown keys are refused; secrets are paths of files. Every
setting stands in docs/configuration.md.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec.structs import replace

from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.identifiers import Digest, FederationId, ParticipantId

_Decimal = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?\Z")]
_Address = Annotated[
    str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
]
"""A host and a port: `veilsum.example.org:8443`, `192.0.2.7:8443` or `[2001:db8::7]:8443`."""


class CoordinatorAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the site reaches its coordinator, and what it shows there."""

    address: _Address
    authority: Path
    certificate: Path


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data whose budget is kept, and the class that brings it."""

    id: str
    site: str
    records: Annotated[int, msgspec.Meta(ge=1)]
    ledger: Path | None = None
    records_per_unit: Annotated[int, msgspec.Meta(ge=1)] = 1
    version: Annotated[int, msgspec.Meta(ge=1)] = 1


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this site accepts; no plan can override a line of it."""

    roster: Digest
    openers: tuple[ParticipantId, ...]
    first_model: str
    schemes: tuple[str, ...]
    smallest_cohort: Annotated[int, msgspec.Meta(ge=2)]
    epsilon_per_round: _Decimal
    epsilon_for_life: _Decimal
    delta: _Decimal
    unit: UnitOfPrivacy
    neighbouring: NeighbouringRelation
    releases: tuple[str, ...]
    without_auditor: bool = False


class SettlementAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the site reaches the chain, where it is paid, and the key that pays for gas."""

    rpc: str
    chain_id: int
    contract: str
    payee: str
    keystore: Path
    passphrase: Path


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a site's settings."""

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress
    dataset: Dataset
    policy: Policy
    settlement: SettlementAccess | None = None


def read(path: Path) -> SiteConfig:
    """Return the settings in the TOML file at `path`.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return decode(text, SiteConfig, str(path))


def with_site(config: SiteConfig, site: str) -> SiteConfig:
    """Return `config` with another class that brings the data, if one is named."""
    if not site:
        return config
    return replace(config, dataset=replace(config.dataset, site=site))


def ledger_of(config: SiteConfig) -> Path:
    """Return where the dataset's ledger is: one for each dataset, in whatever federation."""
    return config.dataset.ledger or config.state / "ledger.sqlite"
