"""Old state put back: a model, a ledger. Neither gives spent budget back.

Beside it stands `test_in_opacus_a_restored_checkpoint_refunds_the_budget`: there the budget is
part of the checkpoint, so whoever goes back to it goes back to an earlier spend.
"""

import shutil

import pytest

from participant.ledger.site_ledger import SiteLedger
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.errors import ConflictingContribution, LedgerRolledBack
from privacy.events import Events, Gaussian
from privacy.ledger import Dataset
from tests.privacy.example_round import signing_key

from .ward import WARD, start_of, update_of

LIMITS = SpendLimits("0.001", "3", "1")
ROUND = Events(sums=Gaussian("9"), vector=Gaussian("9"))
DATASET = Dataset(
    id="ward",
    version=1,
    parent=None,
    unit=UnitOfPrivacy.PATIENT,
    max_records_per_unit=300,
    neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
)


def opened(path):
    ledger = SiteLedger(path, lambda: 0.0, site="amber", limits=LIMITS, key=signing_key("amber"))
    ledger.register(DATASET)
    return ledger


def spend(ledger, *rounds):
    """Commit one output for each of the rounds."""
    for number in rounds:
        held = ledger.reserve("ward", "job", ROUND, "1", 1, "0" * 64)
        ledger.commit(held, number, f"{number:064d}")


def charged(ledger):
    return ledger.state().budgets("ward", LIMITS).sums.charged()


def test_a_model_that_is_put_back_has_no_budget_in_it(tmp_path):
    """Training goes on from the old weights, and pays as if it were the first time."""
    ledger, first = opened(tmp_path / "ledger.sqlite"), start_of()
    spend(ledger, 1)
    update_of(WARD, vector=first)
    spend(ledger, 2)
    before = charged(ledger)

    update_of(WARD, text="again", vector=first)
    spend(ledger, 3)

    assert charged(ledger).covers(before)
    assert not before.covers(charged(ledger))


def test_a_round_that_is_repeated_from_an_old_model_is_refused(tmp_path):
    """A second output of one round is a second release, whatever it was made from."""
    ledger = opened(tmp_path / "ledger.sqlite")
    spend(ledger, 1)
    held = ledger.reserve("ward", "job", ROUND, "1", 1, "0" * 64)

    with pytest.raises(ConflictingContribution):
        ledger.commit(held, 1, "f" * 64)


def test_an_older_copy_of_a_ledger_is_refused_by_who_saw_a_later_one(tmp_path):
    """A copy is intact in itself: only a checkpoint that lies elsewhere can tell."""
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup.sqlite"
    ledger = opened(path)
    spend(ledger, 1)
    ledger.close()
    shutil.copy(path, backup)
    ledger = opened(path)
    spend(ledger, 2)
    seen, spent = ledger.checkpoint(), charged(ledger)
    ledger.close()

    older = opened(backup)

    # the control: by itself it would refund a round
    assert not charged(older).covers(spent)
    with pytest.raises(LedgerRolledBack):
        older.require_extends(seen)


def test_a_copy_that_went_on_by_itself_is_refused_as_well(tmp_path):
    """As long as the true one, or longer: its rows are not those that were seen."""
    path, backup = tmp_path / "ledger.sqlite", tmp_path / "backup.sqlite"
    opened(path).close()
    shutil.copy(path, backup)
    ledger = opened(path)
    spend(ledger, 1, 2)

    other = opened(backup)
    spend(other, 7, 8, 9)

    with pytest.raises(LedgerRolledBack):
        other.require_extends(ledger.checkpoint())
