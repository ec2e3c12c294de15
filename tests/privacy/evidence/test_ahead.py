"""Checks run ahead of being asked for, and answer in their order."""

from threading import Event, current_thread

import pytest

from privacy.errors import InvalidSignature
from privacy.evidence.ahead import Ahead
from privacy.evidence.finding import Check, Finding, Outcome


def refuse():
    raise InvalidSignature("not signed")


def entries(findings):
    return [each.entry for some in findings for each in some]


@pytest.mark.parametrize("threads", [1, 4])
def test_findings_come_in_the_order_of_the_checks(threads):
    """The first wrong entry is named, whichever thread is first."""
    wrong = {5, 64, 65, 199}
    checks = [Check(at, refuse if at in wrong else lambda: None) for at in range(200)]

    with Ahead(threads) as ahead:
        found = list(ahead.run(checks))

    assert len(found) == len(checks)
    assert entries(found) == sorted(wrong)
    assert found[5] == (Finding(Outcome.TAMPERED, 5, "not signed"),)


def test_a_check_that_is_held_up_does_not_hold_up_the_others():
    """Several cores are used: the second lot of checks ends before the first."""
    later = Event()
    first = Check(1, lambda: later.wait(timeout=10))
    others = [Check(at, lambda: None) for at in range(2, 90)]

    with Ahead(2) as ahead:
        found = list(ahead.run([first, *others, Check(90, later.set)]))

    assert later.is_set()
    assert entries(found) == []


def test_what_nobody_asks_about_is_left():
    """A change near the start of a large bundle costs no look at the rest of it."""
    ran = []
    checks = [Check(at, lambda: ran.append(current_thread().name)) for at in range(100_000)]

    with Ahead(1) as ahead:
        next(ahead.run([Check(0, refuse), *checks]))

    assert len(ran) < len(checks)


def test_what_is_not_foreseen_is_raised():
    """A check that fails otherwise than by refusing has told nothing about an entry."""
    with Ahead(1) as ahead, pytest.raises(ZeroDivisionError):
        list(ahead.run([Check(1, lambda: 1 // 0)]))
