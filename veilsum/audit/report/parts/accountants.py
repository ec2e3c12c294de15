"""What each accountant says: the one that is enforced, held against the others."""

from collections.abc import Iterable

from veilsum.audit.report.blocks import Absent, Block, Column, Fact, Facts, Table, Words
from veilsum.audit.report.contents import DatasetSpend, Report
from veilsum.audit.second_opinion import Opinions

from .wording import NO_EVIDENCE, dataset_name, each_view, number, number_columns


def accountants_blocks(report: Report) -> Iterable[Block]:
    """Yield the method that is enforced, and what others say of the same noise."""
    accountants = report.accountants
    method = f"{accountants.accountant}: Rényi divergence at orders fixed in advance"
    second = ", ".join(f"{name} {version}" for name, version in accountants.second.items())
    yield Facts(
        (
            Fact("Enforced by", method),
            Fact("Rényi orders", ", ".join(accountants.orders)),
            Fact("Second opinions by", second),
        )
    )
    yield from _opinion_blocks(report)


def _opinion_blocks(report: Report) -> Iterable[Block]:
    rows = tuple(_opinions(report.datasets))
    if not rows:
        yield Absent(_trouble(report))
        return
    yield Table(
        "Ours held against dp_accounting's: one method, the same orders",
        (
            Column("Dataset and view"),
            *number_columns(
                "Own RDP, whole orders", "dp_accounting RDP, whole orders", "Difference"
            ),
        ),
        tuple(_compared_row(*each) for each in rows),
    )
    yield Table(
        "Epsilon by each accountant, at its own orders",
        (
            Column("Dataset and view"),
            *number_columns("Enforced", "PLD", "Opacus RDP", "Opacus PRV", "Exact"),
        ),
        tuple(_opinion_row(*each) for each in rows),
    )
    yield Words(
        "Enforced is what the ledger counts: our RDP at all of the orders above. The first "
        "table is at those of them that are whole numbers, where both accountants are equal "
        "but for floats; the difference is ours less the other, over the other. Enforced must "
        "not be below PLD, which is tighter, or the exact value where there is one. PLD and "
        "PRV report on what was run; no budget is stopped by them."
    )


def _opinions(datasets: Iterable[DatasetSpend]) -> Iterable[tuple[str, Opinions]]:
    for one, name, view in each_view(datasets):
        for scope, said in (
            ("this job", view.release_opinions),
            ("life", view.lifetime_opinions),
        ):
            if said is not None:
                yield f"{dataset_name(one)}, {name}, {scope}", said


def _compared_row(name: str, said: Opinions) -> tuple[str, ...]:
    return (name, f"{said.own_rdp_whole:.6f}", f"{said.google_rdp:.6f}", f"{said.difference:+.1e}")


def _opinion_row(name: str, said: Opinions) -> tuple[str, ...]:
    return (
        name,
        f"{said.own_rdp:.4f}",
        f"{said.google_pld:.4f}",
        number(said.opacus_rdp, ".4f", "not asked"),
        number(said.opacus_prv_upper, ".4f", "not asked"),
        number(said.closed_form, ".4f", "none"),
    )


def _trouble(report: Report) -> str:
    if report.trouble:
        return f"The accountants do not agree: {report.trouble}."
    return f"{NO_EVIDENCE} There is nothing to ask a second accountant about."
