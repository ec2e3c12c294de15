"""The demo's own federation: who takes part under which scheme, what their files say, who opens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import tomlkit

from privacy import canonical
from privacy.contribution.scores import Method, default_method
from privacy.initial import initial_vector
from privacy.plan import (
    ALIGNMENT_RELEASE,
    CKKS,
    NORM_BOUND_RELEASE,
    SCORE_RELEASES,
    SHARES,
    Mechanism,
)
from privacy.roster import Roster
from privacy.vectors import dimension, model_digest
from veilsum.federation import founding
from veilsum.federation.founding import coordinator_files, member_files, write_settings

from . import settings as agreed
from .clinical_data import patients_of
from .settings import Job
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

    @property
    def yardsticks(self) -> Path:
        """Return the file of what measured scores are held against."""
        return self.root / "yardsticks.json"


def members(scheme: str) -> Sequence[str]:
    """Return the names of all founding members, sorted as a roster has them."""
    return sorted([*HOSPITALS, AUDITOR, *seats(scheme)])


def seats(scheme: str) -> Sequence[str]:
    """Return the names of the seats, in the order in which plans name them; none under ckks."""
    return tuple(SEATS) if scheme == "shares" else ()


def releases(scheme: str, job: Job) -> Sequence[str]:
    """Return what a round lets out beside its model."""
    if not _asks(job):
        return ["participation"]
    shown = (NORM_BOUND_RELEASE, *SCORE_RELEASES) if seats(scheme) else (ALIGNMENT_RELEASE,)
    return ["participation", *shown]


def method_of(job: Job) -> Method:
    """Return how rounds are paid: by what is opened of updates, where anything is."""
    return default_method(scored=_asks(job))


def first_model_digest(job: Job) -> str:
    """Return the digest of the public model that the first round starts from."""
    return model_digest(job.shapes, initial_vector(job.shapes, job.model_text))


def configure_coordinator(
    places: Places, programme: Programme | None, scheme: str, job: Job
) -> Path:
    """Write the coordinator's configuration and return its path."""
    home = places.coordinator
    document: dict[str, object] = {
        **coordinator_files(places, FEDERATION),
        "scheme": {
            "fraction_bits": job.grid.fraction_bits,
            "value_bits": job.grid.value_bits,
            "cohort_max": len(HOSPITALS),
            **_scheme(scheme, job),
        },
        "rounds": {
            "wanted": job.rounds,
            "openers": list(OPENERS),
            "auditor": AUDITOR,
            **({"seats": list(seats(scheme))} if seats(scheme) else {}),
            "cohort_minimum": job.cohort_minimum,
            "quorum": job.cohort_minimum,
            "agreement": 2,
            "clip": job.clip,
            "server_learning_rate": job.server_learning_rate,
            "deadline": {
                "progress_seconds": PROGRESS_SECONDS,
                "abandon_seconds": ABANDON_SECONDS,
            },
        },
        "model": {
            "dimension": dimension(job.shapes),
            "initial": first_model_digest(job),
        },
        "privacy": {
            "mechanism": job.mechanism,
            "unit": "patient",
            "neighbouring": "add_remove",
            "delta": agreed.DELTA,
            "releases": releases(scheme, job),
            "training": canonical.builtins(job.training),
        },
    }
    if programme is not None:
        access = programme.for_coordinator(home)
        document["settlement"] = {**access, "method": method_of(job)}
    return write_settings(home / "coordinator.toml", document)


def configure_site(
    places: Places,
    name: str,
    address: str,
    fingerprint: str,
    programme: Programme | None,
    scheme: str,
    job: Job,
) -> Path:
    """Write a hospital's `site.toml`, its policy included, and return its path."""
    home, (_, site) = places.site(name), HOSPITALS[name]
    document: dict[str, object] = {
        **member_files(places, FEDERATION, name, address),
        "dataset": {
            "id": f"wdbc-{name}",
            "site": f"{job.sites}:{site}",
            "records": len(patients_of(name).malignant),
        },
        "policy": {
            "roster": fingerprint,
            "openers": list(OPENERS),
            "first_model": job.model_text,
            "schemes": [SCHEMES[scheme]],
            "smallest_cohort": SMALLEST_COHORT,
            "mechanisms": [job.mechanism],
            "epsilon_per_round": job.epsilon_limit,
            "epsilon_for_life": job.epsilon_limit,
            "vector_epsilon_per_round": job.vector_epsilon_limit,
            "vector_epsilon_for_life": job.vector_epsilon_limit,
            "delta": agreed.DELTA,
            "unit": "patient",
            "neighbouring": "add_remove",
            "releases": releases(scheme, job),
        },
    }
    if programme is not None:
        document["settlement"] = {**programme.for_site(home), "method": method_of(job)}
    return write_settings(home / "site.toml", document)


def configure_auditor(
    places: Places,
    roster: Roster,
    address: str,
    scheme: str,
    job: Job,
    programme: Programme | None = None,
) -> Path:
    """Write the auditor's file, and return its path.

    Args:
        programme: whose commits it is to look at, too; None if it looks at sums alone.
    """
    path = founding.configure_auditor(
        places, roster, AUDITOR, address, SMALLEST_COHORT, SCHEMES[scheme]
    )
    if programme is not None:
        settlement = {**programme.for_auditor(places.site(AUDITOR)), "method": method_of(job)}
        written = tomlkit.parse(path.read_text()).unwrap()
        write_settings(path, {**written, "settlement": settlement})
    return path


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


def _asks(job: Job) -> bool:
    """Return whether anything is asked about single updates, which nobody can open.

    Where sites share the noise, no answer about one of them is private.
    """
    return job.mechanism is Mechanism.LOCAL


def _scheme(scheme: str, job: Job) -> Mapping[str, object]:
    """Return the lines of the coordinator's `scheme` that differ between schemes."""
    scores = {"score_step_log2": agreed.SCORE_STEP_LOG2} if _asks(job) else {}
    if scheme == "ckks":
        return {"ciphertexts_per_chunk": 1, **scores}
    return {
        "name": SHARES,
        "leaves_per_chunk": agreed.LEAVES_PER_CHUNK,
        "bound_norms": _asks(job),
        **scores,
        # A seat that is away for good must not stop the round.
        "unchecked": True,
    }
