"""What three seats did in one round of the demo, as one value of its report."""

import msgspec


class SeatRound(msgspec.Struct, frozen=True):
    """What one seat did in one round.

    Attributes:
        judged: it has held every contribution against its signed roots.
        unasked: why it could not hold norms against the bound; empty where it did.
        certified: it has signed the cohort.
        stated: its sums are among those that the round's sum was taken from.
        killed_at: when it was killed, in words; empty where it was not.
    """

    participant: str
    judged: bool
    unasked: str
    certified: bool
    stated: bool
    killed_at: str = ""


class SiteScore(msgspec.Struct, frozen=True):
    """What seats opened about one hidden update: rounded, in squared units of the model.

    Attributes:
        squared_norm: of the update.
        alignment: its product with the sum of all updates.
    """

    participant: str
    squared_norm: float
    alignment: float


class Seated(msgspec.Struct, frozen=True):
    """One round's seats, what they found of the updates, and whether enough had signed.

    Attributes:
        seats: in the plan's order.
        certified: whether signatures on the cohort are enough that there is no second one.
        trainers: who of the trainers has signed the cohort.
        checked: sites whose norm was held against the bound, and kept it.
        left_out: sites that seats left out, and why, in words.
        scores: of every site in the sum, where all three seats signed them.
        void: why there are no scores.
    """

    seats: tuple[SeatRound, ...]
    certified: bool
    trainers: tuple[str, ...]
    checked: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    scores: tuple[SiteScore, ...] = ()
    void: str = ""

    @property
    def stated(self) -> tuple[str, ...]:
        """Seats whose sums the round's sum was taken from."""
        return tuple(each.participant for each in self.seats if each.stated)

    def has_scored(self, cohort: tuple[str, ...]) -> bool:
        """Return whether every site of a cohort has a score, or there is a reason for none."""
        if len(self.stated) < len(self.seats):
            return not self.scores and bool(self.void)
        return {each.participant for each in self.scores} == set(cohort) and not self.void
