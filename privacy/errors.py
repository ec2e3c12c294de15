"""Every error Veilsum raises on purpose.

The first question an error answers is *who must act*:

    VeilsumError
    ├── InternalError            the developers of Veilsum, or of the site's own class
    │   └── InvariantBroken
    ├── ConfigError              the operator, before or at the start of a process
    │   ├── InsecureKeyFile
    │   ├── LedgerRolledBack
    │   ├── MissingDependency
    │   └── SchemaMismatch
    ├── ProtocolError            the peer; the same bytes will never succeed
    │   ├── MalformedMessage
    │   ├── InvalidSignature
    │   ├── WrongIdentity
    │   │   ├── CertificateEnded
    │   │   └── CertificateRevoked
    │   ├── InvitationRefused
    │   ├── RosterRefused
    │   ├── WrongContext
    │   ├── RootMismatch
    │   ├── FalseSum
    │   ├── FalseProduct
    │   ├── FalsePayout
    │   ├── FalseCommit
    │   ├── SeatsDisagree
    │   ├── SeatLied
    │   ├── ConflictingContribution
    │   ├── PeerLedgerRolledBack
    │   ├── ReleaseMismatch
    │   ├── EndpointsDiffer
    │   └── IllegalEvent
    ├── PrivacyError             nobody may override; the guarantee comes first
    │   ├── BudgetExhausted
    │   ├── CohortTooSmall
    │   ├── PolicyRefusal
    │   ├── UnsafeParameters
    │   ├── AccountingMismatch
    │   ├── UpdateOutOfRange
    │   ├── NormOverBound
    │   ├── NormNotAsked
    │   ├── OpeningRefused
    │   └── SumOffGrid
    └── Unavailable              time; retry with back-off
        ├── NotYet
        ├── AwaitingApproval
        ├── OutsideHours
        ├── TooManyRequests
        ├── AddressTaken
        ├── FolderHeld
        ├── PeerUnreachable
        ├── StoreUnavailable
        ├── FoldInterrupted
        │   └── DistrustedSum
        ├── Standby
        ├── LeaseLost
        └── ChainUnavailable
            └── FeeAboveCeiling

Messages name quantities and public identifiers. They never carry a vector, a
share, a key, or anything else that a log file should not hold.
"""

from typing import ClassVar

from .policy_line import PolicyLine


class VeilsumError(Exception):
    """Root of the tree. Catch a family; raise a leaf."""

    code: ClassVar[str] = "internal"
    who_acts: ClassVar[str] = "the developers of Veilsum"


class InternalError(VeilsumError):
    """Something failed that nobody raised on purpose; the process's own log says what."""

    code = "unexpected"
    who_acts = "the developers of Veilsum, or of the site's own class"


class InvariantBroken(InternalError):
    """What must always hold of a round does not; nothing is saved, and the coordinator stops."""

    code = "invariant_broken"
    who_acts = "the developers of Veilsum; the operator keeps the database and starts nothing"


class ConfigError(VeilsumError):
    """The process cannot start, or go on, as it is configured."""

    code = "config"
    who_acts = "the operator of this process"


class InsecureKeyFile(ConfigError):
    """A private key can be read by others than its owner."""

    code = "insecure_key_file"


class LedgerRolledBack(ConfigError):
    """The privacy ledger is older than what this site has seen of it, or another one."""

    code = "ledger_rolled_back"


class MissingDependency(ConfigError):
    """An optional part was asked for and its packages are not installed."""

    code = "missing_dependency"


class SchemaMismatch(ConfigError):
    """The database was written by another version of Veilsum."""

    code = "schema_mismatch"


class ProtocolError(VeilsumError):
    """The peer broke the protocol; the same bytes will never succeed."""

    code = "protocol"
    who_acts = "the peer that sent this"


class MalformedMessage(ProtocolError):
    """Bytes that are not what their marker says they are."""

    code = "malformed_message"


class InvalidSignature(ProtocolError):
    """A signature is missing, or was not made by the key it claims."""

    code = "invalid_signature"


class WrongIdentity(ProtocolError):
    """The certificate's name is not the one the message, or the method, needs."""

    code = "wrong_identity"


class CertificateEnded(WrongIdentity):
    """The certificate's time is over, on a connection that was made before it was."""

    code = "certificate_ended"
    who_acts = "the member whose certificate it is: its process renews it, or its operator does"


class CertificateRevoked(WrongIdentity):
    """An operator of the federation has shut the certificate out; nothing made with it counts."""

    code = "certificate_revoked"
    who_acts = "the operator who revoked it; the member's own operator calls and enrols again"


class InvitationRefused(ProtocolError):
    """An invitation is not one, has ended, or was used with other keys; or a decision is not one.

    It says nothing of who else was invited.
    """

    code = "invitation_refused"
    who_acts = "the operator who invited, who makes another link; the message says why"


class RosterRefused(ProtocolError):
    """A roster is not closed, proposed or signed: with it, rounds could not run safely."""

    code = "roster_refused"
    who_acts = "the operator who closes or proposes it; the message says what it lacks"


class WrongContext(ProtocolError):
    """A message was made for another federation, round, plan or key record."""

    code = "wrong_context"


class RootMismatch(ProtocolError):
    """The bytes received do not hash to the root that was signed."""

    code = "root_mismatch"


class FalseSum(ProtocolError):
    """What the coordinator calls the sum is not that of the contributions; an auditor has added."""

    code = "false_sum"


class FalseProduct(ProtocolError):
    """Stated products do not add up to that of their sum, or one is too large: no scores."""

    code = "false_product"


class FalsePayout(ProtocolError):
    """What a site is said to have earned is not by the formula, or less than it was before."""

    code = "false_payout"


class FalseCommit(ProtocolError):
    """What was committed to a chain is not of this site's contribution, or not of those signed."""

    code = "false_commit"


class SeatsDisagree(ProtocolError):
    """The two holders of one component show different sums of it; one of them is wrong."""

    code = "seats_disagree"


class SeatLied(ProtocolError):
    """A seat's signed sum is not that of what the sites have signed."""

    code = "seat_lied"


class ConflictingContribution(ProtocolError):
    """A participant sent two different contributions, or chunks, for one round."""

    code = "conflicting_contribution"


class PeerLedgerRolledBack(ProtocolError):
    """A site signed with a privacy ledger that is older than one it has signed with before."""

    code = "peer_ledger_rolled_back"


class ReleaseMismatch(ProtocolError):
    """The two sides run releases of Veilsum that are too far apart to understand each other."""

    code = "release_mismatch"
    who_acts = "the operator of the older release, who upgrades; the message names both"


class EndpointsDiffer(ProtocolError):
    """Two endpoints are of different chains, or differ in what is final: one of them is wrong."""

    code = "endpoints_differ"
    who_acts = "the operator of this process, who finds out which of the two endpoints is wrong"


class IllegalEvent(ProtocolError):
    """The round's phase does not take this event; the round is unchanged."""

    code = "illegal_event"


class PrivacyError(VeilsumError):
    """A promise to a patient would break; nobody may override."""

    code = "privacy"
    who_acts = "nobody: the guarantee comes first; change the plan or the policy"
    line: PolicyLine | None = None
    """The line of a member's own file that refuses, where one does."""


class BudgetExhausted(PrivacyError):
    """The release would spend more epsilon than the site allows."""

    code = "budget_exhausted"

    def __init__(
        self, *, spent: float, cost: float, limit: float, view: str = "sums", key: str = ""
    ) -> None:
        of = "" if view == "sums" else f" ({view} view)"
        by = f"{key}: " if key else ""
        super().__init__(
            f"{by}epsilon{of} spent {spent:.4f}, with this release {spent + cost:.4f}, "
            f"limit {limit:.4f}"
        )
        self.spent = spent
        self.cost = cost
        self.limit = limit
        self.key = key


class CohortTooSmall(PrivacyError):
    """Fewer organisations than the plan or the site's policy asks for."""

    code = "cohort_too_small"


class PolicyRefusal(PrivacyError):
    """The site's own policy does not accept what the plan asks for."""

    code = "policy_refusal"


class UnsafeParameters(PrivacyError):
    """Parameters that would not keep what they promise."""

    code = "unsafe_parameters"


class AccountingMismatch(PrivacyError):
    """Two accountants disagree about one event, or one of them has no answer."""

    code = "accounting_mismatch"


class UpdateOutOfRange(PrivacyError):
    """An update that is not finite, or leaves the grid."""

    code = "update_out_of_range"


class NormOverBound(PrivacyError):
    """The norm of a hidden update is over the plan's bound; it is left out of the sum."""

    code = "norm_over_bound"


class NormNotAsked(PrivacyError):
    """A hidden update's norm was not held against the plan's bound; it is left out of the sum."""

    code = "norm_not_asked"


class OpeningRefused(PrivacyError):
    """A second opening of one round, or an opening without what it needs."""

    code = "opening_refused"


class SumOffGrid(PrivacyError):
    """An opened sum is not a sum of grid values, and cannot be attributed to a site."""

    code = "sum_off_grid"


class Unavailable(VeilsumError):
    """Not now; the same request may succeed later."""

    code = "unavailable"
    who_acts = "nobody yet; it is retried"


class NotYet(Unavailable):
    """What was asked for does not exist yet."""

    code = "not_yet"


class AwaitingApproval(Unavailable):
    """This site's policy lets no plan through that nobody here has approved."""

    code = "awaiting_approval"
    who_acts = "whoever answers for this site's data: `veilsum participant approve-plan`"


class OutsideHours(Unavailable):
    """This site's policy does not contribute at this hour; it goes on when it does."""

    code = "outside_hours"


class TooManyRequests(Unavailable):
    """One address asks to join more often than a member would."""

    code = "too_many_requests"


class AddressTaken(Unavailable):
    """Another process listens where this one is to, or the address is not this machine's yet."""

    code = "address_taken"
    who_acts = "nobody, if what listens there is ending; else the operator"


class FolderHeld(Unavailable):
    """Another process runs from this folder."""

    code = "folder_held"
    who_acts = "nobody, if what runs from there is ending; else the operator"


class PeerUnreachable(Unavailable):
    """The other side does not answer, or refuses the connection."""

    code = "peer_unreachable"


class StoreUnavailable(Unavailable):
    """The database or the object store failed."""

    code = "store_unavailable"


class FoldInterrupted(Unavailable):
    """Adding up was stopped, or a process that adds died; what is added is kept, and it goes on."""

    code = "fold_interrupted"


class DistrustedSum(FoldInterrupted):
    """A cluster stored a sum that is not that of the contributions; all of it is made again."""

    code = "distrusted_sum"


class Standby(Unavailable):
    """This coordinator stands by: another of the same federation leads."""

    code = "standby"
    who_acts = "nobody: a member goes on to the next address that it has"


class LeaseLost(Unavailable):
    """Another coordinator may lead: nothing more is written or answered by this one."""

    code = "lease_lost"
    who_acts = "nobody yet: it stands by, and takes over again if the other one ends"


class ChainUnavailable(Unavailable):
    """The chain's endpoint does not answer, or a transaction is not final."""

    code = "chain_unavailable"


class FeeAboveCeiling(ChainUnavailable):
    """The chain asks more for a unit of gas than the settings allow; nothing more is paid."""

    code = "fee_above_ceiling"
    who_acts = "nobody yet: it goes on when fees fall; the operator may raise the ceiling"
