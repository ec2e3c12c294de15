"""The ten parts of a report, in words and tables; each is filled from evidence or says so."""

import hashlib
import math
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, Decimal
from itertools import groupby

import msgspec
from msgspec.structs import replace

from veilsum.audit.second_opinion import Opinions

from .blocks import (
    Absent,
    Block,
    Column,
    Drawing,
    Fact,
    Facts,
    Layout,
    Part,
    Points,
    Table,
    Words,
)
from .contents import (
    DatasetSpend,
    Judgement,
    Report,
    Risk,
    RoundFacts,
    SeenHead,
    Source,
    State,
    Trust,
    View,
)
from .risk import PRIORS

NO_EVIDENCE = "No evidence in this bundle."

_TONES = {
    State.VERIFIED: "verified",
    State.POLICY_BREACH: "breach",
    State.EVIDENCE_MISSING: "missing",
    State.TAMPERED: "tampered",
    State.ACCOUNTING_MISMATCH: "mismatch",
}
_VIEWS = (
    ("sums", "sums only"),
    ("vector", "one opened update"),
)

_NOT_COVERED = (
    Fact("Insiders of a site", "they see its data anyway, or train on it outside of the ledger."),
    Fact("Side channels", "of hardware, and of timing at the site."),
    Fact(
        "People in two datasets",
        "epsilons of two sites add up for whoever is in both; relatives, and others whose data is "
        "correlated, are not one unit.",
    ),
    Fact("Groups", "k people together have k times the epsilon, and a larger delta."),
    Fact("The unit of privacy", "that rows are grouped by person as registered is a site's word."),
    Fact(
        "Truth of what was recorded",
        "signatures prove who wrote a row and when it was seen, not that nothing else was done.",
    ),
    Fact(
        "Participation",
        "which sites took part in which rounds is known to every member of the federation.",
    ),
    Fact("Usefulness and fairness", "of the model; a private model may still be wrong or biased."),
    Fact("What law asks for besides", "purpose, minimisation, and who may use the model."),
)

Drawings = Callable[[Report], tuple[Drawing, ...]]


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


def claim_of(report: Report) -> str:
    """Return the lines to take away: what was spent for life, and by this job; where, for whom."""
    if not report.judgement.bears_numbers():
        return f"No epsilon can be stated: {_why_none(report.judgement)}."
    if report.worst("sums") is None or report.worst("vector") is None:
        return "No epsilon can be stated for this release from this evidence."
    return f"{_life(report)} {_of_release(report)} {_for_whom(report)}"


def _why_none(judgement: Judgement) -> str:
    if judgement.state is State.TAMPERED:
        return "the evidence was tampered with"
    if judgement.state is State.ACCOUNTING_MISMATCH:
        return "the accounts of it do not add up"
    return "its keys were held against none that a reader has compared (veilsum audit keys)"


def _life(report: Report) -> str:
    if report.worst("sums", "lifetime") is None:
        return "For life nothing can be stated: no ledger is here, only what headers claim."
    both = _both_views(report, "lifetime")
    return f"For life, over all jobs, pre-processing and corrections: {both}."


def _of_release(report: Report) -> str:
    sums, vector = (_largest(report, key, "release") for key, _ in _VIEWS)
    part_of_it = all(_is_within(report, key) for key, _ in _VIEWS)
    if not part_of_it:
        # No ledger, or more by the headers of a site whose ledger is not here.
        return f"This job's rounds up to this release: {_both_views(report, 'release')}."
    parts = sums if sums == vector else f"{sums} and {vector}"
    return f"Of that, this job's rounds up to this release: ε ≤ {parts}."


def _is_within(report: Report, view: str) -> bool:
    life, job = report.worst(view, "lifetime"), report.worst(view)
    if life is None or job is None:
        return False
    return bool(getattr(job, view).release <= getattr(life, view).lifetime)


def _both_views(report: Report, scope: str) -> str:
    sums, vector = _largest(report, "sums", scope), _largest(report, "vector", scope)
    honest = _honest(report)
    if sums == vector and honest is None:
        return f"ε ≤ {sums} in both views"
    rests = "" if honest is None else f", while {honest} honest sites add their noise to each sum,"
    return (
        f"ε ≤ {sums} towards who sees sums only{rests} and ε ≤ {vector} towards who opens one "
        "update"
    )


def _honest(report: Report) -> int | None:
    """Return how many sites' noise the epsilon of sums rests on; None for each site's own."""
    trust = None if report.mechanism is None else report.mechanism.trust
    counted = [one.honest for one in report.datasets]
    counted += [trust.honest] if trust is not None and trust.mechanism == "distributed" else []
    return max((one for one in counted if one is not None), default=None)


def _for_whom(report: Report) -> str:
    deltas = " or ".join(sorted({one.delta for one in report.datasets}))
    units = " or ".join(sorted({one.unit for one in report.datasets}))
    relations = " or ".join(sorted({_neighbours(one.neighbouring) for one in report.datasets}))
    return (
        f"At δ = {deltas}, for each {units}, {relations}, in each dataset by itself; "
        f"{_covered(report)}."
    )


def _covered(report: Report) -> str:
    with_ledger = {one.participant for one in report.datasets if one.sums.lifetime is not None}
    headers = {one.participant for one in report.datasets} - with_ledger
    named = sorted(f"{one.participant}: {one.dataset}" for one in report.datasets)
    of = f" of {len(report.sites)}" if set(report.sites) >= with_ledger and report.sites else ""
    noun = "site's ledger" if (len(report.sites) or len(with_ledger)) == 1 else "sites' ledgers"
    named = [one for one in named if one.split(": ", 1)[0] in with_ledger]
    ledgers = f"from {len(with_ledger)}{of} {noun}"
    ledgers += f" ({', '.join(named)})" if named else ""
    if not headers:
        return ledgers
    return f"{ledgers}, and for this job from the headers of {', '.join(sorted(headers))}"


def epsilon(value: float | None) -> str:
    """Return an epsilon to three decimals, rounded up; "not known" where there is none."""
    return "not known" if value is None else f"{_up(value, '0.001')}"


def _subtitle(report: Report) -> str:
    facts = report.release
    where = f"Federation {facts.federation}"
    return where if facts.round is None else f"{where}, release of round {facts.round}"


def _figures(report: Report) -> tuple[Fact, ...]:
    if not report.datasets:
        return ()
    return tuple(
        Fact(f"ε {what}, {name}", _largest(report, key, scope))
        for scope, what in (("lifetime", "for life"), ("release", "of this job so far"))
        for key, name in _VIEWS
    )


def _largest(report: Report, view: str, scope: str) -> str:
    worst = report.worst(view, scope)
    return epsilon(None if worst is None else getattr(getattr(worst, view), scope))


def _parts(report: Report, drawings: Drawings) -> tuple[Part, ...]:
    contents: tuple[tuple[str, Iterable[Block]], ...] = (
        ("Verdict", _verdict(report)),
        ("Release", _release(report)),
        ("Who has given away how much", _spend(report, drawings)),
        ("Mechanism, sampler and accountants", _mechanism(report)),
        ("Approvals", _approvals(report)),
        ("Other uses of the data", _uses(report)),
        ("Tests of the mechanism", _tests(report)),
        ("Tamper evidence", _tamper(report)),
        ("What this report does not cover", _not_covered()),
        ("What it means for one person", _risk(report)),
    )
    return tuple(
        Part(number, title, tuple(blocks)) for number, (title, blocks) in enumerate(contents, 1)
    )


def _verdict(report: Report) -> Iterable[Block]:
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
    if judgement.findings:
        yield Table(
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
    else:
        yield Words("The verification found nothing to object to.")


def _policy(judgement: Judgement) -> str:
    if not judgement.policy:
        return "none but the limits in the ledgers"
    return "; ".join(f"{name}: {value}" for name, value in judgement.policy.items())


def _release(report: Report) -> Iterable[Block]:
    facts = report.release
    if not facts.release:
        yield Absent(f"{NO_EVIDENCE} It holds no release of this round; what follows is the spend.")
    rows = (
        Fact("Federation", facts.federation),
        Fact("Job", facts.job),
        Fact("Round", "" if facts.round is None else str(facts.round)),
        Fact("Released", facts.released),
        Fact("SHA-256 of the model", facts.model, code=True),
        Fact("Made from model", facts.previous, code=True),
        Fact("Release", facts.release, code=True),
        Fact("Plan", facts.plan, code=True),
        Fact("Cohort", facts.cohort, code=True),
        Fact("Sum", facts.sum, code=True),
    )
    yield Facts(tuple(_or_absent(row) for row in rows))
    yield Table(
        "Evidence that this report is made from",
        (
            Column("Bundle of"),
            Column("Kind"),
            Column("Made"),
            Column("SHA-256 of the file", wide=True),
        ),
        tuple((_maker(one), one.kind, one.made, one.sha256) for one in report.sources),
    )
    yield Words(
        "Each time is by the clock of whoever wrote it, and proven by nothing; the order of rows "
        "is proven, by their numbers."
    )
    if report.remarks:
        yield Points(tuple(Fact("Remark", one) for one in report.remarks))
    software = tuple(_software(report.sources))
    if software:
        yield Table(
            "Software, as its makers state it; installed is SHA-256 of all name==version there",
            (Column("Name"), Column("Version or hash"), Column("Stated by", wide=True)),
            software,
        )
    else:
        yield Absent(f"{NO_EVIDENCE} It names no software.")


def _maker(one: Source) -> str:
    return ", ".join(part for part in (one.participant, one.organisation) if part)


def _software(sources: tuple[Source, ...]) -> Iterable[tuple[str, str, str]]:
    """Yield a row for each version of each package, with all who state it."""
    makers: dict[tuple[str, str], list[str]] = {}
    for one in sources:
        for package in one.software.items():
            makers.setdefault(package, []).append(one.participant)
    for (name, version), names in sorted(makers.items()):
        yield name, version, ", ".join(names)


def _spend(report: Report, drawings: Drawings) -> Iterable[Block]:
    if not report.datasets:
        yield Absent(NO_EVIDENCE)
        return
    yield Words(
        "Two views. Sums only: anybody who sees the sums and the models made from them. One "
        "opened update: the coalition that can open this site's own update. Epsilon holds for "
        "each dataset on its own, and is never averaged over sites. This job counts its rounds "
        "up to the release; life counts all that the dataset has ever committed: over all jobs, "
        "with pre-processing and corrections."
    )
    yield Table(
        "Epsilon of each dataset",
        (
            Column("Dataset"),
            Column("View"),
            Column("This job", number=True),
            Column("For life", number=True),
            Column("With reserved", number=True),
            Column("Limit", number=True),
            Column("Left", number=True),
            Column("δ", number=True),
        ),
        tuple(_spend_row(one, key, name) for one in report.datasets for key, name in _VIEWS),
    )
    yield Table(
        "What was done to each dataset for this release",
        (
            Column("Dataset", wide=True),
            Column("Protects"),
            Column("q", number=True),
            Column("Clip", number=True),
            Column("Noisy sums", number=True),
            Column("σ, sums", number=True),
            Column("σ, opened", number=True),
            Column("Rounds", number=True),
        ),
        tuple(_order_row(one) for one in report.datasets),
    )
    yield Words(
        "q is the chance of each unit to be in a sum, the clip bounds what one unit adds, and σ is "
        "the deviation of the noise over the clip: of all that is relied upon for sums, of the "
        "site's own part for an opened update."
    )
    if report.rounds:
        yield Table(
            "Rounds of this release, as realised",
            (
                Column("Rounds"),
                Column("Contributions", number=True),
                Column("Noise relied upon", number=True),
                Column("Absent or left out", wide=True),
            ),
            tuple(_round_rows(report.rounds)),
        )
    else:
        yield Absent(f"{NO_EVIDENCE} It holds no result of a round.")
    yield from _trust(report)
    yield from drawings(report)


def _spend_row(one: DatasetSpend, key: str, name: str) -> tuple[str, ...]:
    view: View = getattr(one, key)
    return (
        f"{one.participant}: {one.dataset}",
        name,
        epsilon(view.release),
        epsilon(view.lifetime),
        epsilon(view.charged),
        "not known" if view.cap is None else f"{view.cap:g}",
        _down(view.remaining),
        one.delta,
    )


def _order_row(one: DatasetSpend) -> tuple[str, ...]:
    version = "" if one.version is None else f", version {one.version}"
    parent = "" if one.parent is None else f" from {one.parent}"
    rows = one.max_records_per_unit or 1
    records = "" if rows == 1 else f", up to {rows} records"
    return (
        f"{one.participant}: {one.dataset}{version}{parent}",
        f"{one.unit}{records}",
        _list(one.noise.sampling_rates),
        _list(one.clips),
        _count(one.noise.steps),
        _list(one.noise.sums),
        _list(one.noise.vector),
        _count(one.rounds),
    )


def _round_rows(rounds: tuple[RoundFacts, ...]) -> Iterable[tuple[str, ...]]:
    """Yield a row for each run of rounds that went alike."""
    for alike, group in groupby(rounds, key=lambda one: replace(one, round=0)):
        numbers = [one.round for one in group]
        yield (
            _span(numbers),
            _count(alike.contributions),
            _count(alike.honest),
            ", ".join(alike.dropouts) or "nobody known",
        )


def _runs(numbers: tuple[int, ...]) -> str:
    runs = groupby(enumerate(numbers), key=lambda each: each[1] - each[0])
    return ", ".join(_span([number for _, number in group]) for _, group in runs)


def _span(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _trust(report: Report) -> Iterable[Block]:
    if report.mechanism is None:
        yield Absent(f"{NO_EVIDENCE} No plan says whose noise the guarantee rests on.")
        return
    trust = report.mechanism.trust
    if trust.mechanism == "distributed":
        yield Words(
            "Trust. The sites share the noise: the guarantee for sums holds while "
            f"{trust.honest} of the sites in each sum add their part (h), and up to "
            f"{trust.colluders} tell theirs or add none (t). Against whoever can open one update "
            "only that site's own part counts."
        )
    else:
        yield Words(
            "Trust. Each site adds all the noise it needs by itself (h = 1): its guarantee rests "
            "on no other site, and both views cost the same."
        )
    rows = (
        Fact("Scheme", trust.scheme),
        Fact("Auditor of sums", _auditor(trust)),
        Fact("δ and how many there are", _delta_held(report)),
    )
    yield Facts(tuple(_or_absent(row) for row in rows))


def _auditor(trust: Trust) -> str:
    if not trust.auditor:
        return "none named"
    if not trust.countersigned:
        return f"{trust.auditor}, by the plan's word: no sum with its signature is in evidence"
    rounds = _runs(trust.countersigned)
    return f"{trust.auditor}; its signature on the sums of rounds {rounds} is in evidence"


def _delta_held(report: Report) -> str:
    """Return whether delta is below one over the number of units, as far as that is public."""
    cap = None if report.mechanism is None else report.mechanism.units_cap
    unknown = "δ should be far below one over the number of units of a site"
    if cap is None:
        return f"{unknown}. They were not compared: no evidence says how many there are."
    below = all(Decimal(one.delta) * cap < 1 for one in report.datasets)
    if below:
        return f"δ is below one over {cap}, the plan's cap of units per site."
    return (
        f"{unknown}. It is not below one over {cap}, the plan's cap; the number itself is in no "
        "evidence, and was not compared."
    )


def _mechanism(report: Report) -> Iterable[Block]:
    facts, accountants = report.mechanism, report.accountants
    if facts is None:
        yield Absent(f"{NO_EVIDENCE} It holds no plan of this release.")
    else:
        yield Facts(
            (
                Fact("Mechanism", facts.trust.mechanism),
                Fact("Sampler", facts.sampler),
                Fact("Noise", facts.noise),
                Fact("Released besides the model", ", ".join(facts.releases) or "nothing"),
            )
        )
    method = f"{accountants.accountant}: Rényi divergence at orders fixed in advance"
    second = ", ".join(f"{name} {version}" for name, version in accountants.second.items())
    yield Facts(
        (
            Fact("Enforced by", method),
            Fact("Rényi orders", ", ".join(accountants.orders)),
            Fact("Second opinions by", second),
        )
    )
    rows = tuple(_opinions(report))
    if rows:
        yield Table(
            "Ours held against dp_accounting's: one method, the same orders",
            (
                Column("Dataset and view"),
                Column("Own RDP, whole orders", number=True),
                Column("dp_accounting RDP, whole orders", number=True),
                Column("Difference", number=True),
            ),
            tuple(_compared_row(name, said) for name, said in rows),
        )
        yield Table(
            "Epsilon by each accountant, at its own orders",
            (
                Column("Dataset and view"),
                Column("Enforced", number=True),
                Column("PLD", number=True),
                Column("Opacus RDP", number=True),
                Column("Opacus PRV", number=True),
                Column("Exact", number=True),
            ),
            tuple(_opinion_row(name, said) for name, said in rows),
        )
        yield Words(
            "Enforced is what the ledger counts: our RDP at all of the orders above. The first "
            "table is at those of them that are whole numbers, where both accountants are equal "
            "but for floats; the difference is ours less the other, over the other. Enforced must "
            "not be below PLD, which is tighter, or the exact value where there is one. PLD and "
            "PRV report on what was run; no budget is stopped by them."
        )
    else:
        yield Absent(_trouble(report))


def _trouble(report: Report) -> str:
    if report.trouble:
        return f"The accountants do not agree: {report.trouble}."
    return f"{NO_EVIDENCE} There is nothing to ask a second accountant about."


def _opinions(report: Report) -> Iterable[tuple[str, Opinions]]:
    for one in report.datasets:
        for key, name in _VIEWS:
            view: View = getattr(one, key)
            for scope, said in (
                ("this job", view.release_opinions),
                ("life", view.lifetime_opinions),
            ):
                if said is not None:
                    yield f"{one.participant}: {one.dataset}, {name}, {scope}", said


def _compared_row(name: str, said: Opinions) -> tuple[str, ...]:
    return (name, f"{said.own_rdp_whole:.6f}", f"{said.google_rdp:.6f}", f"{said.difference:+.1e}")


def _opinion_row(name: str, said: Opinions) -> tuple[str, ...]:
    return (
        name,
        f"{said.own_rdp:.4f}",
        f"{said.google_pld:.4f}",
        _number(said.opacus_rdp),
        _number(said.opacus_prv_upper),
        _number(said.closed_form, "none"),
    )


def _approvals(report: Report) -> Iterable[Block]:
    if not report.approvals:
        yield Absent(f"{NO_EVIDENCE} No setting of limits is in it.")
        return
    yield Words(
        "A limit rises only where one officer proposes it and another approves it, each with a key "
        "of his or her own. A limit may be lowered at once. Without officers the site's "
        "configuration alone sets it, and the row says so."
    )
    for one in report.approvals:
        approvers = "; ".join(f"{name}, key {key}" for name, key in one.approvers)
        yield Facts(
            (
                Fact("Limits", ", ".join(f"{name} {value}" for name, value in one.limits.items())),
                Fact("Set at", f"{one.when}, row {one.row} of {one.participant}"),
                Fact("Proposed by", one.proposer or "the site's configuration; no officer"),
                Fact("Approved by", approvers or "nobody else", code=bool(approvers)),
            )
        )


def _uses(report: Report) -> Iterable[Block]:
    if not report.uses:
        yield Absent(
            f"{NO_EVIDENCE} No pre-processing, tuning or correction is recorded. If the data was "
            "used to choose scales, classes, features or hyper-parameters, that use is not counted."
        )
        return
    yield Table(
        "Pre-processing, tuning and corrections that were counted",
        (
            Column("When"),
            Column("What", wide=True),
            Column("Kind"),
            Column("ε, sums", number=True),
            Column("ε, opened", number=True),
            Column("Row", number=True),
        ),
        tuple(
            (
                one.when,
                one.text,
                one.kind,
                epsilon(one.epsilon_sums),
                epsilon(one.epsilon_vector),
                f"{one.participant} {one.row}",
            )
            for one in report.uses
        ),
    )


def _tests(report: Report) -> Iterable[Block]:
    if not report.tests:
        yield Absent(
            f"{NO_EVIDENCE} No test by canaries is recorded, so nothing but proof and code speaks "
            "for the mechanism."
        )
        return
    yield Table(
        "Tests by canaries, through the pipeline that releases use",
        (
            Column("Row"),
            Column("Mechanism and scheme"),
            Column("Canaries", number=True),
            Column("Tested ε", number=True),
            Column("δ", number=True),
            Column("At least, sums", number=True),
            Column("At least, opened", number=True),
            Column("Confidence", number=True),
            Column("Result"),
        ),
        tuple(
            (
                f"{one.participant} {one.row}",
                ", ".join(part for part in (one.mechanism, one.scheme) if part) or "not stated",
                str(one.canaries),
                epsilon(one.claimed),
                one.delta,
                _bound(one.lower_bound, "not known"),
                _bound(one.vector_lower_bound, "not stated"),
                one.confidence,
                _RESULTS[one.passed],
            )
            for one in report.tests
        ),
    )
    for one in report.tests:
        yield Facts(
            (
                Fact(f"Row {one.row} of {one.participant}", f"{one.when}, by {one.actor}"),
                Fact("SHA-256 of its report", one.report, code=True),
            )
        )
    yield Words(
        "The ε that was tested is the test's own setting: what the tested pipeline was calibrated "
        "to, and no claim about this release. A bound below it does not prove it: half the noise "
        "can still pass such a test. The report of each test also holds the noise against its "
        "claimed deviation; its SHA-256 is above, the file is with the site."
    )


_RESULTS = {True: "passed", False: "FAILED", None: "not known"}


def _bound(value: float | None, absent: str) -> str:
    return absent if value is None else f"{value:.3f}"


def _tamper(report: Report) -> Iterable[Block]:
    if not report.logs:
        yield Absent(f"{NO_EVIDENCE} It holds no ledger.")
        return
    for one in report.logs:
        rows = (
            Fact("Ledger of", one.participant),
            Fact("Rows", f"{one.rows}, the last at {one.last}" if one.last else str(one.rows)),
            Fact("Tree head (RFC 6962)", f"{one.size}  {one.root}", code=True),
            Fact("Seen by others", _seen(one.witnesses, "by")),
            Fact("It has seen of others", _seen(one.witnessed, "of")),
            Fact("On a chain", one.settled or "no evidence in this bundle"),
        )
        yield Facts(rows)
    yield Words(
        "Rows are signed, chained and in a Merkle tree. That shows changes, gaps and reordering. A "
        "tail that was cut off shows only against a later head that somebody else has seen."
    )


def _seen(heads: tuple[SeenHead, ...], word: str) -> str:
    seen = "; ".join(f"up to row {one.rows} {word} {one.participant}" for one in heads)
    return seen or "no evidence in this bundle"


def _not_covered() -> Iterable[Block]:
    yield Points(_NOT_COVERED)
    yield Table(
        "Where each layer of the NIST SP 800-226 pyramid is answered",
        (Column("Layer"), Column("Question"), Column("Answer", wide=True)),
        (
            ("Top", "Epsilon, unit of privacy", "Parts 1, 3 and 10"),
            ("Middle", "Correctness of algorithms", "Parts 4 and 7"),
            (
                "Middle",
                "Trust model, access control",
                "Parts 3 and 5, and the threat model of the product",
            ),
            ("Middle", "Security of the record", "Part 8"),
            ("Middle", "Utility and bias", "Not in this report"),
            ("Bottom", "How data was collected", "Not in this report"),
        ),
    )


def _risk(report: Report) -> Iterable[Block]:
    if not report.risks:
        yield Absent(NO_EVIDENCE)
        return
    yield Words(
        "Somebody suspects that a person is in a dataset, and knows everything else. However the "
        "models are studied, this is the most that the suspicion can become, in the dataset with "
        "the largest epsilon, but for a chance of about δ."
    )
    yield Table(
        "From a suspicion of … to at most",
        (
            Column("Who, and over what"),
            Column("ε", number=True),
            *(Column(f"{prior:.0%}", number=True) for prior in PRIORS),
            Column("μ (Gaussian DP)", number=True),
        ),
        tuple(_risk_row(one) for one in report.risks),
    )
    yield Words(
        "μ is exact where each sum is over all records. Elsewhere it is that of the Gaussian "
        "mechanism with the same tight epsilon at this δ, marked with ≈: for comparison, no bound."
    )


def _risk_row(risk: Risk) -> tuple[str, ...]:
    scope = "life" if risk.scope == "lifetime" else "this job"
    sure = (f"{_up(100 * bound, '0.1')} %" for bound in risk.posterior.values())
    return (f"{dict(_VIEWS)[risk.view]}, {scope}", epsilon(risk.epsilon), *sure, _mu(risk))


def _mu(risk: Risk) -> str:
    if risk.mu is None:
        return "not known"
    return f"{_up(risk.mu, '0.001')}" if risk.mu_is_exact else f"≈ {risk.mu:.3f}"


def _or_absent(row: Fact) -> Fact:
    return row if row.value else Fact(row.label, "no evidence in this bundle")


def _neighbours(relation: str) -> str:
    return "adding or removing one" if relation == "add_remove" else relation


def _list(texts: tuple[str, ...]) -> str:
    return ", ".join(texts) or "not known"


def _count(value: int | None) -> str:
    return "not known" if value is None else str(value)


def _number(value: float | None, absent: str = "not asked") -> str:
    return absent if value is None else f"{value:.4f}"


def _up(value: float, step: str) -> Decimal:
    return Decimal(value).quantize(Decimal(step), rounding=ROUND_CEILING)


def _down(value: float | None) -> str:
    return "not known" if value is None else f"{math.floor(value * 1000) / 1000:.3f}"
