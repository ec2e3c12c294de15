"""Keep a result in a site's state folder, and a row about it in the site's ledger."""

import hashlib
from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import msgspec
import rfc8785

from participant.config import SiteConfig
from privacy.identifiers import Digest
from privacy.ledger.amounts import decimal_text, epsilon_text
from privacy.ledger.rows import Audited
from veilsum.audit.budget import opened
from veilsum.files import write_durably

from .result import PrivacyAudit, PrivacyAudits, Verdict

FOLDER = "privacy-audits"
"""In a state folder; each report lies there under its SHA-256."""

_MILLIONTHS = Decimal("1E-6")


def record(site: SiteConfig, result: PrivacyAudits, clock: Callable[[], float]) -> Path:
    """Write the whole result as canonical JSON, and one row for each audit as shipped.

    The file is there first: a row without its report would be evidence of nothing.

    Raises:
        ConfigError: the site has no ledger yet.
        IllegalEvent: its dataset is not registered yet.
        StoreUnavailable: the disk refuses, or another process holds the ledger for long.
    """
    body = rfc8785.dumps(msgspec.to_builtins(result))
    digest = hashlib.sha256(body).hexdigest()
    path = site.state / FOLDER / f"{digest}.json"
    with opened(site, clock, "privacy-audit") as ledger:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, body)
        for each in result.audits:
            ledger.audited(site.dataset.id, row_of(each, digest, caught=not result.missed))
    return path


def row_of(audit: PrivacyAudit, report: Digest, *, caught: bool = True) -> Audited:
    """Return what a ledger says of one audit: its claim, and the bound that always holds.

    The bound is rounded down and the claim up. A run that did not end has shown 0.

    Args:
        caught: whether every control was; if not, nothing has passed.
    """
    shown = [view.one_run for view in audit.views]
    return Audited(
        report=report,
        claimed=epsilon_text(audit.claimed),
        lower_bound=_bound(shown[0] if shown else 0.0),
        confidence=decimal_text(Decimal(str(audit.confidence))),
        delta=decimal_text(Decimal(str(audit.delta))),
        canaries=audit.canaries,
        passed=caught and audit.verdict is Verdict.PASSED,
        mechanism=audit.mechanism,
        scheme=audit.scheme,
        # The first view is the sums', and the only one where both are the same.
        vector_lower_bound=_bound(shown[-1] if shown else 0.0),
    )


def _bound(epsilon: float) -> str:
    return decimal_text(Decimal(epsilon).quantize(_MILLIONTHS, rounding=ROUND_FLOOR))
