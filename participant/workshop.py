"""What happens to a site's data, inside the worker process: train, privatise, protect, open.

The update lives here and is dropped here. What comes out is protected chunks, a
cohort key on its way to being sealed, or an opened sum.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from privacy import plan as plans
from privacy.errors import ConfigError, IllegalEvent
from privacy.plan import Plan
from privacy.records import Piece
from privacy.schemes.base import Protector, Revealer
from privacy.schemes.ckks import CkksProtector, CkksRevealer, CohortKey, check_cohort_key
from privacy.schemes.ckks import make_cohort_key as draw_key
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.vectors import Shapes

from . import reveal as opening
from .privatise import privatise
from .protect import protect
from .random_words import Entropy
from .reveal import Frozen
from .site import Site, initial_vector, model_shapes
from .train import train


def ckks_protector(plan: Plan, public_key: bytes) -> Protector:
    """Return what encrypts updates under a round's plan and key."""
    return CkksProtector(plan.parameters(), plan.arithmetic.dimension, public_key)


def ckks_revealer(plan: Plan, secret: bytes) -> Revealer:
    """Return what opens the sum of a round, from its plan and secret."""
    return CkksRevealer(plan.parameters(), plan.arithmetic.dimension, secret)


@dataclass
class Workshop:
    """One site's data at work; `protector` and `revealer` make a scheme's roles for a plan."""

    site: Site
    entropy: Entropy
    protector: Callable[[Plan, bytes], Protector] = ckks_protector
    revealer: Callable[[Plan, bytes], Revealer] = ckks_revealer
    _update: NDArray[np.float64] | None = field(default=None, repr=False)
    _integers: NDArray[np.int64] | None = field(default=None, repr=False)

    def shapes(self) -> Shapes:
        """Return the names and shapes of the site's model."""
        return model_shapes(self.site)

    def require_records(self, records: int, records_per_unit: int) -> None:
        """Return if the data has at most so many units, each of at most so many rows.

        Raises:
            ConfigError: it has more: what the site's file says must be corrected, and
                delta with it.
        """
        units = self.site.records()
        rows = max((len(features) for features, _ in units), default=0)
        if len(units) > records or rows > records_per_unit:
            raise ConfigError(
                "dataset.records or dataset.records_per_unit: the data has more; correct the "
                "site's file, and see that delta stays below one over the number of records"
            )

    def first_model(self, text: str) -> NDArray[np.float64]:
        """Return the public model that everyone derives from `text`."""
        return initial_vector(self.site, text)

    def train(self, packed_plan: bytes, model: bytes) -> None:
        """Train on the site's data; the update stays here."""
        plan = plans.unpack(packed_plan)
        vector = np.frombuffer(model, "<f8").copy()
        order = plan.terms.privacy.training
        self._update = train(self.site, self.shapes(), vector, order, self.entropy)

    def privatise(self, packed_plan: bytes) -> None:
        """Clip the update to the plan's bound and put it on the grid; it stays here."""
        if self._update is None:
            raise IllegalEvent("there is no update to privatise")
        plan = plans.unpack(packed_plan)
        self._integers = privatise(self._update, float(plan.terms.clip), plan.grid())
        self._update = None

    def protect(self, packed_plan: bytes, public_key: bytes, folder: str) -> Piece:
        """Write the protected update to the outbox, and forget it."""
        if self._integers is None:
            raise IllegalEvent("there is no update to protect")
        plan, integers = plans.unpack(packed_plan), self._integers
        self._integers = None
        return protect(plan, self.protector(plan, public_key), integers, Path(folder))

    def make_key(self, parameters: CkksParameters) -> CohortKey:
        """Make a cohort key."""
        return draw_key(parameters)

    def check_key(self, parameters: CkksParameters, public: bytes, secret: bytes) -> None:
        """Check a cohort key that another opener made."""
        check_cohort_key(parameters, public, secret)

    def reveal(
        self, packed_plan: bytes, frozen: Frozen, secret: bytes, chunks: Sequence[bytes]
    ) -> NDArray[np.int64]:
        """Open a sum."""
        plan = plans.unpack(packed_plan)
        return opening.reveal(plan, frozen, self.revealer(plan, secret), chunks)
