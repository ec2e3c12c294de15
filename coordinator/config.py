"""The coordinator's configuration: one frozen value, read once at start.

Written in TOML; unknown keys are refused; secrets are paths of files. Every
setting stands in docs/configuration.md.
"""

from pathlib import Path
from typing import Literal

import msgspec

from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.events import PositiveDecimal
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.plan import CKKS, SHARES, Count, DeadlinePolicy, Mechanism, PrivacyPlan
from privacy.schemes.shares.layout import SEATS

# 900 kB: what travels is synced to a disk chunk by chunk.
_LEAVES_PER_CHUNK = 112


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the coordinator answers, and under which certificate."""

    address: str
    certificate: Path
    key: Path
    authority: Path


class SchemeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How updates are put on the grid and protected.

    `ciphertexts_per_chunk` is for `ckks/1`; what stands below it for `shares/1`, whose seats
    answer what is asked here about updates that they cannot open.
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


class SettlementSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The chain on which contributions are settled."""

    rpc: str
    chain_id: int
    keystore: Path
    passphrase: Path
    contract: str
    programme: str
    escrow: str


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of the coordinator's settings."""

    federation: FederationId
    state: Path
    database: str
    signing_key: Path
    roster: Path
    listen: Listen
    scheme: SchemeSettings
    rounds: RoundSettings
    model: ModelSettings
    privacy: PrivacyPlan
    settlement: SettlementSettings | None = None

    def __post_init__(self) -> None:
        if self.scheme.name == SHARES:
            _check_shares(self.scheme, self.rounds.seats)
        else:
            _check_ckks(self.scheme, self.rounds.seats)
        if self.privacy.mechanism is Mechanism.DISTRIBUTED:
            _check_distributed(self.scheme)


def read(path: Path) -> Settings:
    """Return the settings in the TOML file at `path`.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a
            value is not of its type; the message names it.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return decode(text, Settings, str(path))


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


def _check_ckks(scheme: SchemeSettings, seats: tuple[str, ...]) -> None:
    if seats:
        raise ConfigError(
            f"rounds.seats: under {CKKS} nobody holds a share; leave them out, or set "
            f'scheme.name to "{SHARES}"'
        )
    if scheme.packed or scheme.unchecked or scheme.score_step_log2 is not None:
        raise ConfigError(
            f"scheme.packed, scheme.unchecked and scheme.score_step_log2 are for {SHARES}; "
            f"leave them out under {CKKS}"
        )


def _check_distributed(scheme: SchemeSettings) -> None:
    asks = scheme.bound_norms or scheme.score_step_log2 is not None
    if scheme.name == SHARES and asks:
        raise ConfigError(
            'privacy.mechanism: under "distributed" no single update has all of the noise; set '
            "scheme.bound_norms to false and leave out scheme.score_step_log2"
        )
