"""A site's own file, `site.toml`: where things are, and the policy that has the last word.

Read once at start; unknown keys are refused; secrets are paths of files. Every
setting stands in docs/configuration.md.
"""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec.structs import replace

from privacy import ledger as ledgers
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.configuration import NOTHING, Over, decode
from privacy.contribution.scores import Method, missing_for, only_method
from privacy.errors import ConfigError
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.ledger import KeyText, Name
from privacy.plan import Mechanism
from privacy.settlement.payouts import Word
from veilsum.chain.access import ChainAccess
from veilsum.files import read_text
from veilsum.metrics.settings import MetricsAddress
from veilsum.traces.settings import Telemetry

from .policy.bandwidth import Bandwidth, bandwidth
from .policy.hours import Hours, hours

_Decimal = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)?\Z")]
_Address = Annotated[
    str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
]
"""A host and a port: `veilsum.example.org:8443`, `192.0.2.7:8443` or `[2001:db8::7]:8443`."""


_Proxy = Annotated[
    str, msgspec.Meta(pattern=r"^http://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
]
"""A proxy that takes HTTP CONNECT: `http://proxy.example.org:3128`; never a name or a password."""


class CoordinatorAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the site reaches its coordinator, and what it shows there.

    `alternatives` are further addresses, of which one serves at a time. `joining` is where a
    certificate that has ended is renewed. `proxy` is what connections go through, all of them;
    none is ever taken from the environment.
    """

    address: _Address
    authority: Path
    certificate: Path
    alternatives: tuple[_Address, ...] = ()
    joining: _Address | None = None
    proxy: _Proxy | None = None


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data whose budget is kept, and the class that brings it."""

    FILE: ClassVar[str] = "site.toml"
    TABLE: ClassVar[str] = "dataset"

    id: str
    site: str
    records: Annotated[int, msgspec.Meta(ge=1)]
    ledger: Path | None = None
    records_per_unit: Annotated[int, msgspec.Meta(ge=1)] = 1
    version: Annotated[int, msgspec.Meta(ge=1)] = 1
    ledger_keys: tuple[KeyText, ...] = ()


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this site accepts; no plan can override a line of it."""

    FILE: ClassVar[str] = "site.toml"
    TABLE: ClassVar[str] = "policy"

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
    mechanisms: tuple[Mechanism, ...] = (Mechanism.LOCAL,)
    vector_epsilon_per_round: _Decimal | None = None
    vector_epsilon_for_life: _Decimal | None = None
    officers: dict[Name, KeyText] = {}
    most_rounds: Annotated[int, msgspec.Meta(ge=1)] = 1000
    models: tuple[Digest, ...] | None = None
    approve_plans: bool = False
    hours: tuple[str, ...] = ()
    bandwidth: tuple[str, ...] = ()
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        keys = set(self.officers.values())
        if self.officers and (len(self.officers) < 2 or len(keys) != len(self.officers)):
            raise ConfigError(
                f"policy.officers: {len(self.officers)} with {len(keys)} keys; one proposes a "
                "higher limit and another one approves, so at least two are needed, each with a "
                "key of his or her own"
            )
        self.sends_in(), self.line_rate()

    def sends_in(self) -> Hours:
        """Return when this site contributes.

        Raises:
            ConfigError: `hours` or `time_zone` is not what it must be.
        """
        return hours(self.hours, self.time_zone, "policy.hours")

    def line_rate(self) -> Bandwidth:
        """Return what this site's line may carry each way.

        Raises:
            ConfigError: `bandwidth` or `time_zone` is not what it must be.
        """
        return bandwidth(self.bandwidth, self.time_zone)


class SettlementAccess(ChainAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the site reaches the chain, where it is paid, and the key that pays for gas.

    Attributes:
        programme: the one programme by which it is paid; any of that contract, if left out.
        method: by which this site's owner has agreed to be paid; may be left out where plans that
            its policy accepts can be paid by one alone.
    """

    FILE: ClassVar[str] = "site.toml"
    TABLE: ClassVar[str] = "settlement"

    contract: str
    payee: str
    programme: Word | None = None
    method: Method | None = None


class ProgrammeAccess(ChainAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How who is not paid reaches a programme: to look at it, to challenge it, to bond for it."""

    contract: str
    programme: Word


class SiteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a site's settings."""

    federation: FederationId
    participant: ParticipantId
    state: Path
    coordinator: CoordinatorAddress
    dataset: Dataset
    policy: Policy
    settlement: SettlementAccess | None = None
    metrics: MetricsAddress | None = None
    telemetry: Telemetry | None = None

    def __post_init__(self) -> None:
        if self.settlement is not None:
            _check_method(self.settlement.method, self.policy.releases)


def read(path: Path, over: Over = NOTHING) -> SiteConfig:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return decode(read_text(path), SiteConfig, str(path), over)


def with_site(config: SiteConfig, site: str) -> SiteConfig:
    """Return `config` with another class that brings the data, if one is named."""
    if not site:
        return config
    return replace(config, dataset=replace(config.dataset, site=site))


def ledger_of(config: SiteConfig) -> Path:
    """Return where the dataset's ledger is: one for each dataset, in whatever federation."""
    return config.dataset.ledger or config.state / "ledger.sqlite"


def dataset_of(config: SiteConfig) -> ledgers.Dataset:
    """Return the dataset as the ledger registers it.

    Raises:
        UnsafeParameters: several records per unit where the unit is a record.
    """
    dataset, policy = config.dataset, config.policy
    return ledgers.Dataset(
        id=dataset.id,
        version=dataset.version,
        parent=dataset.version - 1 or None,
        unit=policy.unit,
        max_records_per_unit=dataset.records_per_unit,
        neighbor=policy.neighbouring,
    )


def limits_of(policy: Policy) -> SpendLimits:
    """Return what a site's policy lets its data spend, in both views.

    Raises:
        UnsafeParameters: a limit that protects nobody.
    """
    return SpendLimits(
        policy.delta,
        policy.epsilon_for_life,
        policy.epsilon_per_round,
        policy.vector_epsilon_for_life or "",
        policy.vector_epsilon_per_round or "",
    )


def _check_method(method: Method | None, releases: tuple[str, ...]) -> None:
    """Require one method, by which plans that a policy accepts can be paid."""
    if method is None and only_method(opened=releases) is None:
        fitting = [each for each in Method if not missing_for(each, opened=releases)]
        raise ConfigError(
            "settlement.method: policy.releases accepts plans that open scores, and they can be "
            "paid by more than one method; name the one that this site's owner has agreed to: "
            f"{', '.join(fitting)}"
        )
    missing = () if method is None else missing_for(method, opened=releases)
    if missing:
        raise ConfigError(
            f"settlement.method: {method} needs {' and '.join(missing)}, which policy.releases "
            "does not list, so nothing that this site takes part in is paid by it; list it, or "
            "name another method"
        )
