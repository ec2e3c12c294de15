"""The demo's four hospitals as sites: the same network, each with its own patients.

Loaded by name, as any hospital's own site is: `veilsum.demo.hospitals:HospitalA`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from participant.site import Unit

from .clinical_data import Patients, patients_of
from .settings import HIDDEN


class Hospital:
    """A site over some patients; one patient has one row, so the unit of privacy is a patient."""

    def __init__(self, patients: Patients) -> None:
        self._patients = patients

    def model(self) -> nn.Module:
        """Return the 30-511-1 network; its output is a logit of malignancy."""
        layers = {
            "hidden": nn.Linear(30, HIDDEN),
            "bend": nn.Tanh(),
            "output": nn.Linear(HIDDEN, 1),
        }
        return nn.Sequential(OrderedDict(layers))

    def records(self) -> Sequence[Unit]:
        """Return one pair per patient: features, shape (1, 30), and target, shape (1, 1)."""
        features = torch.from_numpy(self._patients.features)
        target = torch.from_numpy(self._patients.malignant).unsqueeze(1)
        return [(features[row : row + 1], target[row : row + 1]) for row in range(len(target))]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return each row's binary cross-entropy, shape (rows,)."""
        return binary_cross_entropy_with_logits(output, target, reduction="none").squeeze(1)


class _NamedHospital(Hospital):
    name: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(patients_of(self.name))


class HospitalA(_NamedHospital):
    """150 patients, 30 % malignant."""

    name = "hospital-a"


class HospitalB(_NamedHospital):
    """120 patients, 45 % malignant."""

    name = "hospital-b"


class HospitalC(_NamedHospital):
    """90 patients, 24 % malignant."""

    name = "hospital-c"


class HospitalD(_NamedHospital):
    """67 patients, 57 % malignant."""

    name = "hospital-d"


SITES: dict[str, type[_NamedHospital]] = {
    site.name: site for site in (HospitalA, HospitalB, HospitalC, HospitalD)
}
"""Each hospital's class by its name."""
