"""Adopt a released model: signed by openers who may be, descended from the model held here."""

import asyncio
from dataclasses import dataclass, field

from participant.config import SiteConfig
from participant.keys import SiteKeys
from participant.memory import Memory
from participant.opening.opener import Opening
from participant.opening.spool import FOLDER
from participant.wire.coordinator import Coordinator
from participant.wire.fetch import fetch_model
from privacy.errors import InvalidSignature, NotYet, OpeningRefused, WrongContext
from privacy.failpoints import Step, pass_by
from privacy.identifiers import Digest
from privacy.records import Release, digest_of
from privacy.roster import Roster
from privacy.vectors import Shapes

from .models import Models
from .released import Released, released


@dataclass(frozen=True)
class Adopter:
    """How a trainer comes to hold a new model.

    Attributes:
        versions: every version of the roster that members have admitted, the newest last.
        first: digest of the public first model.
    """

    config: SiteConfig
    keys: SiteKeys = field(repr=False)
    coordinator: Coordinator
    memory: Memory
    models: Models
    versions: tuple[Roster, ...]
    shapes: Shapes
    first: Digest
    openings: dict[int, Opening]
    step: Step = pass_by

    async def adopt(self, number: int) -> Released:
        """Return the release of a round, and its plan; its model is then kept here.

        Raises:
            OpeningRefused: it contradicts what this site, as an opener, has opened itself.
            WrongContext: it does not follow from the model held here.
            InvalidSignature, PolicyRefusal: not enough openers, or not such as may open.
        """
        found = await self._released(number)
        found.check_still_agreed(self.versions[-1])
        release = found.release
        self._check_own_opening(release)
        await self._check_descent(release)
        if not self.models.holds(release.model):
            await self._fetch_model(found)
        self.memory.releases(number, digest_of(release), release.model)
        self.step("adopt.after_record")
        return found

    async def fetch(self, number: int) -> Released:
        """Return the release of a round; its model is then here, and none is adopted by it.

        Raises:
            OpeningRefused, InvalidSignature, PolicyRefusal: as for `adopt`.
            IllegalEvent: the coordinator keeps its model no more.
        """
        found = await self._released(number)
        found.check_still_agreed(self.versions[-1])
        self._check_own_opening(found.release)
        if not self.models.holds(found.release.model):
            await self._fetch_model(found)
        return found

    async def _released(self, number: int) -> Released:
        return await released(self.coordinator, self.config.policy, self.versions, number)

    def _check_own_opening(self, release: Release) -> None:
        # An opener knows what the sum of its cohort gives, whoever signs something else.
        opened = self.memory.opening(release.round)
        made = self.openings.get(release.round)
        other_sum = opened is not None and opened != (release.cohort, release.sum)
        if other_sum or (made is not None and made.model != release.model):
            raise OpeningRefused(
                f"round {release.round}: the release is not of the cohort, sum and model that "
                "this opener has opened; the openers disagree"
            )

    async def _check_descent(self, release: Release) -> None:
        """Return if the release follows from the model held here, over the rounds missed."""
        start, _, mine = self.memory.newest_release() or (0, "", self.first)
        wanted = release.previous
        for number in range(release.round - 1, start, -1):
            try:
                earlier = (await self._released(number)).release
            except (NotYet, InvalidSignature):
                continue  # a round that released nothing
            if earlier.model == wanted:
                wanted = earlier.previous
        if release.round > start and wanted != mine:
            raise WrongContext(
                f"round {release.round}: the release does not follow from model {mine[:16]}…, "
                "which this site holds; the coordinator shows another history"
            )

    async def _fetch_model(self, found: Released) -> None:
        me, pair, number = self.config.participant, self.keys.sealing, found.release.round
        check, newest = found.envelope, self.versions[-1]
        with self.models.writer(self.shapes) as writer:
            place = self.config.state / FOLDER
            await fetch_model(self.coordinator, number, check, me, pair, writer, newest, place)
            self.step("adopt.before_keep")
            await asyncio.to_thread(writer.keep)
            self.step("adopt.after_keep")
