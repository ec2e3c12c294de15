"""The demo's own federation: who takes part under which scheme, what their files say, who opens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from privacy import canonical
from privacy.initial import initial_vector
from privacy.plan import CKKS, NORM_BOUND_RELEASE, SCORE_RELEASES, SHARES
from privacy.roster import Roster
from privacy.vectors import dimension, model_digest
from veilsum.federation import founding
from veilsum.federation.founding import coordinator_files, member_files, write_settings

from . import settings as agreed
from .clinical_data import patients_of
from .settlement import Programme

FEDERATION = "breast-cancer"
SCHEMES: Final[Mapping[str, str]] = {"ckks": CKKS, "shares": SHARES}
"""What the command calls each scheme, and what plans do."""

HOSPITALS = {
    "hospital-a": ("Hospital A", "HospitalA"),
    "hospital-b": ("Hospital B", "HospitalB"),
    "hospital-c": ("Hospital C", "HospitalC"),
    "hospital-d": ("Hospital D", "HospitalD"),
}
AUDITOR = "audit-office"
AUDITORS_ORGANISATION = "Audit Office"
SEATS = {
    "seat-network": "Hospital Network",
    "seat-registry": "Cancer Registry",
    "seat-university": "University",
}
"""Under shares: who runs each seat. The Hospital Network also runs the coordinator."""

OPENERS = ("hospital-a", "hospital-b", "hospital-c")
KILLED = "hospital-d"
KILL_ROUND = 2
KILLED_SEAT = "seat-university"
SEAT_KILL_ROUND = 3
SMALLEST_COHORT = 3
PROGRESS_SECONDS = "3"
ABANDON_SECONDS = "60"


class Places(founding.Places):
    """Where everything of one demo lies."""

    def witness(self, name: str) -> Path:
        """Return the folder of what a hospital's witness noted."""
        return self.root / "witness" / name


def members(scheme: str) -> Sequence[str]:
    """Return the names of all founding members, sorted as a roster has them."""
    return sorted([*HOSPITALS, AUDITOR, *seats(scheme)])


def seats(scheme: str) -> Sequence[str]:
    """Return the names of the seats, in the order in which plans name them; none under ckks."""
    return tuple(SEATS) if scheme == "shares" else ()


def releases(scheme: str) -> Sequence[str]:
    """Return what a round lets out beside its model."""
    asked = (NORM_BOUND_RELEASE, *SCORE_RELEASES) if scheme == "shares" else ()
    return ["participation", *asked]


def first_model_digest() -> str:
    """Return the digest of the public model that the first round starts from."""
    vector = initial_vector(agreed.DEMO_SHAPES, agreed.MODEL_SEED_TEXT)
    return model_digest(agreed.DEMO_SHAPES, vector)


def configure_coordinator(places: Places, programme: Programme | None, scheme: str) -> Path:
    """Write the coordinator's configuration and return its path."""
    home = places.coordinator
    document: dict[str, object] = {
        **coordinator_files(places, FEDERATION),
        "scheme": {
            "fraction_bits": agreed.DEMO_GRID.fraction_bits,
            "value_bits": agreed.DEMO_GRID.value_bits,
            "cohort_max": len(HOSPITALS),
            **_scheme(scheme),
        },
        "rounds": {
            "wanted": agreed.ROUNDS,
            "openers": list(OPENERS),
            "auditor": AUDITOR,
            **({"seats": list(seats(scheme))} if seats(scheme) else {}),
            "cohort_minimum": SMALLEST_COHORT,
            "quorum": 3,
            "agreement": 2,
            "clip": agreed.UPDATE_CLIP,
            "server_learning_rate": agreed.SERVER_LEARNING_RATE,
            "deadline": {
                "progress_seconds": PROGRESS_SECONDS,
                "abandon_seconds": ABANDON_SECONDS,
            },
        },
        "model": {
            "dimension": dimension(agreed.DEMO_SHAPES),
            "initial": first_model_digest(),
        },
        "privacy": {
            "mechanism": "local",
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": agreed.DELTA,
            "releases": releases(scheme),
            "training": canonical.builtins(agreed.DEMO_TRAINING),
        },
    }
    if programme is not None:
        document["settlement"] = programme.for_coordinator(home)
    return write_settings(home / "coordinator.toml", document)


def configure_site(
    places: Places,
    name: str,
    address: str,
    fingerprint: str,
    programme: Programme | None,
    scheme: str,
) -> Path:
    """Write a hospital's `site.toml`, its policy included, and return its path."""
    home, (_, site) = places.site(name), HOSPITALS[name]
    document: dict[str, object] = {
        **member_files(places, FEDERATION, name, address),
        "dataset": {
            "id": f"wdbc-{name}",
            "site": f"veilsum.demo.hospitals:{site}",
            "records": len(patients_of(name).malignant),
        },
        "policy": {
            "roster": fingerprint,
            "openers": list(OPENERS),
            "first_model": agreed.MODEL_SEED_TEXT,
            "schemes": [SCHEMES[scheme]],
            "smallest_cohort": SMALLEST_COHORT,
            "epsilon_per_round": agreed.EPSILON_LIMIT,
            "epsilon_for_life": agreed.EPSILON_LIMIT,
            "delta": agreed.DELTA,
            "unit": "patient",
            "neighbouring": "add_remove",
            "releases": releases(scheme),
        },
    }
    if programme is not None:
        document["settlement"] = programme.for_site(home)
    return write_settings(home / "site.toml", document)


def configure_auditor(places: Places, roster: Roster, address: str, scheme: str) -> Path:
    """Write the auditor's file, and return its path."""
    return founding.configure_auditor(
        places, roster, AUDITOR, address, SMALLEST_COHORT, SCHEMES[scheme]
    )


def configure_seat(places: Places, roster: Roster, name: str, address: str) -> Path:
    """Write a seat's file, and return its path."""
    return founding.configure_seat(places, roster, name, address, SMALLEST_COHORT)


def init_arguments(places: Places, name: str) -> Sequence[str]:
    """Return the command by which a member makes its keys, in a process of its own."""
    if name == AUDITOR:
        return founding.auditor_init_arguments(places, FEDERATION, name, AUDITORS_ORGANISATION)
    if name in SEATS:
        return founding.seat_init_arguments(places, FEDERATION, name, SEATS[name])
    organisation, _ = HOSPITALS[name]
    return founding.init_arguments(places, FEDERATION, name, organisation, chain=True)


def _scheme(scheme: str) -> Mapping[str, object]:
    """Return the lines of the coordinator's `scheme` that differ between schemes."""
    if scheme == "ckks":
        return {"ciphertexts_per_chunk": 1}
    return {
        "name": SHARES,
        "leaves_per_chunk": agreed.LEAVES_PER_CHUNK,
        "bound_norms": True,
        "score_step_log2": agreed.SCORE_STEP_LOG2,
        # A seat that is away for good must not stop the round.
        "unchecked": True,
    }
