"""Who may join, and how: enrolment by the operator, admission by members."""

from dataclasses import dataclass

from .enrolment import Enrolment
from .forgetting import Forgetting
from .issuing import Issuing
from .proposals import Proposals
from .revocations import Revocations
from .rosters import Rosters
from .seen import SeenBook


@dataclass(frozen=True)
class Office:
    """The parts of a coordinator that members come to before, and beside, the rounds."""

    rosters: Rosters
    enrolment: Enrolment
    proposals: Proposals
    revocations: Revocations
    seen: SeenBook

    @property
    def forgetting(self) -> Forgetting:
        """What forgets invitations and certificates that are over."""
        return Forgetting(self.enrolment.store, self.enrolment.now)

    @property
    def issuing(self) -> Issuing:
        """Where certificates are made."""
        return self.enrolment.issuing
