"""The part on the release: which it is, and which evidence and software stand behind it."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Column, Fact, Points, Table, Words
from veilsum.audit.report.contents import Report, Source

from .wording import NO_EVIDENCE, listed, stated


def release_blocks(report: Report) -> Iterable[Block]:
    """Yield the digests that pin the release, and the bundles and software it is known from."""
    facts = report.release
    if not facts.release:
        yield Absent(f"{NO_EVIDENCE} It holds no release of this round; what follows is the spend.")
    yield stated(
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
    yield _software(report.sources)


def _maker(one: Source) -> str:
    return listed(filter(None, (one.participant, one.organisation)), "")


def _software(sources: tuple[Source, ...]) -> Block:
    rows = tuple(_software_rows(sources))
    if not rows:
        return Absent(f"{NO_EVIDENCE} It names no software.")
    return Table(
        "Software, as its makers state it; installed is SHA-256 of all name==version there",
        (Column("Name"), Column("Version or hash"), Column("Stated by", wide=True)),
        rows,
    )


def _software_rows(sources: tuple[Source, ...]) -> Iterable[tuple[str, str, str]]:
    """Yield a row for each version of each package, with all who state it."""
    makers: dict[tuple[str, str], list[str]] = {}
    for one in sources:
        for package in one.software.items():
            makers.setdefault(package, []).append(one.participant)
    for (name, version), names in sorted(makers.items()):
        yield name, version, ", ".join(names)
