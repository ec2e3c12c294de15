"""What happens to a site's data in its worker, in order and once."""

import os

import numpy as np
import pytest

from participant.outbox import Outbox
from participant.reveal import Frozen
from participant.workshop import Workshop
from privacy.errors import ConfigError, IllegalEvent, MalformedMessage, UpdateOutOfRange
from privacy.plan import pack
from privacy.records import Cohort, Sum, digest_of
from tests.participant import signed_round as made
from tests.participant.tiny_site import TinySite

PLAN = made.plan()


@pytest.fixture
def workshop():
    return Workshop(TinySite(), os.urandom)


def test_an_update_is_protected_and_forgotten(workshop, tmp_path):
    """Once protected, nothing of it is left in the worker's hands."""
    folder = Outbox(tmp_path, 1).start()
    first = workshop.first_model("text")
    workshop.train(pack(PLAN), first.tobytes())
    assert workshop._update is not None
    workshop.privatise(pack(PLAN))
    assert workshop._update is None
    integers = workshop._integers.copy()

    piece = workshop.protect(pack(PLAN), made.cohort_key().public, str(folder))

    assert workshop._integers is None
    chunks = tuple((folder / f"{at:08d}").read_bytes() for at in range(2))
    assert piece.root == made.root_of(chunks)
    assert piece.length == sum(map(len, chunks))
    assert np.array_equal(opened(workshop, chunks), integers)


def opened(workshop, chunks):
    cohort = Cohort("oncology", 1, PLAN.digest(), (None,))
    total = Sum("oncology", 1, PLAN.digest(), "0" * 64, 1, made.root_of(chunks), 2, 0)
    return workshop.reveal(pack(PLAN), Frozen(cohort, total), made.cohort_key().secret, chunks)


def test_nothing_is_privatised_or_protected_out_of_order(workshop, tmp_path):
    """There is no default update, and none from the round before."""
    with pytest.raises(IllegalEvent):
        workshop.privatise(pack(PLAN))
    with pytest.raises(IllegalEvent):
        workshop.protect(pack(PLAN), made.cohort_key().public, str(tmp_path))
    workshop._integers = made.update("amber")
    workshop.protect(pack(PLAN), made.cohort_key().public, str(Outbox(tmp_path, 1).start()))
    with pytest.raises(IllegalEvent):
        workshop.protect(pack(PLAN), made.cohort_key().public, str(tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_goes_nowhere(workshop, value):
    """One NaN would be in every site's model."""
    workshop._update = np.full(made.DIMENSION, value)

    with pytest.raises(UpdateOutOfRange):
        workshop.privatise(pack(PLAN))
    assert workshop._integers is None


def test_the_workshop_does_not_print_an_update(workshop):
    """Its representation is in tracebacks."""
    workshop._update = np.full(3, 0.123456)
    workshop._integers = np.full(3, 987654)

    assert "0.123456" not in repr(workshop)
    assert "987654" not in repr(workshop)


def test_a_key_it_makes_is_one_it_accepts(workshop):
    """And half of one is refused."""
    key = workshop.make_key(made.PARAMETERS)

    workshop.check_key(made.PARAMETERS, key.public, key.secret)

    with pytest.raises(MalformedMessage):
        workshop.check_key(made.PARAMETERS, made.cohort_key().public, key.secret)
    assert digest_of(made.key_record(1))


@pytest.mark.parametrize(("records", "rows"), [(40, 1), (41, 2), (10**6, 10)])
def test_data_within_what_the_sites_file_says_is_accepted(workshop, records, rows):
    """Forty patients of one row each."""
    refused = None
    try:
        workshop.require_records(records, rows)
    except ConfigError as error:
        refused = error

    assert refused is None


@pytest.mark.parametrize(("records", "rows"), [(39, 1), (1, 1), (40, 0), (39, 0)])
def test_more_data_than_the_sites_file_says_is_refused(workshop, records, rows):
    """Delta was chosen for fewer patients; the message has no number of the data's."""
    with pytest.raises(ConfigError, match=r"dataset\.records") as refused:
        workshop.require_records(records, rows)

    assert "40" not in str(refused.value)
