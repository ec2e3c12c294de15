"""How often somebody without a name may ask."""

import pytest

from coordinator.wire.pace import BURST, MOST_ADDRESSES, OF_ALL, Pace
from privacy.errors import TooManyRequests

PEER = "ipv4:192.0.2.7:50123"


class Ticks:
    at = 0.0

    def __call__(self):
        return self.at


def burst(pace, peer):
    for _ in range(BURST):
        pace.take(peer)


def test_an_address_asks_five_times_at_once_and_then_once_a_second():
    """S3: a token is guessed at no more than this."""
    ticks = Ticks()
    pace = Pace(ticks)
    burst(pace, PEER)

    with pytest.raises(TooManyRequests, match=r"192\.0\.2\.7"):
        pace.take(PEER)

    ticks.at += 1.0
    pace.take(PEER)
    with pytest.raises(TooManyRequests):
        pace.take("ipv4:192.0.2.7:50999")


def test_who_waits_gets_no_more_than_a_burst():
    ticks = Ticks()
    pace = Pace(ticks)
    burst(pace, PEER)
    ticks.at += 3600

    burst(pace, PEER)

    with pytest.raises(TooManyRequests):
        pace.take(PEER)


def test_addresses_do_not_take_each_others_turns():
    pace = Pace(Ticks())
    burst(pace, PEER)

    burst(pace, "ipv4:192.0.2.8:50123")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ipv6:%5B2001:db8::1%5D:50", "ipv6:%5B2001:db8::ffff%5D:60"),
        ("ipv6:[2001:db8::1]:50", "ipv6:[2001:db8::2]:50"),
        ("ipv6:[::ffff:192.0.2.7]:50", PEER),
    ],
)
def test_a_household_has_one_turn_however_many_addresses_it_has(first, second):
    """RFC 6177: a site has a /64 or more, hence more addresses than can be counted."""
    pace = Pace(Ticks())
    burst(pace, first)

    with pytest.raises(TooManyRequests):
        pace.take(second)


def test_more_addresses_than_are_remembered_fill_no_memory():
    ticks = Ticks()
    pace = Pace(ticks)

    for each in range(MOST_ADDRESSES + 100):
        ticks.at += 1.0
        pace.take(f"ipv4:10.{each >> 16}.{each >> 8 & 255}.{each & 255}:1")

    assert len(pace._of) == MOST_ADDRESSES


def test_many_addresses_together_have_a_bound_of_their_own():
    """Whoever has a /48 has 65,536 networks to ask from."""
    ticks = Ticks()
    pace = Pace(ticks)
    for each in range(OF_ALL * BURST):
        pace.take(f"ipv6:[2001:db8:{each:x}::1]:50")

    with pytest.raises(TooManyRequests, match="all addresses together"):
        pace.take("ipv4:192.0.2.9:1")

    ticks.at += 1.0
    pace.take("ipv4:192.0.2.9:1")
