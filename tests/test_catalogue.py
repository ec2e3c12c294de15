"""The catalogue of errors knows every code, says what to do, and is what docs/errors.md shows."""

import re

import pytest

from tests.error_tables import PAGE, written
from tests.test_architecture import every_error
from veilsum.catalogue import ENTRIES, STATUSES, entry_of

NO_CLASS = {"usage", "aborted", "interrupted"}
"""What a command line can end with and nobody raises."""

NOTHING_MORE_TO_SAY = {"release_mismatch"}
"""Where one sentence is all there is to do."""


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    """A class without one leaves whoever meets it alone; add it to veilsum/catalogue.py."""
    assert set(ENTRIES) == {error.code for error in every_error()} | NO_CLASS


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_an_entry_says_what_happened_and_then_what_to_do(code: str) -> None:
    """Two sentences at least: what to do, and what if that was not it."""
    entry = entry_of(code)

    assert re.search(r"[.)]$", entry.means)
    assert entry.fix.endswith(".")
    assert code in NOTHING_MORE_TO_SAY or len(re.findall(r"[.;:](\*\*)? ", entry.fix)) >= 1
    assert "|" not in entry.means + entry.fix


@pytest.mark.parametrize("code", sorted(ENTRIES))
def test_who_acts_is_said_once(code: str) -> None:
    """By the class, or by the entry of what has none."""
    assert bool(entry_of(code).who_acts) == (code in NO_CLASS)


def test_a_code_of_a_newer_peer_has_an_answer_too() -> None:
    """Two releases live side by side; the older one does not know the newer one's codes."""
    assert entry_of("from_the_future").fix


def test_no_status_stands_twice() -> None:
    numbers = [each.number for each in STATUSES]

    assert numbers == sorted(set(numbers))


def test_the_page_shows_the_catalogue() -> None:
    """`python -m tests.error_tables` writes it; by hand, one of the two would be behind."""
    text = PAGE.read_text()

    assert text == written(text)
