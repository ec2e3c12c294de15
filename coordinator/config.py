"""The coordinator's configuration: one frozen value, read once at start.

Written in TOML; unknown keys are refused; secrets are paths of files. Every
setting stands in docs/configuration.md.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from privacy.configuration import NOTHING, Over, decode
from privacy.contribution.scores import Method
from privacy.errors import ConfigError
from privacy.events import PositiveDecimal
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.plan import CKKS, SHARES, Count, DeadlinePolicy, Mechanism, PrivacyPlan
from privacy.schemes.shares.layout import SEATS
from veilsum.chain.access import ChainAccess
from veilsum.files import read_text
from veilsum.metrics.settings import MetricsAddress
from veilsum.traces.settings import Telemetry

# 900 kB: what travels is synced to a disk chunk by chunk.
_LEAVES_PER_CHUNK = 112

_HOST_AND_PORT: Final = re.compile(r"[^/\s]+:[0-9]{1,5}")

HostAndPort = Annotated[
    str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z")
]
"""A host and a port: `veilsum.example.org:8443`, `192.0.2.7:8443` or `[2001:db8::7]:8443`."""

FEWEST_MODELS: Final = 2
"""Releases whose model always stays: the one that is trained on, and the one before it."""


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the coordinator answers, and under which certificate.

    Attributes:
        joining: where it answers those who have no certificate yet; nobody, if left out.
    """

    address: str
    certificate: Path
    key: Path
    authority: Path
    health: str | None = None
    metrics: MetricsAddress | None = None
    joining: str | None = None


class EnrolmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How members come to their certificates, and under which authority.

    Attributes:
        authority: PEM, the certificate that issues first, the root last.
        authority_key: of the first.
        passphrase: a file, where the key is closed by one.
        operator: the roster entry of whoever made this coordinator, as `init` wrote it.
        joining: host:port under which members reach `listen.joining`; it stands in links.
        addresses: host:port of each coordinator that may serve, as members reach it.
        certificate_seconds: how long a member's certificate counts.
    """

    authority: Path
    authority_key: Path
    operator: Path
    joining: HostAndPort
    addresses: Annotated[tuple[HostAndPort, ...], msgspec.Meta(min_length=1)]
    passphrase: Path | None = None
    certificate_seconds: Annotated[int, msgspec.Meta(ge=5, le=90 * 86_400)] = 86_400


class ReplicaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of several coordinators over one database, of which one leads at a time."""

    name: ParticipantId
    lease_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 5


class SchemeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How updates are put on the grid and protected.

    `ciphertexts_per_chunk` is for `ckks/1`; what stands below it for `shares/1`, whose seats
    answer what is asked here about updates that they cannot open. `score_step_log2` is for both:
    under `ckks/1` each site states a product of its own update, and openers judge it.
    """

    fraction_bits: int
    value_bits: int
    cohort_max: int
    ciphertexts_per_chunk: int = 17
    name: Literal["ckks/1", "shares/1"] = "ckks/1"
    leaves_per_chunk: int = _LEAVES_PER_CHUNK
    packed: bool = False
    bound_norms: bool = True
    score_step_log2: int | None = None
    unchecked: bool = False


class RoundSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every round of the programme is held to."""

    wanted: Count
    openers: tuple[ParticipantId, ...]
    cohort_minimum: int
    quorum: int
    agreement: int
    clip: PositiveDecimal
    server_learning_rate: PositiveDecimal
    deadline: DeadlinePolicy
    auditor: ParticipantId | None = None
    seats: tuple[ParticipantId, ...] = ()


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The public model that the first round starts from."""

    dimension: int
    initial: Digest


class SettlementSettings(ChainAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The chain on which contributions are settled, and the coordinator's key there."""

    contract: str
    programme: str
    escrow: str
    method: Method = Method.PARTICIPATION


class S3Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bucket is reached, with which credentials; no secret, only where secrets are.

    Without `access_key` and `secret_key`, files that hold one line each, credentials are those of
    the place where a process runs: `AWS_ACCESS_KEY_ID` and its like, a container's or machine's
    role. `authority` is a file of PEM certificates, where a private authority signed the
    endpoint's. Whoever opens the same bucket on another machine is handed this same value.
    """

    region: str = "us-east-1"
    endpoint: str | None = None
    access_key: Path | None = None
    secret_key: Path | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        if (self.access_key is None) != (self.secret_key is None):
            raise ConfigError("s3.access_key and s3.secret_key: set both, or neither")


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long things are kept once nothing needs them; documents and digests stay for ever.

    Attributes:
        challenge_seconds: how long contributions and sums stay after a round that is done, under
            `ckks/1`; what opens single ones goes at once.
        models: of how many newest releases the sealed model stays.
        rounds: of how many newest rounds that are over the rows of chunks stay.
    """

    challenge_seconds: int = 0
    models: int = 10
    rounds: int = 100

    def __post_init__(self) -> None:
        if self.challenge_seconds < 0 or self.models < FEWEST_MODELS or self.rounds < 1:
            raise ConfigError(
                "retention: challenge_seconds is 0 or more, models "
                f"{FEWEST_MODELS} or more, rounds 1 or more"
            )


class EngineTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this machine shows to the other machines of a cluster, and knows them by."""

    certificate: Path
    key: Path
    authority: Path


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who adds up: worker processes of this machine, or a Ray cluster of the operator's.

    Attributes:
        socket: where the cluster's driver answers, a process of this machine.
    """

    kind: Literal["processes", "ray"] = "processes"
    processes: Count | None = None
    socket: Path | None = None

    def __post_init__(self) -> None:
        if self.kind == "processes" and self.socket is not None:
            raise ConfigError(
                'engine.socket is for a cluster; set engine.kind to "ray", or leave it out'
            )
        if self.kind == "ray" and (self.socket is None or self.processes):
            raise ConfigError(
                'engine.kind: "ray" needs engine.socket, and has no engine.processes: the cluster '
                "says how much it does at once"
            )


class DriverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a cluster's driver, which runs under the cluster's account."""

    socket: Path
    address: str
    token: Path
    tls: EngineTls | None = None
    s3: S3Access | None = None

    def __post_init__(self) -> None:
        if _HOST_AND_PORT.fullmatch(self.address) is None:
            raise ConfigError(f"address: {self.address!r} is not host:port")


class TransferSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be in memory at once of all that is sent and fetched, in MiB: half each way."""

    in_flight_mebibytes: Annotated[int, msgspec.Meta(ge=8, le=65_536)] = 256


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the coordinator's settings."""

    federation: FederationId
    state: Path
    database: str
    signing_key: Path
    listen: Listen
    scheme: SchemeSettings
    rounds: RoundSettings
    model: ModelSettings
    privacy: PrivacyPlan
    roster: Path | None = None
    enrolment: EnrolmentSettings | None = None
    settlement: SettlementSettings | None = None
    database_password: Path | None = None
    replica: ReplicaSettings | None = None
    objects: str | None = None
    s3: S3Access | None = None
    retention: Retention = Retention()
    engine: EngineSettings = EngineSettings()
    transfer: TransferSettings = TransferSettings()
    telemetry: Telemetry | None = None

    def __post_init__(self) -> None:
        if self.roster is None and self.enrolment is None:
            raise ConfigError(
                "roster: name the file with version 0, or add the table enrolment, so that "
                "members can be invited"
            )
        if self.listen.joining is not None and self.enrolment is None:
            raise ConfigError("listen.joining: nobody can join without the table enrolment")
        if self.scheme.name == SHARES:
            _check_shares(self.scheme, self.rounds.seats)
            _check_window(self.retention)
        else:
            _check_ckks(self.scheme, self.rounds.seats)
        if self.privacy.mechanism is Mechanism.DISTRIBUTED:
            _check_distributed(self.scheme)


def read(path: Path, over: Over = NOTHING) -> Settings:
    """Return the settings in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    return decode(read_text(path), Settings, str(path), over)


def read_driver(path: Path, over: Over = NOTHING) -> DriverSettings:
    """Return the settings of a cluster's driver in the TOML file at `path`, and what goes over it.

    Raises:
        ConfigError: as for `read`.
    """
    return decode(read_text(path), DriverSettings, str(path), over)


def _check_shares(scheme: SchemeSettings, seats: tuple[str, ...]) -> None:
    if len(seats) != SEATS or len(set(seats)) != SEATS:
        raise ConfigError(
            f"rounds.seats: {SHARES} needs {SEATS} different members in it, there are "
            f"{len(set(seats))}"
        )
    if scheme.packed and (scheme.bound_norms or scheme.score_step_log2 is not None):
        raise ConfigError(
            "scheme.packed: values side by side have no norm; set scheme.bound_norms to false "
            "and leave out scheme.score_step_log2, or leave out scheme.packed"
        )


def _check_window(retention: Retention) -> None:
    # Nobody can add masked components again without the parts, with which two seats open each.
    if retention.challenge_seconds > 0:
        raise ConfigError(
            f"retention.challenge_seconds: under {SHARES} seats' sums are disputed before a round "
            "is done, and what is left after it proves nothing; set it to 0, or leave it out"
        )


def _check_ckks(scheme: SchemeSettings, seats: tuple[str, ...]) -> None:
    if seats:
        raise ConfigError(
            f"rounds.seats: under {CKKS} nobody holds a share; leave them out, or set "
            f'scheme.name to "{SHARES}"'
        )
    if scheme.packed or scheme.unchecked:
        raise ConfigError(
            f"scheme.packed and scheme.unchecked are for {SHARES}; leave them out under {CKKS}"
        )


def _check_distributed(scheme: SchemeSettings) -> None:
    if scheme.name == CKKS and scheme.score_step_log2 is not None:
        raise ConfigError(
            'privacy.mechanism: under "distributed" no single update has all of the noise; leave '
            "out scheme.score_step_log2"
        )
    asks = scheme.bound_norms or scheme.score_step_log2 is not None
    if scheme.name == SHARES and asks:
        raise ConfigError(
            'privacy.mechanism: under "distributed" no single update has all of the noise; set '
            "scheme.bound_norms to false and leave out scheme.score_step_log2"
        )
