"""The mechanisms a plan may name, and what a round under each costs in privacy."""

from typing import TypeAlias

from .distributed_sum import DistributedSum, events_of_sum
from .events import Events
from .local_training import LocalTraining, event_of

Training: TypeAlias = LocalTraining | DistributedSum
"""The numbers of a round's training, of whichever mechanism."""


def events_of(training: Training) -> Events:
    """Return what one round costs a site's data, in both views.

    Under `local` each site's update is private by itself, so both cost the same.
    """
    if isinstance(training, DistributedSum):
        return events_of_sum(training)
    event = event_of(training)
    return Events(sums=event, vector=event)
