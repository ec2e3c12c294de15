"""From evidence to the numbers of a report; every epsilon is accounted again from events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from privacy.evidence.limits import AuditPolicy
from privacy.evidence.trust import Keys

from . import contents
from .asked import Asked
from .clocks import remarks_of
from .evidence import judge, read_evidence, source_of
from .mechanism import accounting_of, mechanism_of
from .proven import proven
from .record import approvals_of, log_of, tests_of, uses_of
from .release import countersigned_of, plan_of, release_of, rounds_of, sites_of
from .risk import risks_of
from .spend import datasets_of, spending_of


def report_of(
    texts: Sequence[bytes],
    *,
    wanted: str = "",
    policy: AuditPolicy | None = None,
    policy_sha256: str = "",
    keys: Keys | None = None,
    now: datetime,
) -> contents.Report:
    """Return the report on one release.

    Args:
        texts: bundles of one federation; those of sites, and that of the run.
        wanted: number of a round, or how a release's or model's digest begins; "" for the newest.
        policy, keys: of whoever reads the report; see `verify`.
        policy_sha256: of the file that holds `policy`.

    Raises:
        ConfigError: no evidence holds the release that is wanted.
    """
    evidence = tuple(read_evidence(texts, keys))
    asked = Asked()
    judged = judge(texts, policy, keys, asked.agree, policy_sha256)
    release = release_of(evidence, wanted)
    datasets = tuple(datasets_of(evidence, release, asked))
    rounds = tuple(rounds_of(evidence, release))
    plan = plan_of(evidence, release)
    signed = () if plan is None else countersigned_of(evidence, plan, release)
    whole = contents.Report(
        v=1,
        made=_time_text(now),
        product=version("veilsum"),
        judgement=judged,
        release=release,
        sources=tuple(source_of(one) for one in evidence),
        datasets=datasets,
        rounds=rounds,
        mechanism=None if plan is None else mechanism_of(plan, signed),
        accountants=accounting_of(),
        approvals=tuple(each for one in evidence for each in approvals_of(one)),
        uses=tuple(each for one in evidence for each in uses_of(one)),
        tests=tuple(each for one in evidence for each in tests_of(one)),
        logs=tuple(log_of(one, evidence) for one in evidence if one.bundle.head.evidence == "site"),
        spending=tuple(each for one in evidence for each in spending_of(one)),
        risks=tuple(risks_of(datasets)),
        trouble=asked.trouble(),
        sites=sites_of(evidence),
        remarks=tuple(remarks_of(evidence, release, now)),
    )
    return proven(whole)


def _time_text(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds")
