"""Which release a report is about, and what the rounds up to it were like."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from privacy.errors import ConfigError
from privacy.ledger import RowType
from privacy.plan import SignedPlan
from privacy.records import Cohort, Release
from privacy.roster import Role
from privacy.signing import Purpose, digest

from . import contents
from .evidence import Evidence


def release_of(evidence: Sequence[Evidence], wanted: str) -> contents.ReleaseFacts:
    """Return the release that is wanted; the newest, or the newest round, where none is named.

    Raises:
        ConfigError: no evidence holds it.
    """
    if not evidence:
        return contents.ReleaseFacts("not known", None)
    job = evidence[0].bundle.head.federation
    known = {fact.round: fact for one in evidence for fact in _recorded(one, job)}
    for one in evidence:
        for fact in _signed(one, job):
            before = known.get(fact.round)
            known[fact.round] = fact if before is None else _with_time(fact, before.released)
    # A release later than the newest sound commit is a release all the same; without any the
    # newest round stands for it.
    rounds = sorted(number for number in known if number is not None)
    if wanted:
        return _chosen(known, wanted, job)
    return known[rounds[-1]] if rounds else contents.ReleaseFacts(job, _newest(evidence), job)


def plan_of(evidence: Sequence[Evidence], release: contents.ReleaseFacts) -> SignedPlan | None:
    """Return the plan of a release, if the evidence has it."""
    plans = [plan for one in evidence for _, plan in one.checked.papers.plans.values()]
    mine = [plan for plan in plans if plan.digest() == release.plan]
    mine = mine or [plan for plan in plans if plan.terms.round == release.round]
    return mine[-1] if mine else None


def countersigned_of(
    evidence: Sequence[Evidence], plan: SignedPlan, release: contents.ReleaseFacts
) -> tuple[int, ...]:
    """Return the rounds up to a release whose sum the plan's auditor has signed, as is shown."""
    found = {
        paper.round
        for one in evidence
        for _, paper in one.bundle.documents(Purpose.SUM)
        if plan.terms.auditor in paper.signatures
        and digest(paper.purpose, paper.body) in one.checked.papers.records
    }
    return tuple(sorted(each for each in found if each <= (release.round or each)))


def sites_of(evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Return the sites that train, by the newest roster that the evidence has."""
    rosters = [version for one in evidence for version in one.checked.trust.versions]
    newest = max(rosters, key=lambda each: each.version, default=None)
    if newest is None:
        return ()
    return tuple(each.participant for each in newest.members if Role.TRAINER in each.roles)


def rounds_of(
    evidence: Sequence[Evidence], release: contents.ReleaseFacts
) -> Iterator[contents.RoundFacts]:
    """Yield the rounds up to a release, as far as anything is known of them."""
    results = {
        row.round: row.result
        for one in evidence
        for row in one.of(RowType.ROUND_RESULT)
        if row.job == release.job and row.result is not None
    }
    cohorts = {
        record.round: {entry.participant for entry in record.entries}
        for one in evidence
        for _, record in one.checked.papers.records.values()
        if isinstance(record, Cohort)
    }
    everybody = {name for names in cohorts.values() for name in names}
    everybody |= {
        header.participant for one in evidence for _, _, header in one.checked.papers.headers()
    }
    for number in sorted({*cohorts, *(one for one in results if one is not None)}):
        if release.round is not None and number > release.round:
            continue
        result, cohort = results.get(number), cohorts.get(number)
        yield contents.RoundFacts(
            round=number,
            contributions=len(cohort)
            if cohort
            else None
            if result is None
            else result.contributions,
            honest=None if result is None else result.honest,
            dropouts=tuple(sorted(everybody - cohort)) if cohort else (),
        )


def _chosen(
    known: Mapping[int | None, contents.ReleaseFacts], wanted: str, job: str
) -> contents.ReleaseFacts:
    for fact in known.values():
        begins = (fact.release, fact.model)
        if wanted == str(fact.round) or any(
            len(wanted) >= 8 and one.startswith(wanted) for one in begins
        ):
            return fact
    there = ", ".join(sorted(str(number) for number in known)) or "none"
    raise ConfigError(
        f"release {wanted[:64]!r} of {job}: not in the evidence; rounds there: {there}"
    )


def _recorded(one: Evidence, job: str) -> Iterator[contents.ReleaseFacts]:
    for row in one.of(RowType.RELEASE):
        if row.release is not None and row.job == job:
            yield contents.ReleaseFacts(
                federation=job,
                round=row.round,
                job=job,
                released=row.ts,
                release=row.release.release,
                model=row.release.model,
            )


def _signed(one: Evidence, job: str) -> Iterator[contents.ReleaseFacts]:
    for name, (_, record) in one.checked.papers.records.items():
        if isinstance(record, Release):
            yield contents.ReleaseFacts(
                federation=record.federation,
                round=record.round,
                job=job,
                release=name,
                model=record.model,
                previous=record.previous,
                plan=record.plan,
                cohort=record.cohort,
                sum=record.sum,
            )


def _with_time(fact: contents.ReleaseFacts, released: str) -> contents.ReleaseFacts:
    return replace(fact, released=released)


def _newest(evidence: Sequence[Evidence]) -> int | None:
    rounds = [row.round for one in evidence for row in one.of(RowType.COMMIT) if row.round]
    rounds += [header.round for one in evidence for _, _, header in one.checked.papers.headers()]
    return max(rounds, default=None)
