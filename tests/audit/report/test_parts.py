"""Ten parts, each filled from evidence or saying plainly that there is none."""

import math
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from msgspec.structs import replace

from tests.audit.report import example_report as example
from tests.privacy import example_round as rounds
from veilsum.audit.report.blocks import Absent, Drawing, Table
from veilsum.audit.report.contents import State
from veilsum.audit.report.drawings import drawings_of, figure_of
from veilsum.audit.report.mechanism import mechanism_of
from veilsum.audit.report.parts.claim import claim_of
from veilsum.audit.report.parts.layout import layout_of
from veilsum.audit.report.parts.wording import NO_EVIDENCE, epsilon
from veilsum.audit.report.risk import posterior, risks_of

TITLES = (
    "Verdict",
    "Release",
    "Who has given away how much",
    "Mechanism, sampler and accountants",
    "Approvals",
    "Other uses of the data",
    "Tests of the mechanism",
    "Tamper evidence",
    "What this report does not cover",
    "What it means for one person",
)


def absent(layout):
    """Numbers of the parts that say that evidence is missing."""
    return {part.number for part in layout.parts for one in part.blocks if isinstance(one, Absent)}


def test_a_report_has_ten_parts_in_order():
    layout = layout_of(example.report(), drawings_of)

    assert tuple(part.title for part in layout.parts) == TITLES
    assert [part.number for part in layout.parts] == list(range(1, 11))
    assert absent(layout) == set()


def test_what_evidence_does_not_say_the_report_says_it_does_not():
    layout = layout_of(example.empty(), drawings_of)

    assert absent(layout) == {2, 3, 4, 5, 6, 7, 8, 10}
    words = [one.text for part in layout.parts for one in part.blocks if isinstance(one, Absent)]
    assert all(text.startswith(NO_EVIDENCE) for text in words)
    assert layout.claim.startswith("No epsilon can be stated")


@pytest.mark.parametrize("state", list(State))
def test_the_badge_is_the_verdict(state):
    layout = layout_of(example.report(state), drawings_of)

    assert layout.badge == state


def test_numbers_of_tampered_evidence_carry_a_warning():
    sound = layout_of(example.report(), drawings_of).parts[0]
    layout = layout_of(example.report(State.TAMPERED), drawings_of)

    assert "proves none of them" not in str(sound)
    assert "proven no better" in str(layout.parts[0])
    assert "proves none of them" in str(layout.parts[0])


def test_the_claim_is_the_largest_epsilon_of_all_datasets():
    """Never an average, and never that of the site that looks best."""
    report = example.report()
    (small,) = report.datasets
    large = replace(small, sums=replace(small.sums, release=2.0001, lifetime=2.5))

    claim = claim_of(replace(report, datasets=(small, large, small)))

    assert "corrections: ε ≤ 2.500 " in claim
    assert "rounds up to this release: ε ≤ 2.001 and " in claim


def test_what_a_header_claims_is_no_part_of_anothers_ledger():
    """A site without its ledger here may have spent more than those with one."""
    report = example.report()
    (one,) = report.datasets
    views = {
        "sums": replace(one.sums, release=9.0, lifetime=None),
        "vector": replace(one.vector, lifetime=None),
    }
    headers = replace(one, participant="birch", **views)

    claim = claim_of(replace(report, datasets=(one, headers)))

    assert "This job's rounds up to this release: ε ≤ 9.000 " in claim
    assert "Of that" not in claim


def test_the_claim_and_its_figures_are_for_life():
    """Who reads one line must not miss what corrections and other jobs have added."""
    report = example.report()
    (one,) = report.datasets
    more = replace(
        one, sums=replace(one.sums, lifetime=9.5), vector=replace(one.vector, lifetime=11)
    )
    layout = layout_of(replace(report, datasets=(more,)), drawings_of)

    assert layout.claim.startswith("For life, over all jobs, pre-processing and corrections: ε ≤ 9")
    assert "ε ≤ 11.000 towards who opens one update" in layout.claim
    assert [(one.label, one.value) for one in layout.figures][:2] == [
        ("ε for life, sums only", "9.500"),
        ("ε for life, one opened update", "11.000"),
    ]


def test_the_claim_names_whose_noise_it_rests_on_and_whose_ledgers():
    """Three honest sites are a condition; one of four ledgers is a part."""
    claim = claim_of(example.report())

    assert "sees sums only, while 3 honest sites add their noise to each sum, and" in claim
    assert "from 1 of 4 sites' ledgers (amber: hearts)" in claim


def test_without_a_ledger_nothing_is_claimed_for_life():
    report = example.report()
    (one,) = report.datasets
    views = {key: replace(getattr(one, key), lifetime=None) for key in ("sums", "vector")}

    claim = claim_of(replace(report, datasets=(replace(one, **views),)))

    assert claim.startswith("For life nothing can be stated")
    assert "from the headers of amber" in claim


def test_the_compared_epsilons_are_those_that_are_shown():
    """Their difference can be taken from the two columns before it."""
    table = next(
        one for one in layout_of(example.report(), drawings_of).parts[3].blocks if _is_table(one)
    )
    titles = [column.title for column in table.columns]
    own, other, difference = (
        titles.index(name)
        for name in (
            "Own RDP, whole orders",
            "dp_accounting RDP, whole orders",
            "Difference",
        )
    )

    for row in table.rows:
        assert float(row[difference]) == pytest.approx(
            (float(row[own]) - float(row[other])) / float(row[other]), abs=2e-6
        )


def _is_table(block):
    return isinstance(block, Table)


def test_software_that_several_state_alike_is_one_row():
    report = example.report()
    (source,) = report.sources
    sources = (
        replace(source, participant="amber", software={"veilsum": "1", "numpy": "2"}),
        replace(source, participant="birch", software={"veilsum": "1", "numpy": "3"}),
    )

    blocks = layout_of(replace(report, sources=sources), drawings_of).parts[1].blocks
    table = next(one for one in blocks if _is_table(one) and one.caption.startswith("Software"))

    assert table.rows == (
        ("numpy", "2", "amber"),
        ("numpy", "3", "birch"),
        ("veilsum", "1", "amber, birch"),
    )


def test_a_maker_without_an_organisation_is_named_without_a_comma():
    report = example.report()
    (source,) = report.sources
    report = replace(report, sources=(replace(source, participant="coordinator", organisation=""),))

    table = next(one for one in layout_of(report, drawings_of).parts[1].blocks if _is_table(one))

    assert table.rows[0][0] == "coordinator"


def test_up_to_which_row_a_ledger_was_seen_is_said():
    """A witness of row 3 says nothing of row 30."""
    part = str(layout_of(example.report(), drawings_of).parts[7])

    assert "up to row 28 by birch" in part
    assert "up to row 17 of cedar" in part


def test_an_auditor_that_is_only_named_is_the_plans_word():
    report = example.report()
    mechanism = report.mechanism
    bare = replace(mechanism, trust=replace(mechanism.trust, countersigned=()))

    shown = str(layout_of(report, drawings_of).parts[2])
    named = str(layout_of(replace(report, mechanism=bare), drawings_of).parts[2])

    assert "the sums of rounds 1 to 3, 5 is in evidence" in shown
    assert "birch, by the plan's word" in named


def test_delta_is_compared_with_a_cap_that_is_public_and_else_with_nothing():
    report = example.report()
    (one,) = report.datasets

    def said(report):
        return str(layout_of(report, drawings_of).parts[2])

    assert "δ is below one over 200" in said(report)
    assert "not below one over 200" in said(
        replace(report, datasets=(replace(one, delta="0.005"),))
    )
    assert "They were not compared" in said(
        replace(report, mechanism=replace(report.mechanism, units_cap=None))
    )


def test_a_test_is_said_to_be_of_its_own_setting_and_in_both_views():
    """Its epsilon is not this release's claim."""
    part = layout_of(example.report(), drawings_of).parts[6]
    table = next(one for one in part.blocks if _is_table(one))

    (row,) = table.rows
    assert row[1] == "distributed, shares/1"
    assert row[3:7] == ("4.000", "0.00001", "1.700", "2.900")
    assert "no claim about this release" in str(part)


def test_an_accounting_mismatch_is_no_breach_of_policy():
    """The one is about numbers that do not add up, the other about limits."""
    layout = layout_of(example.report(State.ACCOUNTING_MISMATCH), drawings_of)

    assert (layout.badge, layout.tone) == ("accounting mismatch", "mismatch")
    assert "do not add up" in layout.claim


def test_epsilons_are_rounded_up_and_what_is_left_down():
    report = example.report()
    (one,) = report.datasets
    view = replace(one.sums, remaining=0.9999)
    layout = layout_of(replace(report, datasets=(replace(one, sums=view),)), drawings_of)

    table = next(each for each in layout.parts[2].blocks if isinstance(each, Table))

    assert epsilon(1.0000001) == "1.001"
    assert table.rows[0][6] == "0.999"


def test_rounds_that_went_alike_are_one_line():
    layout = layout_of(example.report(), drawings_of)

    rounds = next(
        each
        for each in layout.parts[2].blocks
        if isinstance(each, Table) and each.caption.startswith("Rounds")
    )

    assert [row[0] for row in rounds.rows] == ["1 to 2", "3"]
    assert rounds.rows[1][3] == example.HOSTILE


def test_both_views_are_drawn_against_their_limits():
    (drawing,) = drawings_of(example.report())

    assert isinstance(drawing, Drawing)
    assert "<svg" in drawing.svg
    assert "0.900" in drawing.words
    assert "1.400" in drawing.words
    assert "12 more rounds fit" in drawing.caption


@pytest.mark.parametrize(
    ("sums", "vector", "caps", "ahead"),
    [
        (0.9, 1.4, (3.0, 6.0), True),
        (0.999, 1.903, (1.0, 2.0), False),
        (0.999, 1.0, (1.0, 1.01), False),
        (0.02, 0.03, (8.0, 8.0), True),
    ],
)
def test_no_label_lies_on_another(sums, vector, caps, ahead):
    """A spend near its limit is the one that somebody looks at."""
    (known,) = example.report().spending
    points = (known.points[0], replace(known.points[-1], sums=sums, vector=vector))
    spending = replace(
        known,
        points=points,
        sums_cap=caps[0],
        vector_cap=caps[1],
        ahead=known.ahead if ahead else (),
        exhausted=known.exhausted if ahead else "",
    )
    figure = figure_of(spending)
    FigureCanvasAgg(figure).draw()
    labels = [one.get_window_extent() for one in figure.axes[0].texts]

    overlaps = [(a, b) for a, b in combinations(labels, 2) if a.overlaps(b)]

    assert len(labels) == 4
    assert overlaps == []
    assert all(figure.bbox.contains(one.x1, one.y1) for one in labels)


def test_the_same_report_is_drawn_the_same():
    assert drawings_of(example.report()) == drawings_of(example.report())


def test_the_risk_is_that_of_the_dataset_with_the_largest_epsilon():
    (small,) = example.report().datasets
    large = replace(small, sums=replace(small.sums, release=7.5))

    risks = list(risks_of((small, large, small)))

    assert [(one.view, one.scope) for one in risks] == [
        ("sums", "release"),
        ("sums", "lifetime"),
        ("vector", "release"),
        ("vector", "lifetime"),
    ]
    assert risks[0].epsilon == 7.5
    assert risks[1].epsilon == small.sums.lifetime
    assert risks[1].mu_is_exact


def test_whose_noise_is_relied_upon_is_what_the_plan_says():
    training = rounds.DISTRIBUTED_PLAN.terms.privacy.training

    shared, alone = mechanism_of(rounds.DISTRIBUTED_PLAN), mechanism_of(rounds.PLAN)

    assert (shared.trust.honest, shared.trust.colluders) == (training.honest, training.colluders)
    assert shared.trust.mechanism == "distributed"
    assert (alone.trust.honest, alone.trust.colluders) == (1, None)


@pytest.mark.parametrize("prior", [0.01, 0.5, 0.9])
def test_the_posterior_is_the_odds_times_e_to_the_epsilon(prior):
    """At one half: e^eps / (1 + e^eps)."""
    sure = posterior(prior, 1.5)

    assert sure / (1 - sure) == pytest.approx(math.exp(1.5) * prior / (1 - prior))
    assert posterior(0.5, 1.5) == pytest.approx(math.exp(1.5) / (1 + math.exp(1.5)))
    assert posterior(prior, 0.0) == pytest.approx(prior)
