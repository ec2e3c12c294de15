"""A report as ten parts in order, under its badge, its claim and its largest epsilons."""

import hashlib
from collections.abc import Iterable

import msgspec

from veilsum.audit.report.blocks import Block, Fact, Layout, Part
from veilsum.audit.report.contents import Report, State

from .approvals import approvals_blocks
from .claim import claim_of, largest
from .limits import limits_blocks
from .meaning import meaning_blocks
from .mechanism import mechanism_blocks
from .other_uses import other_uses_blocks
from .release import release_blocks
from .spending import Drawings, spending_blocks
from .tamper import tamper_blocks
from .tests import tests_blocks
from .verdict import verdict_blocks
from .wording import VIEWS

_TONES = {
    State.VERIFIED: "verified",
    State.POLICY_BREACH: "breach",
    State.EVIDENCE_MISSING: "missing",
    State.TAMPERED: "tampered",
    State.ACCOUNTING_MISMATCH: "mismatch",
}


def layout_of(report: Report, drawings: Drawings) -> Layout:
    """Return the report as parts; `drawings` draws the spending."""
    encoded = msgspec.json.encode(report)
    return Layout(
        title="Privacy report",
        subtitle=_subtitle(report),
        badge=report.judgement.state,
        tone=_TONES[report.judgement.state],
        claim=claim_of(report),
        sentence=report.judgement.sentence,
        figures=_figures(report),
        parts=_parts(report, drawings),
        made=report.made,
        finger=hashlib.sha256(encoded).hexdigest(),
    )


def _subtitle(report: Report) -> str:
    facts = report.release
    where = f"Federation {facts.federation}"
    return where if facts.round is None else f"{where}, release of round {facts.round}"


def _figures(report: Report) -> tuple[Fact, ...]:
    if not report.datasets:
        return ()
    return tuple(
        Fact(f"ε {what}, {name}", largest(report, key, scope))
        for scope, what in (("lifetime", "for life"), ("release", "of this job so far"))
        for key, name in VIEWS
    )


def _parts(report: Report, drawings: Drawings) -> tuple[Part, ...]:
    contents: tuple[tuple[str, Iterable[Block]], ...] = (
        ("Verdict", verdict_blocks(report)),
        ("Release", release_blocks(report)),
        ("Who has given away how much", spending_blocks(report, drawings)),
        ("Mechanism, sampler and accountants", mechanism_blocks(report)),
        ("Approvals", approvals_blocks(report)),
        ("Other uses of the data", other_uses_blocks(report)),
        ("Tests of the mechanism", tests_blocks(report)),
        ("Tamper evidence", tamper_blocks(report)),
        ("What this report does not cover", limits_blocks()),
        ("What it means for one person", meaning_blocks(report)),
    )
    return tuple(
        Part(number, title, tuple(blocks)) for number, (title, blocks) in enumerate(contents, 1)
    )
