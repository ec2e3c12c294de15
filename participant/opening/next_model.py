"""Make the next model's file from a sum, chunk by chunk: open, apply, hash, write."""

from participant.model.models import Models
from participant.pace import Pace, Say, say_nothing
from privacy.contribution.products import Products
from privacy.errors import StoreUnavailable, WrongContext
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.schemes.base import Revealer
from privacy.vectors import ModelDigest, Shapes

from .apply import Application
from .frozen import Frozen
from .reveal import Chunks, reveal


def next_model(
    plan: Plan,
    frozen: Frozen,
    revealer: Revealer,
    chunks: Chunks,
    models: Models,
    shapes: Shapes,
    say: Say = say_nothing,
    products: Products | None = None,
) -> Digest:
    """Keep the model that a round's sum gives, and return its digest.

    It is among the models only after every chunk was opened and the whole sum was found to
    be one that clipped updates can have.

    Args:
        models: where the model is that the round started from, and where the new one goes.
        say: is told now and then how far it is.
        products: is given the sum with both models, where sites state products of their updates.

    Raises:
        RootMismatch, SumOffGrid: as `reveal`; as `Application`.
        WrongContext: the plan is for a model of another size.
        StoreUnavailable: the disk refuses, or has changed the model.
    """
    size = models.size(plan.terms.model)
    if size != plan.arithmetic.dimension:
        raise WrongContext(f"a plan of {plan.arithmetic.dimension} values for a model of {size}")
    application = Application(plan, len(frozen.cohort.entries))
    before = models.chunks(plan.terms.model, plan.arithmetic.values_per_chunk)
    started_from = ModelDigest(shapes)
    pace = Pace(plan.arithmetic.chunks, say)
    with models.writer(shapes) as new:
        for total, part in zip(reveal(plan, frozen, revealer, chunks), before, strict=True):
            started_from.update(part)
            made = application.part(part, total)
            new.update(made)
            if products is not None:
                products.add(total, part, made)
            pace.step(8 * total.size)
        application.check_bound()
        if started_from.hexdigest() != plan.terms.model:
            raise StoreUnavailable(
                f"{models.path(plan.terms.model)}: not the model of that digest; delete it and "
                "start this site again, and it is there again"
            )
        return new.keep()
