"""From each release back to what was spent for it: releases, cohorts, plans, headers, rows."""

from collections.abc import Iterable, Iterator

from privacy.certificate import check_certificate
from privacy.distributed_sum import DistributedSum
from privacy.documents import check_agreement
from privacy.ledger import NOTHING_SENT, Output, Row, RowType
from privacy.mechanism import Training, events_of
from privacy.plan import SHARES, SignedPlan
from privacy.records import Cohort, Entry, Header, Record, Release
from privacy.roster import Roster, organisations_of
from privacy.signing import Purpose

from .bundle import Bundle, Document, Paid
from .finding import Check, Finding, Outcome
from .papers import Papers
from .replay import Replayed
from .trust import Trust, signed_of


def check_lineage(bundle: Bundle, replayed: Replayed, papers: Papers) -> Iterator[Finding]:
    """Yield where a site's ledger and its documents do not name each other."""
    head = bundle.head
    commits = {(row.job, row.out): (at, row) for at, row in _of(replayed, RowType.COMMIT)}
    mine = {name: at for name, at, each in papers.headers() if each.participant == head.participant}
    for name, at, header in papers.headers():
        if header.participant == head.participant:
            yield from _check_header(at, header, commits.get((head.federation, name)), papers)
    for (job, out), (at, row) in commits.items():
        if job == head.federation and out not in mine and out != NOTHING_SENT:
            yield _missing(at, f"the contribution {row.out} of round {row.round}")
    for at, row in replayed.rows:
        if row.job == head.federation:
            yield from _check_named(at, row, papers)


def check_claims(papers: Papers) -> Iterator[Finding]:
    """Yield each header that claims another privacy event than its plan has."""
    for _, at, header in papers.headers():
        if header.plan not in papers.plans:
            yield _missing(at, f"the plan {header.plan} of round {header.round}")
            continue
        plan = papers.plans[header.plan][1]
        if header.claim != events_of(plan.terms.privacy.training):
            yield Finding(
                Outcome.ACCOUNTING,
                at,
                f"{header.participant} claims another privacy event than the plan of round "
                f"{header.round} has",
            )


def check_releases(bundle: Bundle, trust: Trust, papers: Papers) -> Iterator[Finding]:
    """Yield where a release names what is not in the bundle, or lacks signatures."""
    documents = dict(bundle.documents(Purpose.RELEASE))
    for at, release in papers.records.values():
        if not isinstance(release, Release):
            continue
        if release.plan not in papers.plans:
            yield _missing(at, f"the plan {release.plan} of the release of round {release.round}")
            continue
        if release.cohort not in papers.records:
            what = f"the cohort {release.cohort} of the release of round {release.round}"
            yield _missing(at, what)
        plan = papers.plans[release.plan][1]
        rosters = [each for each in trust.versions if each.digest() == plan.terms.roster]
        if not rosters:
            yield _missing(at, f"the roster {plan.terms.roster} of the plan of {release.round}")
            continue
        yield from _check_agreed(at, documents[at], plan, rosters[0])
        if bundle.head.evidence == "run" and plan.arithmetic.scheme == SHARES:
            yield from _check_certified(at, release, plan, rosters[0], papers)


def check_cohorts(papers: Papers, trust: Trust) -> Iterator[Finding]:
    """Yield each cohort that hides a site among fewer organisations than its plan asks for."""
    for at, record in papers.records.values():
        if not isinstance(record, Cohort):
            continue
        if record.plan not in papers.plans:
            yield _missing(at, f"the plan {record.plan} of the cohort of round {record.round}")
            continue
        terms = papers.plans[record.plan][1].terms
        needed = max(terms.cohort_minimum, _hidden_among(terms.privacy.training))
        names = {entry.participant for entry in record.entries}
        members = (each for version in trust.versions for each in version.members)
        organisations = organisations_of(each for each in members if each.participant in names)
        if min(len(organisations), len(names)) < needed:
            yield Finding(
                Outcome.POLICY,
                at,
                f"the cohort of round {record.round} has {len(names)} sites of "
                f"{len(organisations)} organisations, its plan asks for {needed}",
            )


def check_entries(papers: Papers) -> Iterator[Finding]:
    """Yield each entry of a run's cohorts whose signed header is missing, or is another one."""
    for at, record in papers.records.values():
        if not isinstance(record, Cohort):
            continue
        for entry in record.entries:
            who = f"{entry.participant} in the cohort of round {record.round}"
            if entry.contribution not in papers.records:
                yield _missing(at, f"the contribution {entry.contribution} of {who}")
            elif not _is_of(papers.records[entry.contribution][1], entry, record):
                yield Finding(Outcome.TAMPERED, at, f"not what was signed by {who}")


def check_chain(stated: list[tuple[int, Paid]], now: Paid) -> Iterator[Finding]:
    """Yield where a chain says less than the bundle says that it has said."""
    for at, each in stated:
        if (each.domain, each.payee) != (now.domain, now.payee):
            yield Finding(Outcome.TAMPERED, at, "paid elsewhere, or to somebody else, by the chain")
        elif int(now.claimed) < int(each.claimed):
            what = f"{each.claimed} claimed, the chain says {now.claimed}"
            yield Finding(Outcome.TAMPERED, at, what)


def check_paid(bundle: Bundle, paid: Paid, at: int, outputs: Iterable[Output]) -> Iterator[Finding]:
    """Yield if a chain was told of more rounds than this site has sent something in."""
    job = bundle.head.federation
    sent = sum(each.sent and each.job == job for each in outputs)
    if paid.rounds > sent:
        yield Finding(
            Outcome.TAMPERED,
            at,
            f"paid for {paid.rounds} rounds, and the ledger has sent {sent} contributions: rows "
            "are missing, or the settlement is wrong",
        )


def _hidden_among(training: Training) -> int:
    """Return how many sites of a cohort the events of a training count on."""
    return training.cohort_minimum() if isinstance(training, DistributedSum) else 1


def _is_of(header: Record, entry: Entry, cohort: Cohort) -> bool:
    if not isinstance(header, Header):
        return False
    roots = tuple(piece.root for piece in header.pieces)
    return Entry(header.participant, entry.contribution, roots) == entry and (
        header.plan == cohort.plan
    )


def _check_header(
    at: int, header: Header, commit: tuple[int, Row] | None, papers: Papers
) -> Iterator[Finding]:
    if commit is None:
        yield Finding(
            Outcome.TAMPERED,
            at,
            f"a contribution to round {header.round} is signed that the ledger has not committed: "
            "rows are missing",
        )
        return
    row_at, row = commit
    if row.round != header.round:
        what = f"round {row.round} commits what was signed for round {header.round}"
        yield Finding(Outcome.TAMPERED, row_at, what)
    if row.event != header.claim:
        what = f"round {header.round}: the row's event is not what the signed header claims"
        yield Finding(Outcome.ACCOUNTING, row_at, what)
    _, plan = papers.plans.get(header.plan, (0, None))
    if plan is not None and row.clip != plan.terms.privacy.training.clip:
        what = f"round {header.round}: another clip than that of its plan"
        yield Finding(Outcome.ACCOUNTING, row_at, what)


def _check_named(at: int, row: Row, papers: Papers) -> Iterator[Finding]:
    """Yield what a row names and the bundle does not hold, or holds otherwise."""
    if row.release is not None and row.release.release not in papers.records:
        yield _missing(at, f"the release {row.release.release} of round {row.round}")
    if row.result is None:
        return
    if row.result.plan not in papers.plans:
        yield _missing(at, f"the plan {row.result.plan} of round {row.round}")
    if row.result.cohort not in papers.records:
        yield _missing(at, f"the cohort {row.result.cohort} of round {row.round}")
        return
    cohort = papers.records[row.result.cohort][1]
    if isinstance(cohort, Cohort) and len(cohort.entries) != row.result.contributions:
        what = f"{row.result.contributions} contributions, the cohort has {len(cohort.entries)}"
        yield Finding(Outcome.TAMPERED, at, f"round {row.round}: {what}")


def _check_agreed(
    at: int, document: Document, plan: SignedPlan, roster: Roster
) -> Iterator[Finding]:
    signed, openers, needed = signed_of(document), plan.terms.openers, plan.terms.agreement
    check = Check(at, lambda: check_agreement(signed, Purpose.RELEASE, openers, needed, roster))
    yield from check.findings()


def _check_certified(
    at: int, release: Release, plan: SignedPlan, roster: Roster, papers: Papers
) -> Iterator[Finding]:
    """Yield if what was opened under `shares` was not certified by seats and trainers."""
    if release.cohort not in papers.certificates:
        yield _missing(at, f"the certificate of the cohort {release.cohort}")
        return
    place, document = papers.certificates[release.cohort]
    signed = signed_of(document)
    yield from Check(place, lambda: check_certificate(signed, plan, roster)).findings()


def _of(replayed: Replayed, kind: RowType) -> Iterator[tuple[int, Row]]:
    return ((at, row) for at, row in replayed.rows if row.type is kind)


def _missing(at: int, what: str) -> Finding:
    return Finding(Outcome.INCOMPLETE, at, f"{what} is not in the bundle")
