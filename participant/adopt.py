"""Adopt a released model: signed by openers who may be, descended from the model held here."""

from dataclasses import dataclass, field

from privacy.errors import InvalidSignature, NotYet, OpeningRefused, WrongContext
from privacy.identifiers import Digest
from privacy.plan import Plan
from privacy.records import Release, digest_of, release_of
from privacy.roster import Roster
from privacy.vectors import Shapes

from . import agree, policy
from .config import SiteConfig
from .coordinator import Coordinator
from .keys import SiteKeys
from .memory import Memory
from .opener import Opening
from .planned import planned


@dataclass(frozen=True)
class Adopter:
    """How a trainer comes to hold a new model; `first` is the digest of the public first one."""

    config: SiteConfig
    keys: SiteKeys = field(repr=False)
    coordinator: Coordinator
    memory: Memory
    roster: Roster
    shapes: Shapes
    first: Digest
    openings: dict[int, Opening]

    async def adopt(self, number: int) -> Release:
        """Return the release of a round, whose model is then kept here.

        Raises:
            OpeningRefused: it contradicts what this site, as an opener, has opened itself.
            WrongContext: it does not follow from the model held here.
            InvalidSignature, PolicyRefusal: not enough openers, or not such as may open.
        """
        plan, release = await self._release(number)
        self._check_own_opening(release)
        await self._check_descent(release)
        if not self.memory.holds(release.model):
            await self._fetch_model(plan, release)
        self.memory.releases(number, digest_of(release), release.model)
        return release

    async def _release(self, number: int) -> tuple[Plan, Release]:
        """Return a release that openers, who may be openers by the roster, have signed."""
        plan = await planned(self.coordinator, self.roster, number)
        policy.check_roster(plan, self.config.policy, self.roster)
        signed = await self.coordinator.release(number)
        return plan, agree.check_release(signed, plan, self.roster)

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
                _, earlier = await self._release(number)
            except (NotYet, InvalidSignature):
                continue  # a round that released nothing
            if earlier.model == wanted:
                wanted = earlier.previous
        if release.round > start and wanted != mine:
            raise WrongContext(
                f"round {release.round}: the release does not follow from model {mine[:16]}…, "
                "which this site holds; the coordinator shows another history"
            )

    async def _fetch_model(self, plan: Plan, release: Release) -> None:
        signed, chunks = await self.coordinator.model(release.round)
        envelope = agree.check_envelope(signed, plan, release.sum, self.roster)
        if release_of(envelope, release.cohort, release.previous) != release:
            raise WrongContext(f"round {release.round}: not the sealed model that was released")
        me = self.config.participant
        self.memory.keep_model(
            release.model, agree.open_model(envelope, chunks, me, self.keys.sealing, self.shapes)
        )
