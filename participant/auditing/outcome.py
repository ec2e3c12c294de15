"""What an auditor holds a commit against once its sums are right: the model, and all scores.

No payee's leaf is shown to an auditor. It finds that a round is paid by another method, or that
somebody is paid who should not be, since the sum of all scores is another one then. That score was
shifted from one site to another under the same sum, only these two can see.
"""

from msgspec.structs import replace

from participant.settling.dossier import Standing
from participant.settling.named_model import unlike_released
from participant.settling.scored import Scored
from privacy.errors import ProtocolError, Unavailable
from privacy.settlement.commitment import Commit

from .committed import Held


async def with_outcome(held: Held, commit: Commit, scored: Scored) -> Held:
    """Return what there is to say of a commit, its model and its scores in all included.

    Args:
        held: what was found of its sums; anything wrong with these is said first.
    """
    if held.finding.standing is not Standing.SOUND:
        return held
    coordinator, plan, roster = scored.coordinator, scored.plan, scored.roster
    try:
        said = await unlike_released(coordinator, plan, roster, commit)
        said = said or await scored.fault(commit)
    except (ProtocolError, Unavailable) as error:
        said = (
            f"the coordinator shows no signed release, or no signed scores, to hold it against: "
            f"{error}"
        )
        return Held(replace(held.finding, standing=Standing.WITHHELD, reason=said))
    if not said:
        return held
    return Held(replace(held.finding, standing=Standing.UNPROVED, reason=said))
