"""A seat in a dispute: it shows the auditor what it added, until the auditor has found out."""

from collections.abc import Sequence

from participant.wire.patience import Patience

from .showing import Showing
from .sitting import Seat, Sitting
from .stating import certified


async def show(seat: Seat, sitting: Sitting, disputed: Sequence[str]) -> None:
    """Answer the auditor about what two seats dispute, for ever.

    Args:
        disputed: the two seats, as the coordinator says; checked before anything is shown.

    Raises:
        ProtocolError, PrivacyError, Unavailable: as for `Showing.serve` and `certified`.
    """
    patience = Patience(seat.entropy, "will_retry", {"task": "Show", "round": sitting.number})
    showing = Showing(
        seat.me,
        seat.keys,
        sitting.roster,
        seat.memory,
        seat.calls,
        seat.mailbox,
        patience,
        seat.config.policy,
    )
    # Taken inside: opening parts can last, and the auditor must hear that this seat is at work.
    await showing.serve(sitting.plan, disputed, lambda: certified(seat, sitting))
