"""Which rounds a site keeps from closing: wider than what it can do at this moment."""

from dataclasses import replace

import pytest

from participant.session import Contribute, Standing, tasks, works_on
from participant.view import RoundView, View

OPEN = RoundView(3, "open", "b", ("b", "c"), "key", ("b", "c"), ("b",), "", ())
VIEW = View(revision=5, rounds=(OPEN,), released=2)


def test_a_site_that_comes_back_works_on_the_open_round_before_it_has_adopted() -> None:
    """Its worker may take seconds to start; the round must not close meanwhile."""
    back = Standing("a", adopted=1)

    assert Contribute(3) not in tasks(VIEW, back)
    assert works_on(VIEW, back) == (3,)


@pytest.mark.parametrize(
    "standing",
    [
        Standing("b", adopted=2),
        Standing("a", adopted=2, trains=False),
        Standing("a", adopted=2, declined=frozenset({Contribute(3)})),
    ],
    ids=["has committed", "does not train", "has declined"],
)
def test_who_will_not_contribute_does_not_keep_a_round_open(standing: Standing) -> None:
    """It would wait until it is abandoned."""
    assert works_on(VIEW, standing) == ()


def test_several_rounds_are_live_at_once() -> None:
    """The next round's key is made while this one is open."""
    keying = replace(OPEN, number=4, phase="keying", turn="c", key_record="", key_signers=())

    both = replace(VIEW, rounds=(OPEN, keying))

    assert works_on(both, Standing("c", adopted=2)) == (3, 4)
    assert works_on(both, Standing("b", adopted=2)) == ()
