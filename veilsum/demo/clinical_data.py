"""The demo's patients: the Wisconsin breast cancer set over four hospitals, and a test set.

569 real patients (Street, Wolberg and Mangasarian 1993), shipped with scikit-learn. The
split is public and the same on every machine: a permutation keyed by a text through
SHAKE-256. Sizes and shares of malignant cases differ from hospital to hospital.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

HOSPITALS = ("hospital-a", "hospital-b", "hospital-c", "hospital-d")
"""Names, from the largest to the smallest."""

SPLIT_TEXT = "veilsum demo split 1"
"""Public text that decides which patient is where."""

# Benign and malignant patients. Together: all 357 and 212 that there are.
_TEST = (89, 53)
_SHARES = {
    "hospital-a": (105, 45),
    "hospital-b": (66, 54),
    "hospital-c": (68, 22),
    "hospital-d": (29, 38),
}

# Typical value and spread of each feature, fixed before any patient is looked at. They follow
# by one rule from the lowest and highest values that the documentation of the set prints, and
# are rounded to two digits: typical is sqrt(low * high), or a fifth of high where low is 0;
# spread is a sixth of the range. A hospital's own mean and deviation would serve no better
# and are queries on its patients: used here, they would leak through every later round,
# outside of what epsilon counts. A real federation writes such constants in its protocol.
_TYPICAL_AND_SPREAD = (
    (14, 3.5),  # mean radius
    (20, 4.9),  # mean texture
    (91, 24),  # mean perimeter
    (600, 390),  # mean area
    (0.093, 0.018),  # mean smoothness
    (0.081, 0.054),  # mean compactness
    (0.085, 0.071),  # mean concavity
    (0.040, 0.034),  # mean concave points
    (0.18, 0.033),  # mean symmetry
    (0.070, 0.0078),  # mean fractal dimension
    (0.57, 0.46),  # radius error
    (1.3, 0.75),  # texture error
    (4.1, 3.5),  # perimeter error
    (61, 89),  # area error
    (0.0079, 0.0048),  # smoothness error
    (0.016, 0.022),  # compactness error
    (0.079, 0.066),  # concavity error
    (0.011, 0.0088),  # concave points error
    (0.025, 0.012),  # symmetry error
    (0.0055, 0.0048),  # fractal dimension error
    (17, 4.7),  # worst radius
    (24, 6.3),  # worst texture
    (110, 33),  # worst perimeter
    (890, 680),  # worst area
    (0.13, 0.025),  # worst smoothness
    (0.17, 0.17),  # worst compactness
    (0.25, 0.21),  # worst concavity
    (0.058, 0.048),  # worst concave points
    (0.32, 0.085),  # worst symmetry
    (0.11, 0.025),  # worst fractal dimension
)

_FURTHEST = 3.0
"""Spreads; a feature further out counts as this far, so that no outlier rules a gradient."""


@dataclass(frozen=True, slots=True)
class Patients:
    """Some patients: scaled features, shape (n, 30), and 1 for malignant, shape (n,)."""

    features: NDArray[np.float64]
    malignant: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.malignant)


def patients_of(hospital: str) -> Patients:
    """Return the hospital's own patients.

    Raises:
        KeyError: there is no such hospital.
    """
    return _split()[hospital]


def held_out() -> Patients:
    """Return the 142 patients that no hospital has."""
    return _split()["test"]


def all_hospitals() -> Patients:
    """Return what the hospitals would have if they pooled their patients."""
    parts = [patients_of(hospital) for hospital in HOSPITALS]
    return Patients(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.malignant for part in parts]),
    )


@cache
def _split() -> dict[str, Patients]:
    features, malignant = _scaled()
    order = _permutation(len(malignant), SPLIT_TEXT)
    benign_left = [index for index in order if malignant[index] == 0]
    malignant_left = [index for index in order if malignant[index] == 1]
    split = {}
    for name, (benign, cancer) in {"test": _TEST, **_SHARES}.items():
        chosen = benign_left[:benign] + malignant_left[:cancer]
        del benign_left[:benign], malignant_left[:cancer]
        split[name] = Patients(features[chosen], malignant[chosen])
    return split


def _scaled() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Imported here: a process that only knows the hospitals' names has no need of it.
    from sklearn.datasets import (  # type: ignore[import-untyped]  # noqa: PLC0415
        load_breast_cancer,
    )

    raw, benign = load_breast_cancer(return_X_y=True)
    typical, spread = np.array(_TYPICAL_AND_SPREAD).T
    return np.clip((raw - typical) / spread, -_FURTHEST, _FURTHEST), 1.0 - benign


def _permutation(count: int, text: str) -> list[int]:
    keys = np.frombuffer(hashlib.shake_256(text.encode()).digest(8 * count), "<u8")
    return [int(index) for index in np.argsort(keys, kind="stable")]
