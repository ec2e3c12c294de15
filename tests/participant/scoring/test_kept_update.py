"""An update waits for its score on its own site's disk, sealed to the site, and no longer."""

import numpy as np
import pytest

from participant.model.models import CHUNK_VALUES
from participant.scoring.kept_update import KeptUpdate, read_update, write_update
from privacy.errors import ConfigError, StoreUnavailable
from tests.participant import signed_round as made
from tests.participant.scoring.scored_round import PLAN, keeper, plan

UPDATE = np.arange(-(CHUNK_VALUES + 7), CHUNK_VALUES + 3, dtype=np.int64)
"""Three chunks of a model's size, the last a short one."""
STATEMENT = made.signed_by(made.Round(PLAN, made.TRAINERS).cohort, "amber")


def joined(sealing, values=UPDATE.size):
    return np.concatenate(list(read_update(sealing, values)))


def test_what_is_kept_comes_back_after_a_restart(tmp_path):
    write_update(keeper(tmp_path).start(PLAN), UPDATE)

    assert np.array_equal(joined(keeper(tmp_path).sealing(PLAN)), UPDATE)


def test_nothing_of_an_update_lies_in_the_clear(tmp_path):
    """Neither a value of it nor the key that opens it."""
    sealing = keeper(tmp_path).start(PLAN)
    write_update(sealing, UPDATE)

    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    runs = [UPDATE[at : at + 2].astype("<i8").tobytes() for at in range(0, UPDATE.size, 997)]
    assert not any(run in stored for run in runs)
    assert sealing.key not in stored
    assert sealing.key.hex() not in repr(sealing)


def test_it_opens_for_its_site_and_plan_alone(tmp_path):
    write_update(keeper(tmp_path).start(PLAN), UPDATE)

    for other in (keeper(tmp_path, "birch"), keeper(tmp_path)):
        of = plan(clip="10") if other.participant == "amber" else PLAN
        with pytest.raises(ConfigError, match="not here, or sealed to another key"):
            other.sealing(of)


def test_an_update_that_was_lost_is_said_to_be(tmp_path):
    with pytest.raises(ConfigError, match="nobody gets a score"):
        keeper(tmp_path).sealing(PLAN)


@pytest.mark.parametrize("damage", ["flip", "cut", "swap"])
def test_a_damaged_update_is_never_multiplied(tmp_path, damage):
    """It would be a false product, which voids everybody's scores."""
    sealing = keeper(tmp_path).start(PLAN)
    write_update(sealing, UPDATE)
    first, second = (next((tmp_path).rglob(f"0000000{at}")) for at in range(2))
    body = first.read_bytes()
    if damage == "flip":
        first.write_bytes(bytes([body[0] ^ 1]) + body[1:])
    elif damage == "cut":
        first.write_bytes(body[:-1])
    else:
        first.write_bytes(second.read_bytes())

    with pytest.raises(StoreUnavailable, match="not the update that was sealed"):
        joined(sealing)


def test_what_is_stated_is_kept_and_the_update_deleted(tmp_path):
    """One statement a round: a site that is killed now says the same again."""
    kept, seals = keeper(tmp_path).kept(1), (b"one", b"two")
    write_update(keeper(tmp_path).start(PLAN), UPDATE)
    assert kept.statement() is None

    kept.state(STATEMENT, seals)

    assert kept.statement() == (STATEMENT, seals)
    assert [path.name for path in kept.place.iterdir()] == ["statement"]


def test_a_damaged_statement_is_the_operators(tmp_path):
    kept = KeptUpdate(tmp_path, 1)
    kept.place.mkdir()
    (kept.place / "statement").write_bytes(b"nothing")

    with pytest.raises(ConfigError, match="check this disk"):
        kept.statement()


def test_an_unfinished_try_is_overwritten_under_another_key(tmp_path):
    """One key seals one update: what a crash cut short is drawn anew."""
    first = keeper(tmp_path).start(PLAN)
    write_update(first, UPDATE)

    second = keeper(tmp_path).start(PLAN)

    assert first.key != second.key
    assert not list((tmp_path / "updates/000001/chunks").iterdir())


def test_models_that_kept_updates_are_compared_with_are_known(tmp_path):
    of = keeper(tmp_path)
    of.start(PLAN)
    assert (of.models(), of.rounds()) == ({PLAN.terms.model}, (1,))

    of.kept(1).erase()

    assert (of.models(), of.rounds()) == (set(), ())
