"""The federation of a measured round: who takes part with what, and what their files say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from participant.joining.init import init
from privacy.errors import ConfigError
from privacy.grid import Grid
from privacy.plan import CKKS, NORM_BOUND_RELEASE, SHARES
from privacy.roster import Role, Roster
from veilsum.federation import founding
from veilsum.federation.founding import (
    Places,
    coordinator_files,
    found,
    member_files,
    write_settings,
)

from .untrained import Untrained, first_digest, grid_for, largest_step

FEDERATION = "bench"
AUDITOR = "auditor"
SEATS = ("seat-1", "seat-2", "seat-3")
SCHEMES: Final[Mapping[str, str]] = {"ckks": CKKS, "shares": SHARES}
"""What the command calls each scheme, and what plans do."""

_MOST_OPENERS = 3
_CIPHERTEXTS_PER_CHUNK = 17
# A measured round waits for everybody, however long that takes.
_DEADLINE = {"progress_seconds": "3600", "abandon_seconds": "7200"}
_DELTA = "0.001"
_EPSILON = "3"
# Nobody trains; but a plan says all that a plan must, and each ledger books what it says.
_TRAINING = {
    "kind": "local",
    "sampling_rate": "0.5",
    "noise_multiplier": "2.75",
    "steps": 2,
    "clip": "1",
    "learning_rate": "1",
    "divisor": 4,
}


@dataclass(frozen=True)
class Setting:
    """A round of as many participants as there are updates; seats or an auditor beside them."""

    scheme: str
    parameters: int
    value_bits: int
    auditor: bool
    updates: dict[str, Untrained]

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the participants."""
        return tuple(self.updates)

    @property
    def openers(self) -> tuple[str, ...]:
        """Names of the openers: three, or as many as there are participants."""
        return self.sites[:_MOST_OPENERS]

    @property
    def seats(self) -> tuple[str, ...]:
        """Names of the seats; none under ckks."""
        return SEATS if self.scheme == "shares" else ()

    @property
    def releases(self) -> Sequence[str]:
        """What the round lets out beside its model."""
        return ["participation", *([NORM_BOUND_RELEASE] if self.seats else [])]

    @property
    def grid(self) -> Grid:
        """The grid of all values."""
        return grid_for(self.value_bits)


def draw(
    participants: int,
    parameters: int,
    value_bits: int,
    *,
    auditor: bool,
    entropy: Callable[[int], bytes],
    scheme: str = "ckks",
) -> Setting:
    """Return a setting with fresh updates.

    Raises:
        ConfigError: no such scheme, fewer than two participants, or a vector too long for its
            values.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme {scheme!r} cannot be measured; one of: {', '.join(SCHEMES)}")
    if participants < 2:
        raise ConfigError(f"a round of {participants} participants: two at least")
    grid = grid_for(value_bits)
    largest_step(parameters, grid.fraction_bits)
    updates = {
        f"site-{number:03d}": Untrained(parameters, grid.fraction_bits, entropy(32).hex())
        for number in range(1, participants + 1)
    }
    # Under shares an auditor judges what seats dispute; there is nothing of it to measure.
    return Setting(scheme, parameters, value_bits, auditor and scheme == "ckks", updates)


def found_setting(places: Places, setting: Setting) -> Roster:
    """Make everybody's keys and certificates, and the coordinator's file; return the roster."""
    for name in setting.sites:
        init(places.site(name), FEDERATION, name, f"Organisation {name}")
    if setting.auditor:
        init(places.site(AUDITOR), FEDERATION, AUDITOR, "Auditors", role=Role.AUDITOR)
    for name in setting.seats:
        init(places.site(name), FEDERATION, name, f"Organisation {name}", role=Role.AGGREGATOR)
    members = [*setting.sites, *([AUDITOR] if setting.auditor else []), *setting.seats]
    roster = found(places, FEDERATION, sorted(members))
    write_settings(places.coordinator / "coordinator.toml", _coordinator(places, setting))
    return roster


def configure_sites(
    places: Places, setting: Setting, roster: Roster, address: str
) -> dict[str, Path]:
    """Write every site's file, and return its path by name."""
    return {
        name: write_settings(
            places.site(name) / "site.toml", _site(places, setting, name, roster, address)
        )
        for name in setting.sites
    }


def configure_auditor(places: Places, roster: Roster, address: str) -> Path:
    """Write the auditor's file, and return its path."""
    return founding.configure_auditor(places, roster, AUDITOR, address, 2, CKKS)


def configure_seats(
    places: Places, setting: Setting, roster: Roster, address: str
) -> dict[str, Path]:
    """Write every seat's file, and return its path by name."""
    return {
        name: founding.configure_seat(places, roster, name, address, smallest_cohort=2)
        for name in setting.seats
    }


def _coordinator(places: Places, setting: Setting) -> dict[str, object]:
    participants = len(setting.sites)
    return {
        **coordinator_files(places, FEDERATION),
        "scheme": {
            "fraction_bits": setting.grid.fraction_bits,
            "value_bits": setting.grid.value_bits,
            "cohort_max": participants,
            **_scheme(setting),
        },
        "rounds": {
            "wanted": 1,
            "openers": list(setting.openers),
            "cohort_minimum": 2,
            "quorum": participants,
            "agreement": 2,
            "clip": "1",
            "server_learning_rate": "1",
            "deadline": _DEADLINE,
            **({"auditor": AUDITOR} if setting.auditor else {}),
            **({"seats": list(setting.seats)} if setting.seats else {}),
        },
        "model": {"dimension": setting.parameters, "initial": first_digest(setting.parameters)},
        "privacy": {
            "mechanism": "local",
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": _DELTA,
            "releases": setting.releases,
            "training": _TRAINING,
        },
    }


def _scheme(setting: Setting) -> Mapping[str, object]:
    """Return the lines of the coordinator's `scheme` that differ between schemes."""
    if setting.scheme == "ckks":
        return {"ciphertexts_per_chunk": _CIPHERTEXTS_PER_CHUNK}
    return {"name": SHARES, "bound_norms": True}


def _site(
    places: Places, setting: Setting, name: str, roster: Roster, address: str
) -> dict[str, object]:
    return {
        **member_files(places, FEDERATION, name, address),
        "dataset": {"id": f"bench-{name}", "site": str(setting.updates[name]), "records": 8},
        "policy": {
            "roster": roster.digest(),
            "openers": list(setting.openers),
            "first_model": "zeros",
            "schemes": [SCHEMES[setting.scheme]],
            "smallest_cohort": 2,
            "epsilon_per_round": _EPSILON,
            "epsilon_for_life": _EPSILON,
            "delta": _DELTA,
            "unit": "patient",
            "neighbouring": "add_remove",
            "releases": setting.releases,
            "without_auditor": not setting.auditor,
        },
    }
