"""Seats: the parts of the coordinator that serve them, put together in the order of a round."""

from collections.abc import Callable

from coordinator.archive import Archive
from coordinator.members.rosters import Rosters
from coordinator.ports import ObjectStore, Store
from coordinator.rounds.moving import Moving
from coordinator.rounds.standing import Rounds
from coordinator.scoring.scores import RoundScores

from .certifying import Certifying
from .disputes import Disputes
from .judging import Judging
from .parts import Parts
from .pledges import Bonds, Pledges
from .sealed_sums import SealedSums
from .seat_sums import SeatSums


def no_bonds() -> Bonds | None:
    """Return that nothing is settled on a chain."""
    return None


class Seats:
    """What the three seats of a round get and state, and what others read of that."""

    def __init__(
        self,
        rounds: Rounds,
        archive: Archive,
        store: Store,
        objects: ObjectStore,
        rosters: Rosters,
        moving: Moving,
        bonds: Callable[[], Bonds | None] = no_bonds,
    ) -> None:
        self.parts = Parts(rounds, archive, store, objects, moving)
        self.judging = Judging(rounds, archive, store, rosters)
        self.certifying = Certifying(rounds, archive, rosters)
        self.sums = SeatSums(rounds, archive, objects, rosters)
        self.sealed = SealedSums(rounds, archive, objects, moving)
        self.disputes = Disputes(rounds)
        self.scores = RoundScores(rounds, archive, store, rosters)
        self.pledges = Pledges(rounds, archive, rosters, self.sealed, bonds)
