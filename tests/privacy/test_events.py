"""Privacy events are written exactly, read strictly, and never guessed."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage, UnsafeParameters
from privacy.events import (
    Composed,
    DpEvent,
    Gaussian,
    PoissonSampled,
    SelfComposed,
    exact,
    from_json,
    to_json,
)

GAUSSIAN = {"class": "Gaussian", "noise_multiplier": "14.25"}

decimals = st.integers(1, 10**6).map(lambda n: f"{n / 1000:.3f}".rstrip("0").rstrip("."))
leaves: st.SearchStrategy[DpEvent] = decimals.map(Gaussian)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(SelfComposed, st.integers(1, 10**9), inner),
        st.builds(PoissonSampled, st.sampled_from(["0.01", "0.5", "1"]), inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda events: Composed(tuple(events))),
    ),
    max_leaves=5,
)


def test_an_event_is_written_as_the_ledger_format_says() -> None:
    """The shape is public: an auditor's own reader depends on it."""
    event = SelfComposed(1, PoissonSampled("1", Gaussian("14.25")))

    document = to_json(event)

    assert document == {
        "class": "SelfComposed",
        "count": 1,
        "event": {"class": "PoissonSampled", "q": "1", "event": GAUSSIAN},
    }


@given(trees)
@settings(deadline=None, max_examples=50)
def test_reading_gives_back_what_was_written(event: DpEvent) -> None:
    """Nothing is lost on disk, in particular no digit."""
    assert from_json(to_json(event)) == event


def test_numbers_are_exact() -> None:
    """0.1 is one tenth, not the float nearest to it."""
    assert exact("0.1") == Fraction(1, 10)


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        [],
        {"noise_multiplier": "1"},
        {"class": "Laplace", "noise_multiplier": "1"},
        {"class": "Gaussian"},
        {**GAUSSIAN, "seed": 1},
        {"class": "Composed", "events": [GAUSSIAN, {"class": "Unknown"}]},
        {"class": "SelfComposed", "count": True, "event": GAUSSIAN},
        {"class": "SelfComposed", "count": 1.0, "event": GAUSSIAN},
        {"class": "SelfComposed", "count": "1", "event": GAUSSIAN},
    ],
)
def test_an_unknown_shape_is_refused(document: Any) -> None:
    """An event that is not understood has no known cost."""
    with pytest.raises(MalformedMessage):
        from_json(document)


@pytest.mark.parametrize(
    "number",
    [1, 1.5, "nan", "inf", "-1", "+1", "1e3", "01", "1.0", "1.", ".5", " 1", "1\n", "", "1_0", "١"],
)
def test_a_number_has_one_spelling(number: Any) -> None:
    """Two spellings of one number would give one event two digests."""
    with pytest.raises(MalformedMessage):
        from_json({"class": "Gaussian", "noise_multiplier": number})


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gaussian("0"),
        lambda: Gaussian("0.0009"),
        lambda: PoissonSampled("0", Gaussian("1")),
        lambda: PoissonSampled("1.0001", Gaussian("1")),
        lambda: SelfComposed(0, Gaussian("1")),
        lambda: SelfComposed(-1, Gaussian("1")),
        lambda: SelfComposed(True, Gaussian("1")),
        lambda: Composed(()),
    ],
)
def test_an_impossible_mechanism_cannot_be_built(build: Any) -> None:
    """The unsafe value does not exist, so nobody can forget to check it."""
    with pytest.raises(UnsafeParameters):
        build()


@pytest.mark.parametrize("depth", [9, 100, 20_000])
def test_a_tree_too_deep_is_refused(depth: int) -> None:
    """A hostile document must not exhaust the stack of whoever accounts it."""
    document: Any = GAUSSIAN
    for _ in range(depth):
        document = {"class": "Composed", "events": [document]}

    with pytest.raises(MalformedMessage):
        from_json(document)
