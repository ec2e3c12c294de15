"""The part on the verdict: badge, sentence, what it was held against, and each finding."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Block, Column, Fact, Facts, Table, Words
from veilsum.audit.report.contents import Judgement, Report

from .claim import claim_of


def verdict_blocks(report: Report) -> Iterable[Block]:
    """Yield the verdict, the claim that it lets stand, and what the verification found."""
    judgement = report.judgement
    yield Facts(
        (
            Fact("Verdict", f"{judgement.state} (exit status {judgement.exit_code})"),
            Fact("Because", judgement.sentence),
            Fact("Claim", claim_of(report)),
            Fact(
                "Roster held against",
                judgement.keys or "none: the evidence vouches for its own keys",
                code=bool(judgement.keys),
            ),
            Fact("Policy held against", _policy(judgement)),
            Fact("SHA-256 of the policy", judgement.policy_sha256 or "none given", code=True),
        )
    )
    if not judgement.bears_numbers():
        yield Words(
            "No epsilon, bound or cost is stated below: such evidence proves none of them. All "
            "else is as the evidence states it, and proven no better."
        )
    yield _findings(judgement)


def _policy(judgement: Judgement) -> str:
    if not judgement.policy:
        return "none but the limits in the ledgers"
    return "; ".join(f"{name}: {value}" for name, value in judgement.policy.items())


def _findings(judgement: Judgement) -> Block:
    if not judgement.findings:
        return Words("The verification found nothing to object to.")
    return Table(
        "Findings",
        (
            Column("Severity"),
            Column("Bundle of"),
            Column("Entry", number=True),
            Column("Finding", wide=True),
        ),
        tuple(
            (one.severity, one.bundle, "" if one.entry is None else str(one.entry), one.message)
            for one in judgement.findings
        ),
    )
