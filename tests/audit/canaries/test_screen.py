"""The screen: every figure at the widths that terminals have, and verdicts in words."""

from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from veilsum.audit.canaries.result import PrivacyAudits, Verdict
from veilsum.audit.canaries.screen import show

from .sample_audits import CAUGHT, PASSED, VIOLATED, WEAK

FIGURES = ["4.00", "1.71 (1.67)", "2.43 (2.38)", "1.67", "1.01 (-1.1)", "0.99 (-0.2)", "5.97"]


def screen(*shipped, controls=(), width=100):
    out = StringIO()
    show(PrivacyAudits(shipped, tuple(controls), 66.4), Console(file=out, width=width))
    return out.getvalue()


def unfolded(text):
    """Without what a narrow line puts between words."""
    return " ".join(text.split())


@pytest.mark.parametrize(
    "figure", [*FIGURES, "distributed shares sums", "distributed shares vector"]
)
def test_every_figure_is_whole(figure):
    """A cut figure is a wrong one."""
    assert figure in screen(PASSED)


def test_what_was_tested_besides_is_said_of_a_pass_too():
    """A test that is never shown is not missed when it is gone."""
    text = unfolded(screen(PASSED))

    assert "correlation of sites' noise 0.01 (+1.2)" in text
    assert "participation over Poisson's 1.03 (+1.5)" in text
    assert "batch sizes over Poisson's 0.90 (+0.3)" in text


@pytest.mark.parametrize(
    ("shipped", "controls", "words"),
    [
        (PASSED, [CAUGHT], "passed: nothing here contradicts the claims; 66 s"),
        (VIOLATED, [], "VIOLATED: what runs is not what is claimed; 66 s"),
        (WEAK, [], "too weak: the audit could not have seen what it looks for; 66 s"),
        (
            PASSED,
            [CAUGHT, replace(CAUGHT, verdict=Verdict.PASSED, findings=())],
            "too weak: 1 of 2 defects were not caught; 66 s",
        ),
    ],
)
def test_the_last_line_is_the_verdict_in_words(shipped, controls, words):
    """Readable without colour, and without knowing the exit status."""
    assert screen(shipped, controls=controls).splitlines()[-1] == words


def test_findings_and_controls_are_named():
    """What is wrong, and what of the defects put in was caught because of what."""
    missed = replace(CAUGHT, verdict=Verdict.TOO_WEAK)

    text = unfolded(screen(VIOLATED, controls=[CAUGHT, missed]))

    assert "✗ sums: noise is 0.50 of what is claimed (z 53)" in text
    assert "distributed: a record without numbers caught a record" in text
    assert "NOT CAUGHT (too weak)" in text
