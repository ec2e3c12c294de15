"""What happens to a site's data in its worker, in order and once."""

import hashlib
import os
from dataclasses import replace
from itertools import count

import msgspec
import numpy as np
import pytest
import structlog
import torch

from participant.model.models import Models
from participant.opening.frozen import Frozen
from participant.sending.outbox import Outbox
from participant.site import initial_vector
from participant.training.workshop import Workshop
from privacy.errors import (
    ConfigError,
    IllegalEvent,
    MalformedMessage,
    NotYet,
    UnsafeParameters,
    UpdateOutOfRange,
    WrongContext,
)
from privacy.plan import Plan, SharesTerms, pack
from privacy.records import digest_of
from privacy.schemes.shares.sharing import UpdateSecrets
from tests.participant import shared_round
from tests.participant import signed_round as made
from tests.participant.agent_at_work import next_model
from tests.participant.scoring import scored_round
from tests.participant.tiny_site import TinySite

PLAN = made.plan()
PUBLIC, MASK = made.cohort_key().public, made.mask_secret("amber")


@pytest.fixture
def models(tmp_path):
    models = Models(tmp_path / "models")
    models.keep(made.SHAPES, made.FIRST)
    return models


@pytest.fixture
def workshop():
    return Workshop(TinySite(), os.urandom)


def test_an_update_is_protected_and_forgotten(workshop, models, tmp_path):
    """Once protected, nothing of it is left in the worker's hands."""
    folder = Outbox(tmp_path, 1).start()
    workshop.train(pack(PLAN), models.folder)
    assert workshop._update is not None
    workshop.privatise(pack(PLAN))
    assert workshop._update is None
    integers = workshop._integers.copy()

    piece = workshop.protect(pack(PLAN), PUBLIC, MASK, folder)

    assert workshop._integers is None
    chunks = tuple((folder / f"{at:08d}").read_bytes() for at in range(2))
    assert piece.root == made.root_of(chunks)
    assert piece.length == sum(map(len, chunks))
    assert np.array_equal(opened(chunks), integers)


def opened(chunks, plan=PLAN):
    revealer = made.revealer(["amber"], plan)
    return np.concatenate([revealer.reveal(at, chunk, 1) for at, chunk in enumerate(chunks)])


def test_a_sum_becomes_the_next_model(workshop, models, tmp_path):
    """By way of files: the sum's chunks in one folder, both models in another."""
    whole = made.Round(PLAN, made.TRAINERS)
    for index, chunk in enumerate(whole.chunks):
        (tmp_path / f"{index:08d}").write_bytes(chunk)
    frozen, secret = Frozen(whole.cohort, whole.sum), made.cohort_key().secret

    workshop.shapes = lambda: made.SHAPES
    masks = [made.mask_secret(name) for name in made.TRAINERS]
    digest = workshop.reveal(pack(PLAN), frozen, secret, masks, tmp_path, models.folder)

    assert models.vector(digest).tobytes() == next_model(whole).tobytes()
    assert digest == made.model_digest(made.SHAPES, next_model(whole))


def test_the_first_model_is_kept_under_its_digest(workshop, models):
    """Everybody derives the same one from the same text."""
    digest = workshop.first_model("text", models.folder)

    vector = initial_vector(TinySite(), "text")
    assert models.vector(digest).tobytes() == vector.tobytes()
    assert digest == made.model_digest(workshop.shapes(), vector)


def test_no_training_starts_from_a_model_that_is_not_there(workshop, tmp_path):
    """It is waited for."""
    with pytest.raises(NotYet, match="not here yet"):
        workshop.train(pack(PLAN), tmp_path / "nothing")
    assert workshop._update is None


def test_nothing_is_privatised_or_protected_out_of_order(workshop, tmp_path):
    """There is no default update, and none from the round before."""
    with pytest.raises(IllegalEvent):
        workshop.privatise(pack(PLAN))
    with pytest.raises(IllegalEvent):
        workshop.protect(pack(PLAN), PUBLIC, MASK, tmp_path)
    workshop._integers = made.update("amber")
    workshop.protect(pack(PLAN), PUBLIC, MASK, Outbox(tmp_path, 1).start())
    with pytest.raises(IllegalEvent):
        workshop.protect(pack(PLAN), PUBLIC, MASK, tmp_path)


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


@pytest.mark.parametrize("broken", [None, (), (None, None), (torch.tensor(1.0), None)])
def test_a_unit_without_rows_does_not_stop_the_start(workshop, broken):
    """It counts as zero in every round; that the site is absent would tell of it."""
    units = [*workshop.site.records(), broken]
    workshop.site.records = lambda: units

    workshop.require_records(41, 1)

    with pytest.raises(ConfigError):
        workshop.require_records(40, 1)


def test_an_update_in_shares_is_forgotten_as_well(workshop, models, tmp_path):
    """Split once; a second protection of it, under whichever scheme, finds nothing."""
    plan, folder = shared_round.plan(), Outbox(tmp_path, 1).start()
    secrets = UpdateSecrets.generate(os.urandom)
    workshop.train(pack(plan), models.folder)
    workshop.privatise(pack(plan))

    shared = workshop.share(pack(plan), "amber", secrets, folder)

    assert workshop._integers is None
    assert shared.piece.chunks == len(list(folder.iterdir())) == plan.arithmetic.chunks
    with pytest.raises(IllegalEvent):
        workshop.share(pack(plan), "amber", secrets, folder)


# -- mechanism distributed ---------------------------------------------------------------


def known(text="entropy"):
    """A source of entropy that gives the same in each run."""
    calls = count()
    return lambda size: hashlib.shake_256(f"{text} {next(calls)}".encode()).digest(size)


def test_a_noisy_sum_is_on_the_grid_when_it_is_made(models):
    """It is never held without its noise, and privatising changes nothing of it."""
    plan = made.plan(**made.shared_noise())
    workshop = Workshop(TinySite(), known())

    workshop.train(pack(plan), models.folder)
    summed = workshop._integers.copy()
    workshop.privatise(pack(plan))

    assert workshop._update is None
    assert workshop._integers.tolist() == summed.tolist()
    deviation = 4 * 0.25 * 2**18 / 2**0.5
    assert abs(summed.std() / deviation - 1) < 0.1
    assert np.abs(summed).max() <= plan.grid().largest


def test_a_noisy_sum_is_the_same_under_either_scheme(models):
    """One mechanism, one proof: what is protected differs, and what is summed does not."""
    noise = made.shared_noise()
    scheme = SharesTerms(1, shared_round.PARAMETERS.leaves_per_chunk, 4, shared_round.STARTS)
    arithmetic, seated = shared_round.ARITHMETIC, shared_round.terms(scheme=scheme, **noise)
    sums = []
    for plan in (
        made.plan(**noise),
        Plan(replace(arithmetic, fraction_bits=18, value_bits=24), seated),
    ):
        workshop = Workshop(TinySite(), known())
        workshop.train(pack(plan), models.folder)
        workshop.privatise(pack(plan))
        sums.append(workshop._integers.tolist())

    assert sums[0] == sums[1]


def test_a_noisy_sum_is_forgotten_once_it_is_protected(workshop, models, tmp_path):
    """And opened, it is what was put in."""
    plan, folder = made.plan(**made.shared_noise()), Outbox(tmp_path, 1).start()
    workshop.train(pack(plan), models.folder)
    workshop.privatise(pack(plan))
    integers = workshop._integers.copy()

    workshop.protect(pack(plan), PUBLIC, MASK, folder)

    chunks = tuple((folder / f"{at:08d}").read_bytes() for at in range(2))
    assert np.array_equal(opened(chunks, plan), integers)
    with pytest.raises(IllegalEvent):
        workshop.privatise(pack(plan))
    with pytest.raises(IllegalEvent):
        workshop.protect(pack(plan), PUBLIC, MASK, folder)


@pytest.mark.parametrize("terms", [{}, made.shared_noise()], ids=["local", "distributed"])
def test_nothing_but_the_noisy_update_comes_out_of_training(workshop, models, terms):
    """No loss, norm, count or time: each would be a release that nobody accounts for."""
    plan = made.plan(**terms)

    with structlog.testing.capture_logs() as logs:
        said = workshop.train(pack(plan), models.folder)
        said = said or workshop.privatise(pack(plan))

    assert said is None
    assert logs == []


def test_a_plan_is_judged_without_a_look_at_the_data(models):
    """What is refused here says nothing of a patient, and so it costs no budget."""

    class Unseen(TinySite):
        def records(self):
            raise AssertionError("the data was looked at")

    privacy = msgspec.structs.replace(
        made.PRIVACY, training=msgspec.structs.replace(made.TRAINING, noise_multiplier="9")
    )
    Workshop(Unseen(), os.urandom).prepare(pack(made.plan(privacy=privacy)), models.folder)


def test_a_plan_that_cannot_be_worked_on_is_refused_before_the_data(workshop, models, tmp_path):
    """Its model is not here, or of another size."""
    with pytest.raises(NotYet):
        workshop.prepare(pack(PLAN), tmp_path / "none")
    arithmetic = replace(PLAN.arithmetic, dimension=PLAN.arithmetic.dimension + 1)
    other = Plan(arithmetic, PLAN.terms)
    with pytest.raises(WrongContext, match="a plan for"):
        workshop.prepare(pack(other), models.folder)


def test_a_rate_that_nobody_can_be_drawn_at_is_refused_before_the_data(
    workshop, models, monkeypatch
):
    """As a plan of an earlier version may have one."""

    def refuses(words, units, rate):
        assert units == 0
        raise UnsafeParameters(f"sampling rate {rate}")

    monkeypatch.setattr("participant.training.workshop.poisson_batch", refuses)

    with pytest.raises(UnsafeParameters, match="sampling rate"):
        workshop.prepare(pack(PLAN), models.folder)


def test_who_opens_a_sum_finds_what_its_products_add_up_to(workshop, models, tmp_path):
    """Once, while the sum is open; and only where the plan asks for products."""
    plan = scored_round.PLAN
    whole = made.Round(plan, made.TRAINERS)
    for index, chunk in enumerate(whole.chunks):
        (tmp_path / f"{index:08d}").write_bytes(chunk)
    frozen, secret = Frozen(whole.cohort, whole.sum), made.cohort_key().secret
    workshop.shapes = lambda: made.SHAPES
    masks = [made.mask_secret(name) for name in made.TRAINERS]

    workshop.reveal(pack(plan), frozen, secret, masks, tmp_path, models.folder)

    opened = workshop.opened_sum()
    assert opened == scored_round.opened_sum()
    assert opened.product == sum(scored_round.products().values())
    assert workshop.opened_sum() is None


def test_an_update_is_kept_before_it_is_protected(workshop, tmp_path):
    """There is none afterwards, and none of the round before."""
    sealing = scored_round.keeper(tmp_path).start(scored_round.PLAN)

    with pytest.raises(IllegalEvent, match="no update to keep"):
        workshop.keep(sealing)
