"""The result of an empirical privacy audit, as reports and ledgers keep it."""

import hashlib
from enum import StrEnum

import msgspec
import rfc8785

from privacy.identifiers import Digest


class Verdict(StrEnum):
    """What an audit concludes.

    `TOO_WEAK` is no pass: the audit could not have seen what it looks for.
    """

    PASSED = "passed"
    VIOLATED = "violated"
    TOO_WEAK = "too weak"


class Test(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured number over what it should be, and how many deviations it is away.

    Attributes:
        ratio: measured over expected; 1 where all is as claimed.
        z: of the deviation, positive on the side that costs privacy.
        resolution: one deviation of `ratio` if all is as claimed.
    """

    __test__ = False  # not for pytest

    ratio: float
    z: float
    resolution: float


class View(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One view's audit: what was claimed, what was shown, and what could have been.

    Attributes:
        name: "sums", "vector", or "sums and vector" where they are the same.
        claimed: epsilon of all rounds as budgets count it.
        one_run, trade_off: lower bounds on epsilon (Steinke et al.; Mahloujifar et al.).
        expected_one_run, expected_trade_off: their means for an ideal mechanism at the claim.
        floor: what an ideal mechanism's `trade_off` is above, but for one in thirty thousand.
        canaries, included, guesses, right: how many there were, were in, were guessed, and
            guessed rightly.
        noise: measured over claimed; z above 0 if there is less.
        gap: a canary's mean step over the claimed one; z above 0 if it is larger.
    """

    name: str
    claimed: float
    one_run: float
    trade_off: float
    expected_one_run: float
    expected_trade_off: float
    floor: float
    canaries: int
    included: int
    guesses: int
    right: int
    noise: Test
    gap: Test


class PrivacyAudit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One audited mechanism under one scheme.

    Attributes:
        subject: what was audited: "as shipped", or the control's name.
        mechanism, scheme: as a plan names them.
        training: the plan's numbers, as JSON types.
        claimed: epsilon of all rounds, of the sums.
        dependence: correlation between the noise of honest sites and of colluders; None where a
            round did not end.
        participation: variance of how often canaries took part, over that of Poisson sampling;
            None also where each is in every step.
        batch_sizes: variance of how many took part in a round, over that of Poisson sampling;
            None likewise.
        findings: what is wrong, or keeps the audit from saying anything; empty if it passed.
        seconds: how long it took.
    """

    subject: str
    mechanism: str
    scheme: str
    training: dict[str, str | int]
    claimed: float
    delta: float
    confidence: float
    rounds: int
    canaries: int
    held_out: int
    views: tuple[View, ...]
    dependence: Test | None
    participation: Test | None
    batch_sizes: Test | None
    findings: tuple[str, ...]
    verdict: Verdict
    seconds: float

    def digest(self) -> Digest:
        """Return the SHA-256 of the canonical JSON, for a ledger's entry."""
        return hashlib.sha256(rfc8785.dumps(msgspec.to_builtins(self))).hexdigest()


class PrivacyAudits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that one command audited.

    Attributes:
        audits: of the product as shipped.
        controls: of defects put in on purpose; each must be violated.
    """

    audits: tuple[PrivacyAudit, ...]
    controls: tuple[PrivacyAudit, ...]
    seconds: float

    @property
    def missed(self) -> tuple[PrivacyAudit, ...]:
        """The controls that were not caught."""
        return tuple(each for each in self.controls if each.verdict is not Verdict.VIOLATED)

    @property
    def verdict(self) -> Verdict:
        """The gravest verdict; a control that is not caught makes the whole audit too weak."""
        found = {audit.verdict for audit in self.audits}
        if Verdict.VIOLATED in found:
            return Verdict.VIOLATED
        return Verdict.TOO_WEAK if self.missed or Verdict.TOO_WEAK in found else Verdict.PASSED
