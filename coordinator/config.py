"""The coordinator's configuration: one frozen value, read once at start.

Written in TOML; unknown keys are refused; secrets are paths of files. Every
setting stands in docs/configuration.md.
"""

from pathlib import Path

import msgspec

from privacy.configuration import decode
from privacy.errors import ConfigError
from privacy.events import PositiveDecimal
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.plan import DeadlinePolicy, PrivacyPlan


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the coordinator answers, and under which certificate."""

    address: str
    certificate: Path
    key: Path
    authority: Path


class SchemeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How updates are put on the grid and protected."""

    fraction_bits: int
    value_bits: int
    cohort_max: int
    ciphertexts_per_chunk: int = 17


class RoundSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every round of the programme is held to."""

    wanted: int
    openers: tuple[ParticipantId, ...]
    cohort_minimum: int
    quorum: int
    agreement: int
    clip: PositiveDecimal
    server_learning_rate: PositiveDecimal
    deadline: DeadlinePolicy
    auditor: ParticipantId | None = None


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
