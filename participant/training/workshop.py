"""What happens to a site's data, inside the worker process: train, privatise, protect, open.

The update lives here and is dropped here: this is the one process that ever holds a whole
vector, while it trains and until the last chunk is protected. What comes out is protected
chunks, a cohort key on its way to being sealed, or the model that an opened sum gives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from participant.model.models import Models
from participant.opening.frozen import Frozen
from participant.opening.next_model import next_model
from participant.opening.reveal_shares import SealedSum, SharedChunks
from participant.opening.spool import Spooled
from participant.pace import Say, say_nothing
from participant.scoring.kept_update import Sealing, read_update, write_update
from participant.sending.protect import MakeProtector, ckks_protector, protect
from participant.sending.random_words import Entropy, RandomWords
from participant.sending.share import Shared, share
from participant.site import Site, Unit, model_shapes
from privacy import plan as plans
from privacy.contribution.products import OpenedSum, Products
from privacy.distributed_sum import DistributedSum
from privacy.errors import ConfigError, IllegalEvent, NotYet, StoreUnavailable, WrongContext
from privacy.grid import Grid
from privacy.identifiers import Digest
from privacy.initial import initial_parts
from privacy.local_training import LocalTraining
from privacy.plan import Mechanism, Plan
from privacy.records import Piece, digest_of
from privacy.schemes.base import Revealer
from privacy.schemes.ckks import CkksRevealer, CohortKey, check_cohort_key
from privacy.schemes.ckks import make_cohort_key as draw_key
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.masks import Mask
from privacy.schemes.shares.opening import SharesRevealer
from privacy.schemes.shares.sharing import UpdateSecrets
from privacy.vectors import ModelDigest, Shapes

from .privatise import privatise
from .sampling import poisson_batch

MakeRevealer: TypeAlias = Callable[[Plan, bytes, Sequence[bytes]], Revealer]
"""Makes a revealer from a plan, the cohort key's secret and those of the cohort's masks."""

MakeSharesRevealer: TypeAlias = Callable[[Plan], Revealer]


def ckks_revealer(plan: Plan, secret: bytes, masks: Sequence[bytes]) -> Revealer:
    """Return what opens the sum of a round, from its plan, secret and masks."""
    parameters, context = plan.parameters(), bytes.fromhex(plan.digest())
    taken_off = [Mask(parameters, mask, context) for mask in masks]
    return CkksRevealer(parameters, plan.arithmetic.dimension, secret, taken_off)


def shares_revealer(plan: Plan) -> Revealer:
    """Return what opens the sum of a round under `shares`, from its plan."""
    return SharesRevealer(plan.shares(), plan.arithmetic.dimension)


@dataclass
class Workshop:
    """One site's data at work; `protector` and the revealers make a scheme's roles for a plan."""

    site: Site
    entropy: Entropy
    protector: MakeProtector = ckks_protector
    revealer: MakeRevealer = ckks_revealer
    shares_revealer: MakeSharesRevealer = shares_revealer
    _shapes: Shapes | None = None
    _update: NDArray[np.float64] | None = field(default=None, repr=False)
    _integers: NDArray[np.int64] | None = field(default=None, repr=False)
    _opened: OpenedSum | None = field(default=None, repr=False)

    def shapes(self) -> Shapes:
        """Return the names and shapes of the site's model."""
        if self._shapes is None:
            # Once: the site makes a whole model to say them.
            self._shapes = model_shapes(self.site)
        return self._shapes

    def require_records(self, records: int, records_per_unit: int) -> None:
        """Return if the data has at most so many units, each of at most so many rows.

        Both are public caps, rounded up, so that no single record decides about the start.

        Raises:
            ConfigError: it has more: what the site's file says must be corrected, and
                delta with it.
        """
        units = self.site.records()
        rows = max(map(_rows, units), default=0)
        if len(units) > records or rows > records_per_unit:
            raise ConfigError(
                "dataset.records or dataset.records_per_unit: the data has more; correct the "
                "site's file, and see that delta stays below one over the number of records"
            )

    def first_model(self, text: str, models: Path) -> Digest:
        """Keep the public model that everyone derives from `text`, and return its digest."""
        with Models(models).writer(self.shapes()) as writer:
            for part in initial_parts(self.shapes(), text):
                writer.update(part)
            return writer.keep()

    def prepare(self, packed_plan: bytes, models: Path) -> None:
        """Return if a plan can be worked on here, without a look at the data.

        Raises:
            NotYet: its model is not there.
            UnsafeParameters: a sampling rate that no batch can be drawn at.
            WrongContext: it is for a model of another size.
        """
        plan = plans.unpack(packed_plan)
        size = Models(models).size(plan.terms.model)
        if size is None:
            raise NotYet(f"model {plan.terms.model[:16]}… is not here yet")
        here = sum(prod(shape) for _, shape in self.shapes())
        if not size == plan.arithmetic.dimension == here:
            raise WrongContext(
                f"round {plan.terms.round}: a plan for {plan.arithmetic.dimension} values, a model "
                f"of {size}, and a site whose model has {here}"
            )
        # A batch of nobody: whether the rate can be drawn at depends on no patient.
        poisson_batch(RandomWords(self.entropy), 0, plan.terms.privacy.training.rate)

    def train(self, packed_plan: bytes, models: Path) -> None:
        """Train on the site's data, from the plan's model; the update stays here.

        Raises:
            NotYet: the model is not there.
        """
        plan = plans.unpack(packed_plan)
        vector = Models(models).vector(plan.terms.model)
        if vector is None:
            raise NotYet(f"model {plan.terms.model[:16]}… is not here yet")
        order = plan.terms.privacy.training
        if isinstance(order, LocalTraining):
            self._update = self._trained(vector, order)
        else:
            self._integers = self._summed(vector, order, plan.grid())

    def _trained(self, vector: NDArray[np.float64], order: LocalTraining) -> NDArray[np.float64]:
        # PyTorch is loaded by those who train: an opener that only opens, or a test, need not.
        from .train import train  # noqa: PLC0415

        return train(self.site, self.shapes(), vector, order, self.entropy)

    def _summed(
        self, vector: NDArray[np.float64], order: DistributedSum, grid: Grid
    ) -> NDArray[np.int64]:
        from .gradient_sum import gradient_sum  # noqa: PLC0415 - as above

        return gradient_sum(self.site, self.shapes(), vector, order, grid, self.entropy)

    def privatise(self, packed_plan: bytes) -> None:
        """Clip the update to the plan's bound and put it on the grid; it stays here.

        A noisy sum of gradients is clipped, and on the grid, since it was made.
        """
        plan = plans.unpack(packed_plan)
        if plan.terms.privacy.mechanism is Mechanism.DISTRIBUTED and self._integers is not None:
            return
        if self._update is None:
            raise IllegalEvent("there is no update to privatise")
        self._integers = privatise(self._update, float(plan.terms.clip), plan.grid())
        self._update = None

    def keep(self, sealing: Sealing) -> None:
        """Write the privatised update to this site's disk, sealed; it stays here as well."""
        if self._integers is None:
            raise IllegalEvent("there is no update to keep")
        write_update(sealing, self._integers)

    def multiply(
        self, packed_plan: bytes, sealing: Sealing, contributions: int, released: Digest, at: Path
    ) -> int:
        """Return the product of an update that was kept with the step to a released model.

        Args:
            contributions: how many updates are in the sum.
            at: where the models are.

        Raises:
            StoreUnavailable: a model or the update is not as it was written.
        """
        plan, models = plans.unpack(packed_plan), Models(at)
        products = Products(plan, contributions)
        found = [ModelDigest(self.shapes()) for _ in range(2)]
        values = read_update(sealing, plan.arithmetic.dimension)
        before, after = models.chunks(plan.terms.model), models.chunks(released)
        for part, old, new in zip(values, before, after, strict=True):
            products.add(part, old, new)
            found[0].update(old)
            found[1].update(new)
        if [each.hexdigest() for each in found] != [plan.terms.model, released]:
            raise StoreUnavailable(f"{at}: a model of round {plan.terms.round} is not as it was")
        return products.total().product

    def opened_sum(self) -> OpenedSum | None:
        """Return what the sum that was opened last has to say about products, once."""
        opened, self._opened = self._opened, None
        return opened

    def protect(
        self,
        packed_plan: bytes,
        public_key: bytes,
        mask: bytes,
        folder: Path,
        say: Say = say_nothing,
    ) -> Piece:
        """Write the protected update to the outbox, and forget it."""
        plan, integers = plans.unpack(packed_plan), self._taken()
        return protect(plan, public_key, mask, integers, folder, make=self.protector, say=say)

    def share(
        self,
        packed_plan: bytes,
        participant: str,
        secrets: UpdateSecrets,
        folder: Path,
        say: Say = say_nothing,
    ) -> Shared:
        """Write what travels of the update in shares to the outbox, and forget the update."""
        plan, integers = plans.unpack(packed_plan), self._taken()
        return share(plan, participant, secrets, integers, folder, say)

    def _taken(self) -> NDArray[np.int64]:
        """Return the privatised update, and forget it: there is one protection of it."""
        if self._integers is None:
            raise IllegalEvent("there is no update to protect")
        integers, self._integers = self._integers, None
        return integers

    def make_key(self, parameters: CkksParameters) -> CohortKey:
        """Make a cohort key."""
        return draw_key(parameters)

    def check_key(self, parameters: CkksParameters, public: bytes, secret: bytes) -> None:
        """Check a cohort key that another opener made."""
        check_cohort_key(parameters, public, secret)

    def reveal(
        self,
        packed_plan: bytes,
        frozen: Frozen,
        secret: bytes,
        masks: Sequence[bytes],
        chunks: Path,
        models: Path,
        say: Say = say_nothing,
    ) -> Digest:
        """Open a sum, keep the model that it gives, and return the model's digest."""
        plan, cohort = plans.unpack(packed_plan), len(frozen.cohort.entries)
        products = Products(plan, cohort) if plan.terms.scheme.releases() else None
        model = next_model(
            plan,
            frozen,
            self.revealer(plan, secret, masks),
            Spooled(chunks, plan.arithmetic.chunks),
            Models(models),
            self.shapes(),
            say,
            products,
        )
        self._opened = products.total() if products else None
        return model

    def reveal_shares(
        self,
        packed_plan: bytes,
        frozen: Frozen,
        sums: Sequence[SealedSum],
        models: Path,
        say: Say = say_nothing,
    ) -> Digest:
        """Open a sum in shares, keep the model that it gives, and return the model's digest."""
        plan = plans.unpack(packed_plan)
        return next_model(
            plan,
            frozen,
            self.shares_revealer(plan),
            SharedChunks(plan, digest_of(frozen.cohort), sums),
            Models(models),
            self.shapes(),
            say,
        )


def _rows(unit: Unit) -> int:
    """Return how many rows a unit has; none if it cannot be said, as it will count as zero."""
    try:
        return len(unit[0])
    except (TypeError, LookupError):
        return 0
