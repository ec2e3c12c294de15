"""Of two headers of a site the later one was signed with a longer ledger, or it is refused."""

import pytest

from privacy.errors import PeerLedgerRolledBack
from privacy.growth import LastSeen, check_grown, later, seen_in
from privacy.ledger import Checkpoint
from privacy.records import digest_of
from tests.privacy import example_round as example

OUT, OTHER = "a" * 64, "b" * 64


def seen(number, rows, out=OUT):
    return LastSeen(number, out, Checkpoint(rows, "c" * 64))


def test_a_header_says_how_far_its_sites_ledger_had_come():
    header = example.CONTRIBUTION

    found = seen_in(header)

    assert found == LastSeen(1, digest_of(header), header.ledger)


@pytest.mark.parametrize(
    ("said", "before"),
    [
        (seen(1, 3), None),
        (seen(2, 4, OTHER), seen(1, 3)),
        (seen(9, 4, OTHER), seen(1, 3)),
        (seen(1, 3), seen(1, 3)),
        (seen(1, 3), seen(2, 4, OTHER)),
    ],
    ids=["never seen", "the next round", "aborted rounds between", "sent again", "looked at later"],
)
def test_a_ledger_that_only_grew_is_accepted(said, before):
    """No retry, and no round that came to nothing, is a false alarm."""
    check_grown("amber", said, before)


@pytest.mark.parametrize(
    ("said", "before"),
    [
        (seen(2, 2, OTHER), seen(1, 3)),
        (seen(2, 3, OTHER), seen(1, 3)),
        (seen(1, 3), seen(2, 3, OTHER)),
        (seen(1, 5), seen(2, 3, OTHER)),
    ],
    ids=["shorter", "as long", "as long, seen later", "longer, seen later"],
)
def test_a_ledger_that_did_not_grow_is_refused(said, before):
    """As long is too short: what was sent before was committed in between."""
    with pytest.raises(PeerLedgerRolledBack, match="amber: its header for round 1 was signed with"):
        check_grown("amber", said, before)


def test_what_is_kept_is_the_longest():
    first, second = seen(1, 3), seen(2, 4, OTHER)

    assert later(first, None) == first
    assert later(second, first) == second
    assert later(first, second) == second
