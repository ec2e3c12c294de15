"""Three seats toss a coin; whoever does not play by the rules is refused by the others."""

import os

import pytest

from participant.seat.coin import toss
from privacy.errors import MalformedMessage, SeatsDisagree
from tests.privacy.mpc.trio import at_once, three_links

CONTEXT = b"candidates of round 3"


def toss_at(links, change=None):
    return at_once(
        *[
            lambda seat=seat, link=link: toss(
                change(seat, link) if change else link, seat, CONTEXT, os.urandom
            )
            for seat, link in enumerate(links)
        ]
    )


class Changing:
    """A link of one seat that changes some of what it sends."""

    def __init__(self, link, change):
        self._link, self._change = link, change
        self.receive = link.receive

    def send(self, to_seat, body):
        self._link.send(to_seat, self._change(to_seat, body))


def test_all_three_have_the_same_seed_and_each_toss_another():
    first, again = toss_at(three_links()), toss_at(three_links())

    assert len(set(first)) == len(set(again)) == 1
    assert first[0] != again[0]
    assert len(first[0]) == 32


def test_a_seat_that_commits_to_two_values_is_noticed_before_anything_is_shown():
    """The two honest seats must not show their values to each other's different coins."""
    shown = []

    def change(to_seat, body):
        if body.startswith(b"coin/commit:") and to_seat == 1:
            return b"coin/commit:" + bytes(32)
        return body

    def link_of(seat, link):
        def honest(to_seat, body):
            if body.startswith(b"coin/show:"):
                shown.append(seat)
            return body

        return Changing(link, change if seat == 2 else honest)

    results = toss_at(three_links(), link_of)

    assert isinstance(results[0], SeatsDisagree)
    assert isinstance(results[1], SeatsDisagree)
    assert not {0, 1} & set(shown)


def test_a_seat_that_shows_another_value_than_it_committed_to_is_named():
    def change(_, body):
        return b"coin/show:" + bytes(32) if body.startswith(b"coin/show:") else body

    results = toss_at(
        three_links(), lambda seat, link: Changing(link, change) if seat == 2 else link
    )

    for result in results[:2]:
        assert isinstance(result, MalformedMessage)
        assert "seat 2 shows another value" in str(result)


@pytest.mark.parametrize("instead", [b"", b"coin/show:" + bytes(32), b"coin/commit:" + bytes(31)])
def test_what_is_no_commitment_is_refused(instead):
    links = three_links()
    for seat in (1, 2):
        links[seat].send(0, instead)

    with pytest.raises(MalformedMessage, match=f"from seat 1 came {len(instead)} bytes"):
        toss(links[0], 0, CONTEXT, os.urandom)
