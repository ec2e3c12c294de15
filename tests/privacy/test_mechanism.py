"""What a round costs, whichever mechanism its plan names."""

from privacy.events import Events, Gaussian, PoissonSampled, SelfComposed
from privacy.mechanism import events_of
from tests.privacy.example_round import SUMMING, TRAINING


def test_an_update_that_is_private_by_itself_costs_the_same_in_both_views() -> None:
    """Who opens one sees no more than its own noise lets through."""
    event = SelfComposed(6, PoissonSampled("0.5", Gaussian("2.75")))

    assert events_of(TRAINING) == Events(sums=event, vector=event)


def test_an_update_with_a_part_of_the_noise_costs_more_when_it_is_opened() -> None:
    """A sum has the noise of all honest sites, one vector that of one: sigma over sqrt(2)."""
    events = events_of(SUMMING)

    assert events.sums == PoissonSampled("0.5", Gaussian("14.25"))
    assert events.vector == PoissonSampled("0.5", Gaussian("10.076271631"))
