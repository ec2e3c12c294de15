"""The results of audits for people: a table, then what is wrong, readable without colour."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from privacy.plan import Mechanism

from .result import PrivacyAudit, PrivacyAudits, Test, Verdict, View

WIDTH = 100

_HEADINGS = ("audited", "claimed", "one-run", "trade-off", "floor", "noise", "step")
_MARKS = {Verdict.PASSED: "✓", Verdict.VIOLATED: "✗", Verdict.TOO_WEAK: "?"}

HOW_TO_READ = (
    "one-run, trade-off: lower bounds on epsilon at 95 % confidence (mean bound of a perfect "
    "mechanism at the claim). floor: a trade-off bound below it, and the audit is too weak. "
    "noise, step: measured over claimed (deviations away; + costs privacy)."
)


def progress(audit: PrivacyAudit) -> str:
    """Return what is said when an audit has ended."""
    return f"{title(audit)}: {audit.verdict}, {audit.seconds:.0f} s"


def show(result: PrivacyAudits, console: Console | None = None) -> None:
    """Print each audit's bounds and tests, the controls, and the verdict."""
    out = console or Console(width=WIDTH, highlight=False)
    out.print(_table(result.audits))
    for audit in result.audits:
        _say(audit, out)
    if result.controls:
        out.print(_controls(result.controls))
    out.print(HOW_TO_READ, markup=False)
    out.print(f"{_said(result)}; {result.seconds:.0f} s", markup=False)


def title(audit: PrivacyAudit) -> str:
    """Return what was audited, in one line."""
    return f"{audit.mechanism}, {audit.scheme}: {audit.subject}"


def _table(audits: Sequence[PrivacyAudit]) -> Table:
    table = _plain_table("Epsilon, by canaries")
    for name in (*_HEADINGS, ""):
        table.add_column(name, justify="left" if name == "audited" else "right", no_wrap=True)
    for audit in audits:
        for view in audit.views:
            table.add_row(_name(audit, view), *_figures(view), _MARKS[audit.verdict])
    return table


def _plain_table(heading: str) -> Table:
    return Table(
        title=heading,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )


def _name(audit: PrivacyAudit, view: View) -> str:
    which = "" if audit.mechanism == Mechanism.LOCAL else f" {view.name}"
    return f"{audit.mechanism} {audit.scheme.partition('/')[0]}{which}"


def _figures(view: View) -> tuple[str, ...]:
    return (
        f"{view.claimed:.2f}",
        f"{view.one_run:.2f} ({view.expected_one_run:.2f})",
        f"{view.trade_off:.2f} ({view.expected_trade_off:.2f})",
        f"{view.floor:.2f}",
        _test(view.noise),
        _test(view.gap),
    )


def _of_sites(audit: PrivacyAudit) -> Iterator[str]:
    """Say what was tested besides, of sites that took part to the end."""
    if audit.dependence is not None:
        yield f"correlation of sites' noise {_test(audit.dependence)}"
    if audit.participation is not None:
        yield f"participation over Poisson's {_test(audit.participation)}"
    if audit.batch_sizes is not None:
        yield f"batch sizes over Poisson's {_test(audit.batch_sizes)}"


def _test(test: Test) -> str:
    return f"{test.ratio:.2f} ({test.z:+.1f})"


def _say(audit: PrivacyAudit, out: Console) -> None:
    out.print(f"{title(audit)}: {'; '.join(_of_sites(audit))}", markup=False)
    for words in audit.findings:
        out.print(f"  {_MARKS[audit.verdict]} {words}", markup=False)


def _controls(controls: Sequence[PrivacyAudit]) -> Table:
    table = _plain_table("Defects put in on purpose")
    for name in ("defect", "audit says", "because"):
        table.add_column(name, no_wrap=name == "defect")
    for control in controls:
        caught = control.verdict is Verdict.VIOLATED
        subject = f"{control.mechanism}: {control.subject}"
        reason = next(iter(control.findings), "nothing")
        table.add_row(subject, "caught" if caught else f"NOT CAUGHT ({control.verdict})", reason)
    return table


def _said(result: PrivacyAudits) -> str:
    missed = result.missed
    if missed and result.verdict is Verdict.TOO_WEAK:
        return f"too weak: {len(missed)} of {len(result.controls)} defects were not caught"
    return {
        Verdict.PASSED: "passed: nothing here contradicts the claims",
        Verdict.VIOLATED: "VIOLATED: what runs is not what is claimed",
        Verdict.TOO_WEAK: "too weak: the audit could not have seen what it looks for",
    }[result.verdict]
