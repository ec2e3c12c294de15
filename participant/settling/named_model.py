"""Whether the model that a commit names is the one that openers have released."""

from collections.abc import Iterable

from participant.opening.agree import check_release
from participant.wire.coordinator import Coordinator
from privacy.documents import Signed
from privacy.plan import Plan
from privacy.roster import Roster
from privacy.settlement.commitment import Commit


async def unlike_released(
    coordinator: Coordinator,
    plan: Plan,
    roster: Roster,
    commit: Commit,
    held: Iterable[Signed] = (),
) -> str:
    """Return how the model of a commit differs from the released one; nothing if it does not.

    Only a round with a release is committed, so an honest coordinator can always show it.

    Args:
        held: releases of the round that this member keeps: whoever has one does not ask.

    Raises:
        NotYet, IllegalEvent, Unavailable: no release is shown.
        InvalidSignature, WrongContext: what is shown was not signed by enough openers.
    """
    signed = next(iter(held), None) or await coordinator.release(plan.terms.round)
    released = check_release(signed, plan, roster).model
    if released == commit.model:
        return ""
    return (
        f"it names model {commit.model[:16]}…, where openers have released {released[:16]}…; ask "
        "the programme's judges before it matures"
    )
