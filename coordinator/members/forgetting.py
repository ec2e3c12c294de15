"""What the office forgets: invitations that are over, and certificates that ended long ago.

What members stand on stays: of each member who is not shut out the newest approval, by whose
entry it can be proposed; of everybody the newest certificate, by which who was away is renewed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from coordinator.ports import Store, StoredInvitation
from privacy import canonical
from privacy.roster import Member

from .enrolment import approved
from .invitations import Invitation

log = structlog.get_logger()

KEPT_SECONDS: Final = 30 * 86_400
"""From the last answer that an invitation gives, or from a certificate's end."""

LOOK_SECONDS: Final = 3600.0
"""Between two looks at what may go."""


@dataclass(frozen=True)
class Forgetting:
    """Forgets, look by look, what is decided or ended and nobody needs any more."""

    store: Store
    now: Callable[[], float]

    def go_on(self) -> float:
        """Forget what may go by now; return the seconds to wait before the next call.

        Raises:
            StoreUnavailable: some of it may be left; the next look finds it.
        """
        now = self.now()
        over = invitations_over(self.store.invitations(), approved(self.store), now)
        if over:
            self.store.forget_invitations(over)
            log.info("invitations_forgotten", invitations=len(over))
        self.store.forget_certificates(now - KEPT_SECONDS)
        return LOOK_SECONDS


def invitations_over(
    stored: Sequence[StoredInvitation], standing: Sequence[Member], now: float
) -> list[str]:
    """Return the tokens' digests of invitations that may be forgotten.

    Args:
        standing: the newest approved entry of each member who is not shut out; it stays.
    """
    found = [(each.token, canonical.decode(each.body, Invitation)) for each in stored]
    entries = {each.participant: each for each in standing}
    newest: dict[str, float] = {}
    for _, each in found:
        if each.entry() is not None:
            newest[each.participant] = max(newest.get(each.participant, 0.0), each.decided_at)
    return [
        token
        for token, each in found
        if now >= each.answered_until() + KEPT_SECONDS
        and not (
            each.entry() is not None
            and each.participant in entries
            and each.decided_at == newest[each.participant]
        )
    ]
