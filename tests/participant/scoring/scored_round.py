"""A released round whose plan asks for products, as one site and its openers see it."""

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from participant.model.models import Models
from participant.model.released import Released
from participant.scoring.kept_update import Keeper
from participant.training.workshop import Workshop
from privacy import canonical
from privacy.contribution.products import OpenedSum
from privacy.contribution.sealed_products import Scored
from privacy.documents import Signed
from privacy.plan import Plan, pack
from privacy.records import Release
from tests.participant import signed_round as made
from tests.participant.agent_at_work import next_model, released
from tests.participant.tiny_site import TinySite


@cache
def plan(**changes: Any) -> Plan:
    scheme = msgspec.structs.replace(made.plan().terms.scheme, score_step_log2=4)
    privacy = msgspec.structs.replace(made.PRIVACY, releases=("participation", "alignment"))
    return made.plan(scheme=scheme, privacy=privacy, **changes)


PLAN = plan()
ROUND = made.Round(PLAN, made.TRAINERS)
AFTER = next_model(ROUND)
RELEASE = released(ROUND, AFTER)[0]
MODEL = made.model_digest(made.SHAPES, AFTER)


def found() -> Released:
    return Released(PLAN, made.roster(), canonical.decode(RELEASE.body, Release), RELEASE)


def scored() -> Scored:
    return Scored(PLAN, ROUND.cohort, found().release)


def products() -> dict[str, int]:
    """What each site must state, in Python's integers."""
    total = [int(each) for each in sum(made.update(name) for name in made.TRAINERS)]
    return {
        name: sum(int(a) * b for a, b in zip(made.update(name), total, strict=True))
        for name in made.TRAINERS
    }


def opened_sum() -> OpenedSum:
    total = [int(each) for each in sum(made.update(name) for name in made.TRAINERS)]
    return OpenedSum(*[sum(each * each for each in total)] * 2)


class Shown:
    """The coordinator, as far as it shows the cohort."""

    async def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        cohort, headers, _ = ROUND.parts()
        return cohort, headers


class Fetches:
    """Whoever fetches releases; raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def fetch(self, number: int) -> Released:
        if self.error:
            raise self.error
        return found()


class Hands:
    """A worker in this process, with the site's updates and both models."""

    def __init__(self, folder: Path) -> None:
        self.models = Models(folder / "models")
        self.models.keep(made.SHAPES, made.FIRST)
        self.models.keep(made.SHAPES, AFTER)
        self.workshop = Workshop(TinySite(), made.os.urandom)
        self.workshop.shapes = lambda: made.SHAPES  # type: ignore[method-assign]

    async def multiply(self, plan: Plan, sealing: Any, contributions: int, model: str) -> int:
        place = self.models.folder
        return self.workshop.multiply(pack(plan), sealing, contributions, model, place)


def keeper(folder: Path, name: str = "amber") -> Keeper:
    return Keeper(folder / "updates", name, made.keys(name).sealing, made.os.urandom)


def keep(of: Keeper, hands: Hands, name: str = "amber") -> None:
    """Keep a site's update as its worker does before it is encrypted."""
    hands.workshop._integers = np.array(made.update(name))
    hands.workshop.keep(of.start(PLAN))
