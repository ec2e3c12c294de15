"""The check of an evidence bundle, from its bytes to a verdict: pure, offline, in one order.

    form ─▶ roster ─▶ the end's signature ─▶ rows: signed, chained, allowed ─▶ documents: signed
         ─▶ earlier tree heads ─▶ rows and documents name each other
         ─▶ epsilon again, by two accountants ─▶ the officer's policy

Whoever can read this file and what it imports of `privacy` needs to trust nobody else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import msgspec

from privacy.errors import VeilsumError
from privacy.events import Events
from privacy.records import Cohort
from privacy.signing import Purpose

from . import limits, lineage
from .bundle import (
    Bundle,
    End,
    Entry,
    Paid,
    check_order,
    check_sealed,
    check_transit,
    decode_entry,
    is_bundle,
    lines_of,
)
from .changed import find_changed
from .finding import Finding, Outcome, outcome_of
from .limits import AuditPolicy
from .papers import Papers, read_papers
from .replay import Replayed, check_end, replay
from .spending import SecondOpinion, Spending, ask, check_opinions, epsilons_of, spending_of
from .trust import Keys, Trust, check_head, missing_rosters, trust_in
from .witnessed import Seen, check_own, check_seen, seen_in

NO_KEYS = (
    "the keys are self-asserted; name the roster's fingerprint in keys.toml, as members compared it"
)


class Mirror(msgspec.Struct, frozen=True):
    """What a run's documents say that a site has spent: the coordinator's mirror.

    Each site's own ledger is authoritative; it knows of other jobs, and of what was not sent.
    """

    participant: str
    contributions: int
    counted: int
    delta: str
    epsilon_sums: str
    epsilon_vector: str


@dataclass(frozen=True)
class Verdict:
    """What a bundle is worth.

    Attributes:
        findings: what is not as it must be, in the order of the steps.
        evidence, federation, participant: of the head; empty if there is none.
        roster: fingerprint of the version 0 that keys were taken from; empty if there is none.
        not_asked: what nobody has asked about, so that nothing here says it.
        rows, documents: how many were checked; of a changed bundle, before what was changed.
        refused_today: plans, signed and worked under, that today's rules would not accept; of a
            changed bundle none.
        datasets: what each dataset of a site has spent, by its own ledger.
        mirror: of a run, what each participant has spent, as the coordinator's documents say.
    """

    findings: tuple[Finding, ...]
    evidence: str = ""
    federation: str = ""
    participant: str = ""
    made: str = ""
    roster: str = ""
    not_asked: tuple[str, ...] = ()
    refused_today: tuple[str, ...] = ()
    rows: int = 0
    root: str = ""
    documents: int = 0
    datasets: tuple[Spending, ...] = ()
    mirror: tuple[Mirror, ...] = ()
    bundle: Bundle | None = field(default=None, repr=False, compare=False)

    @property
    def outcome(self) -> Outcome:
        """The exit code."""
        return outcome_of(self.findings)


@dataclass(frozen=True)
class Checked:
    """A bundle whose every byte is accounted for; what it says may still be wrong, or missing."""

    bundle: Bundle
    trust: Trust
    replayed: Replayed
    papers: Papers
    findings: tuple[Finding, ...]

    def is_sound(self) -> bool:
        """Return whether nothing in it was changed."""
        return outcome_of(self.findings) is not Outcome.TAMPERED


def verify(
    text: bytes,
    policy: AuditPolicy | None = None,
    keys: Keys | None = None,
    others: Sequence[bytes] = (),
    paid: Paid | None = None,
    second: SecondOpinion | None = None,
) -> Verdict:
    """Return what the bundle `text` is worth.

    Args:
        others: bundles of peers, of the run, or older ones of the same site.
        paid: what a chain says now, beside what it said when the bundle was made.
        second: another accountant; not asked before everything else holds.
    """
    read, found = read_bundle(text)
    if read is None:
        return Verdict(found)
    look = check_whole if _is_sealed(text, read) else _check_changed
    checked = look(text, read, keys)
    verdict = _verify(checked, policy, keys, others, paid, second)
    return replace(verdict, not_asked=tuple(_not_asked(checked, policy, keys, others, paid)))


def _verify(
    checked: Checked,
    policy: AuditPolicy | None,
    keys: Keys | None,
    others: Sequence[bytes],
    paid: Paid | None,
    second: SecondOpinion | None,
) -> Verdict:
    found = checked.findings
    if outcome_of(found) is not Outcome.TAMPERED:
        found = (*found, *_check_others(checked, keys, others), *_check_content(checked, paid))
    if keys is None:
        found = (*found, Finding(Outcome.INCOMPLETE, 0, NO_KEYS))
    if outcome_of(found) is Outcome.TAMPERED:
        return _verdict(checked, found)
    try:
        delta = _delta(checked, policy)
        found = (*found, *_check_policy(checked, policy, keys))
        found = (*found, *_check_accounts(checked, delta, second))
        return _verdict(checked, found, delta)
    except VeilsumError as error:
        what = f"no epsilon follows from what is stated: {error}"
        return _verdict(checked, (*found, Finding(Outcome.ACCOUNTING, 0, what)))


def read_bundle(text: bytes) -> tuple[Bundle | None, tuple[Finding, ...]]:
    """Return the bundle that `text` encodes, or the first line that keeps it from being one.

    What never was a bundle accuses nobody: it is missing, as a file that cannot be read is.
    """
    if not is_bundle(text):
        what = "this is no bundle: another file was named" if text else "the file is empty"
        return None, (Finding(Outcome.INCOMPLETE, 0, what),)
    entries: list[Entry] = []
    try:
        check_transit(text)
        for line in lines_of(text):
            entry = decode_entry(line)
            check_order(entries[-1] if entries else None, entry)
            entries.append(entry)
    except VeilsumError as error:
        return None, (Finding(Outcome.TAMPERED, len(entries) + 1, str(error)),)
    if not entries or not isinstance(entries[-1], End):
        return None, (Finding(Outcome.TAMPERED, len(entries), "the end is missing"),)
    return Bundle(tuple(entries)), ()


def check_whole(text: bytes, bundle: Bundle, keys: Keys | None) -> Checked:
    """Return a bundle with what its bytes, signatures and chain do not bear out."""
    trust = _trusted(bundle, keys)
    if isinstance(trust, Finding):
        return _of_nobody(bundle, trust)
    papers = Papers()
    # Where the seal is broken, what rows cost is no question any more.
    replayed = replay(bundle, trust, amounts=_is_sealed(text, bundle))
    found = (*replayed.findings, *read_papers(bundle, trust, papers))
    return _with_seal(text, Checked(bundle, trust, replayed, papers, found))


def _check_changed(text: bytes, bundle: Bundle, keys: Keys | None) -> Checked:
    """Return a bundle whose seal is broken, with the entries that broke it; never a sound one.

    What its rows say is not looked at: for that somebody has to hand in a bundle that is whole.
    """
    trust = _trusted(bundle, keys)
    if isinstance(trust, Finding):
        return _of_nobody(bundle, trust)
    changed = find_changed(bundle, trust)
    checked = Checked(bundle, trust, changed.replayed, changed.papers, changed.findings)
    return _with_seal(text, checked)


def _with_seal(text: bytes, checked: Checked) -> Checked:
    found = checked.findings
    missing = missing_rosters(checked.bundle)
    if missing:
        found = (*found, Finding(Outcome.INCOMPLETE, 0, missing))
    if outcome_of(found) is not Outcome.TAMPERED:
        # Last, because what stands above names the entry, and this cannot.
        found = (*found, *_sealed(text, checked.bundle, checked.replayed))
    return replace(checked, findings=found)


def _trusted(bundle: Bundle, keys: Keys | None) -> Trust | Finding:
    """Return whose keys count, or why that cannot be told."""
    at = next((place for place, _ in bundle.documents(Purpose.ROSTER)), 1)
    try:
        trust = trust_in(bundle, keys)
        at = 1
        check_head(bundle, trust)
    except VeilsumError as error:
        return Finding(Outcome.TAMPERED, at, f"whose keys count: {error}")
    return trust


def _of_nobody(bundle: Bundle, why: Finding) -> Checked:
    nobody = Trust((), {})
    return Checked(bundle, nobody, replay(bundle, nobody, amounts=False), Papers(), (why,))


def _is_sealed(text: bytes, bundle: Bundle) -> bool:
    try:
        check_sealed(text, bundle)
    except VeilsumError:
        return False
    return True


def _sealed(text: bytes, bundle: Bundle, replayed: Replayed) -> Iterator[Finding]:
    last = len(bundle.entries)
    try:
        check_end(bundle, replayed)
        check_sealed(text, bundle)
    except VeilsumError as error:
        what = f"{error}; every row and document is signed, so look at head, config, chain and end"
        yield Finding(Outcome.TAMPERED, last, what)


def _check_others(
    checked: Checked, keys: Keys | None, others: Sequence[bytes]
) -> Iterator[Finding]:
    """Yield where an earlier tree head, of the bundle itself or of another, is not in it."""
    me = (checked.bundle, checked.replayed)
    yield from check_own(*me, checked.papers)
    seen: list[Seen] = []
    for number, text in enumerate(others, 1):
        read, _ = read_bundle(text)
        other = None if read is None else check_whole(text, read, keys)
        if other is None or not other.is_sound():
            what = f"bundle {number} beside it is not sound, and was left out: verify it by itself"
            yield Finding(Outcome.INCOMPLETE, 0, what)
            continue
        seen += seen_in(other.bundle, other.replayed, other.papers)
    yield from check_seen(*me, seen)


def _check_content(checked: Checked, paid: Paid | None) -> Iterator[Finding]:
    bundle, replayed, papers = checked.bundle, checked.replayed, checked.papers
    yield from _check_not_empty(checked)
    yield from lineage.check_claims(papers)
    yield from lineage.check_cohorts(papers, checked.trust)
    yield from lineage.check_releases(bundle, checked.trust, papers)
    if bundle.head.evidence == "run":
        yield from lineage.check_entries(papers)
        return
    yield from lineage.check_lineage(bundle, replayed, papers)
    stated = bundle.only(Paid)
    if paid is not None:
        yield from lineage.check_chain(stated, paid)
    for at, each in stated or ([] if paid is None else [(0, paid)]):
        yield from lineage.check_paid(bundle, each, at, replayed.state.outputs.values())


def _check_not_empty(checked: Checked) -> Iterator[Finding]:
    """Yield if there is nothing in a bundle that could be wrong."""
    if checked.bundle.head.evidence == "run":
        if not any(checked.papers.headers()):
            yield Finding(Outcome.INCOMPLETE, 0, "no site has contributed in it: evidence of none")
    elif not checked.replayed.rows:
        yield Finding(Outcome.INCOMPLETE, 0, "the ledger has no row: evidence of nothing")


def _not_asked(
    checked: Checked,
    policy: AuditPolicy | None,
    keys: Keys | None,
    others: Sequence[bytes],
    paid: Paid | None,
) -> Iterator[str]:
    """Yield what a verdict does not say, because nothing was given that would."""
    site = checked.bundle.head.evidence == "site"
    if keys is None:
        yield "whose keys these are: no keys.toml"
    if policy is None:
        limits = "the site's own limits were" if site else "nothing was"
        yield f"whether what was spent is allowed: no policy.toml; {limits} held against it"
    if site and not others:
        yield "what others have seen of this ledger: no --with, so that a cut tail would not show"
    if site and paid is None:
        stated = "; what the bundle says of one was believed" if checked.bundle.only(Paid) else ""
        yield f"what was paid for: no --chain{stated}"


def _check_policy(
    checked: Checked, policy: AuditPolicy | None, keys: Keys | None
) -> Iterator[Finding]:
    if checked.bundle.head.evidence == "site":
        yield from limits.check_officers(policy, keys, checked.bundle, checked.replayed)
        yield from limits.check_standing(checked.bundle, checked.replayed)
    elif policy is not None:
        yield from limits.check_mirror(policy, checked.papers)
    if policy is not None:
        yield from limits.check_spent(policy, checked.replayed)
        yield from limits.check_plans(policy, checked.papers)
        yield from limits.check_config(policy, checked.bundle)


def _check_accounts(
    checked: Checked, delta: str, second: SecondOpinion | None
) -> Iterator[Finding]:
    if second is None:
        yield Finding(Outcome.INCOMPLETE, 0, "no second accountant was asked")
    elif not delta:
        yield Finding(Outcome.INCOMPLETE, 0, "nothing in the bundle says at which delta")
    elif checked.bundle.head.evidence == "site":
        yield from check_opinions(checked.replayed, delta, second)
    else:
        for name, events in _claims(checked.papers).items():
            yield from ask(second, events, delta, f"the mirror of {name}")


def _delta(checked: Checked, policy: AuditPolicy | None) -> str:
    """Return the delta that epsilons are stated at: the policy's, the ledger's, or a plan's."""
    if policy is not None:
        return policy.delta
    recorded = checked.replayed.state.standing.limits()
    if recorded is not None:
        return recorded.delta
    stated = (row.cum.delta for _, row in reversed(checked.replayed.rows) if row.cum is not None)
    planned = (plan.terms.privacy.delta for _, plan in checked.papers.plans.values())
    return next(chain(stated, planned), "")


def _claims(papers: Papers) -> dict[str, list[Events]]:
    claims: dict[str, list[Events]] = {}
    for _, _, header in papers.headers():
        claims.setdefault(header.participant, []).append(header.claim)
    return dict(sorted(claims.items()))


def _mirror(checked: Checked, delta: str) -> tuple[Mirror, ...]:
    cohorts = (record for _, record in checked.papers.records.values())
    entries = [each for one in cohorts if isinstance(one, Cohort) for each in one.entries]
    return tuple(
        Mirror(
            name,
            len(events),
            sum(each.participant == name for each in entries),
            delta,
            *epsilons_of(events, delta),
        )
        for name, events in _claims(checked.papers).items()
    )


def _verdict(checked: Checked, found: Sequence[Finding], delta: str = "") -> Verdict:
    bundle, state = checked.bundle, checked.replayed.state
    run, tampered = bundle.head.evidence == "run", outcome_of(found) is Outcome.TAMPERED
    return Verdict(
        findings=tuple(found),
        evidence=bundle.head.evidence,
        federation=bundle.head.federation,
        participant=bundle.head.participant,
        made=bundle.head.made,
        roster=checked.trust.versions[0].digest() if checked.trust.versions else "",
        refused_today=() if tampered else tuple(checked.papers.refused_today()),
        rows=state.seq,
        root=checked.replayed.roots[state.seq],
        documents=len(checked.papers.plans) + len(checked.papers.records),
        datasets=spending_of(checked.replayed, delta) if delta and not run else (),
        mirror=_mirror(checked, delta) if delta and run else (),
        bundle=bundle,
    )
