"""A coordinator that makes a site refuse after training, round after round, and watches.

Whether a site contributes is seen by everybody. Where that depends on its data (an update
that leaves the grid, a patient whose record breaks the loss), each refusal is an output of a
training with that training's noise, and must be paid for like one.
"""

import os
import time

import pytest

from participant.kept import Kept
from participant.ledger.site_ledger import SiteLedger
from participant.sending.contribute import Contributor
from participant.sending.outbox import Outbox
from privacy import ledger as ledgers
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy, epsilon_of
from privacy.budget import SpendLimits
from privacy.errors import BudgetExhausted, InternalError, UpdateOutOfRange
from privacy.events import SelfComposed
from privacy.failpoints import Failpoints
from privacy.ledger import NOTHING_SENT
from privacy.local_training import event_of
from tests.participant import signed_round as made

ROUNDS, LIMIT, DELTA = 30, 3.0, 0.001


class Refusing:
    """A worker that trains, and then refuses what came of it."""

    def __init__(self, error):
        self.trained, self.error = 0, error

    async def prepare(self, plan):
        pass

    async def train(self, plan):
        self.trained += 1

    async def privatise(self, plan):
        raise self.error


class Refunding(SiteLedger):
    """The control's ledger: a refusal leaves no row, as if nothing had come out."""

    def commit(self, reservation, number, output, noise=None):
        if output != NOTHING_SENT:
            super().commit(reservation, number, output, noise)


def ledger(kind, folder):
    opened = kind(
        folder / "ledger.sqlite",
        time.time,
        site="amber",
        limits=SpendLimits(str(DELTA), f"{LIMIT:.0f}", f"{LIMIT:.0f}"),
        key=made.keys("amber").signing,
    )
    opened.register(
        ledgers.Dataset(
            id="ward",
            version=1,
            parent=None,
            unit=UnitOfPrivacy.PATIENT,
            max_records_per_unit=1,
            neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
        )
    )
    return opened


async def attack(folder, kind, error):
    """Thirty rounds, each refused after training; every third one a release is adopted."""
    spending, worker = ledger(kind, folder), Refusing(error)
    site = Contributor(
        "amber", "ward", made.keys("amber").signing, os.urandom, made.roster(), worker, spending,
        None, folder / "receipts", Kept(folder / "kept"), Failpoints(),
    )  # fmt: skip
    seen = 0
    for number in range(1, ROUNDS + 1):
        try:
            await site.contribute(made.plan(round=number), b"", Outbox(folder, number))
        except type(error):
            seen += 1
        except BudgetExhausted:
            pass
        if number % 3 == 0:
            for held in spending.reserved():
                spending.retire(held.id, "0" * 64)
    return worker.trained, seen, spending.spent_epsilon("ward", DELTA)


def cost(trainings):
    return epsilon_of(SelfComposed(trainings, event_of(made.TRAINING)), DELTA)


@pytest.mark.parametrize(
    "error",
    [UpdateOutOfRange("5 values leave the grid"), InternalError("KeyError")],
    ids=lambda error: error.code,
)
async def test_every_refused_training_is_charged_until_the_budget_stops_it(tmp_path, error):
    """What is recorded is what it costs, and it stays within the limit for life."""
    trained, seen, spent = await attack(tmp_path, SiteLedger, error)

    assert trained == seen
    assert 0 < trained < ROUNDS
    assert spent == pytest.approx(cost(trained))
    assert spent <= LIMIT < cost(trained + 1)


async def test_what_thirty_refunded_refusals_would_tell(tmp_path):
    """The control: thirty looks at the data, of which the ledger would know nothing."""
    trained, seen, spent = await attack(tmp_path, Refunding, UpdateOutOfRange("off the grid"))

    assert trained == seen == ROUNDS
    assert spent == 0
    assert cost(ROUNDS) > 2 * LIMIT
