"""When each member last called, and with which release."""

from coordinator.members.seen import MOST_SEEN, Seen, SeenBook
from tests.fakes import ManualClock


def test_the_last_call_of_each_member_is_remembered():
    clock = ManualClock(10.0)
    book = SeenBook(clock)

    book.note("hospital-a", "0.1.0")
    clock.advance(5.0)
    book.note("hospital-b", "0.1.0")
    book.note("hospital-a", "0.2.0")

    assert book.of("hospital-a") == Seen(15.0, "0.2.0")
    assert book.of("hospital-b") == Seen(15.0, "0.1.0")


def test_who_has_not_called_was_not_seen():
    assert SeenBook(ManualClock()).of("hospital-a") is None


def test_it_takes_bounded_memory_and_forgets_the_longest_silent():
    book = SeenBook(ManualClock())
    for number in range(MOST_SEEN):
        book.note(f"site-{number}", "0.1.0")
    book.note("site-0", "0.1.0")

    book.note("one-more", "0.1.0")

    assert book.of("site-1") is None
    assert book.of("site-0")
    assert book.of("one-more")
