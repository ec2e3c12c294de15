"""The last screen: whole at the widths that terminals have, and readable without colour."""

import re
from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from tests.demo.sample_report import SEATS, SITES, sample, shared_sample
from veilsum.demo.report import Report
from veilsum.demo.screen import Progress, show

SHOWN = [
    *SITES,
    "KILLED",
    "0.958",
    "0.923",
    "0.979",
    "2.841",
    "0.159",
    "delta 0.001",
    "7.80 bytes a parameter",
    "plain float32 takes 4",
    "sums of rounds 1–3 countersigned by audit-office",
    "11 contributions added again, 1,352,340 bytes in 0.75 s",
    "5e" * 32,
    "0x" + "7a" * 32,
    "327,272",
    "31.4%",
    "1,200,000 of 1,200,000 token units paid; 0 stay in the escrow",
    "47.1 s",
    "/somewhere",
]


def screen(report: Report, width: int, *, terminal: bool = False) -> str:
    out = StringIO()
    show(report, Console(file=out, width=width, highlight=False, force_terminal=terminal))
    return out.getvalue()


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of each row of a table whose first cell is `first`, folded ones put together."""
    found: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        if not cells or cells[0]:
            inside = cells[:1] == [first]
            found += [cells] if inside else []
        elif inside:
            found[-1] = [f"{a} {b}".strip() for a, b in zip(found[-1], cells, strict=True)]
    return found


def squeezed(text: str) -> str:
    """Without what a table or a narrow line puts between the parts of a word."""
    return "".join(text.split()).replace("│", "").replace("┃", "")


@pytest.mark.parametrize("width", [80, 100])
def test_every_item_is_on_the_screen(width: int) -> None:
    """Nothing is cut off to make room."""
    text = screen(sample(), width)
    words = squeezed(text)

    assert [item for item in SHOWN if squeezed(item) not in words] == []
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_round_says_what_each_site_did(width: int) -> None:
    """The kill, how far the upload was, and that the site came back."""
    text = screen(sample(), width)

    (second,), (third,) = rows(text, "2"), rows(text, "3")
    assert second[1:5] == [*["in the sum"] * 3, "KILLED, 1 of 2 chunks sent"]
    assert second[5:] == ["3", "0", "a, b"]
    assert third[1:5] == [*["in the sum"] * 3, "came back, in the sum"]


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """A line that is broken by the terminal breaks a table."""
    assert max(map(len, screen(sample(), width).splitlines())) <= width


def test_it_is_readable_without_colour() -> None:
    """Written to a file there is no escape sequence, and each check says yes or NO."""
    text = screen(sample(accuracy=0.5), 100)

    assert "\x1b" not in text
    assert text.count("  yes  ") == len(sample().checks()) - 1
    assert "  NO   accuracy is at least 0.90" in text


def test_colour_adds_nothing_to_the_words() -> None:
    """On a terminal the same words are there."""
    plain = screen(sample(accuracy=0.5), 100)
    coloured = screen(sample(accuracy=0.5), 100, terminal=True)

    assert "\x1b" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_what_is_not_known_is_not_shown_as_nought() -> None:
    """A difference that nobody measured is a question mark."""
    unknown = tuple(replace(each, difference=None) for each in sample().rounds)

    (first,) = rows(screen(sample(rounds=unknown), 100), "1")

    assert first[6] == "?"


def test_a_sum_that_nobody_countersigned_is_said() -> None:
    """And of what nobody added again there is nothing to count."""
    first, *others = sample().rounds
    unsigned = replace(first, countersigned=(), audited=None)

    text = screen(sample(rounds=(unsigned, *others)), 80)

    assert "sums of rounds 1 countersigned by NOBODY" in text
    assert "sums of rounds 2–3 countersigned by audit-office" in text
    assert "7 contributions added again" in text


@pytest.mark.parametrize("width", [80, 100])
def test_under_shares_the_screen_says_what_seats_did(width: int) -> None:
    """Each seat in each round, who was held to the norm bound, scores, and why there are none."""
    text = screen(shared_sample(), width)
    words = squeezed(text)

    seats = [row for row in rows(text, "3") if "not stated" in row[3]]
    assert [row[3] for row in seats] == ["KILLED, cohort signed, its sums not stated"]
    said = [*(name.removeprefix("seat-") for name in SEATS), "a, b, c, d", "296, 312"]
    said += ["round 3 has no scores: seat-university is away", "8.32 bytes a parameter"]
    said += ["two seats together, every update"]
    assert [item for item in said if squeezed(item) not in words] == []
    assert "…" not in text
    assert "added again" not in text
    assert max(map(len, text.splitlines())) <= width


def test_a_round_with_seats_has_its_row() -> None:
    """Rounds, seats and scores, each in a table of its own."""
    text = screen(shared_sample(), 100)

    _, seats, scores = rows(text, "3")
    assert seats[1:3] == ["judged, signed, summed"] * 2
    assert seats[3].startswith("KILLED")
    assert seats[5] == "a, b, c, d"
    assert scores[1:] == ["—"] * 4


def test_norms_that_nobody_asked_for_are_said() -> None:
    """Rather than a cell that is empty."""
    first, *others = shared_sample().rounds
    unasked = replace(first, seated=replace(first.seated, checked=()))

    text = screen(shared_sample(rounds=(unasked, *others)), 100)

    assert "not asked" in text


def test_progress_is_one_plain_line_a_step() -> None:
    """It goes to stderr, so that --json is one object and nothing else."""
    out = StringIO()
    Progress(out).step("round 1")

    (line,) = out.getvalue().splitlines()
    assert line.endswith(" s  round 1")


@pytest.mark.parametrize("width", [80, 100])
def test_measured_parts_stand_beside_exact_shapley_values(width: int) -> None:
    """Round by round, what they would be without noise, and what is paid for them."""
    text = screen(shared_sample(), width)

    assert rows(text, "hospital-a")[-1][1:] == ["25.5%", "33.4%", "—", "28.8%", "31.4%", "327,272"]
    assert "nobody earns in round 3" in text
    assert "99.1% of a mean score is the hospital's own noise" in text


def test_of_many_rounds_none_has_a_column_of_its_own() -> None:
    """Twenty rounds are paid by participation, and nothing is measured in any."""
    twenty = tuple(replace(sample().rounds[0], number=number) for number in range(1, 21))
    worths = {name: replace(e, measured=(0.25,) * 20) for name, e in sample().worths.items()}

    text = screen(sample(rounds=twenty, worths=worths), 80)

    assert "round 20" not in text
    assert rows(text, "hospital-a")[-1][1:] == ["31.4%", "327,272"]
