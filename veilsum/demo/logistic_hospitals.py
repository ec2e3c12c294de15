"""The demo's four hospitals with a logistic regression, for noise that they share."""

from collections import OrderedDict

from torch import nn

from . import hospitals
from .hospitals import Hospital


class LogisticHospital(Hospital):
    """A site over some patients whose model is linear in their features."""

    def model(self) -> nn.Module:
        """Return the 30-1 model; its output is a logit of malignancy."""
        return nn.Sequential(OrderedDict(output=nn.Linear(30, 1)))


class HospitalA(LogisticHospital, hospitals.HospitalA):
    """The first hospital's patients."""


class HospitalB(LogisticHospital, hospitals.HospitalB):
    """The second hospital's patients."""


class HospitalC(LogisticHospital, hospitals.HospitalC):
    """The third hospital's patients."""


class HospitalD(LogisticHospital, hospitals.HospitalD):
    """The fourth hospital's patients."""
