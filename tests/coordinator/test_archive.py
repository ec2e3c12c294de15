"""Nothing follows from a document that is not the one that a round's state names."""

import pytest
from msgspec.structs import replace

from coordinator.archive import NAMED_BY_DIGEST, Archive, with_signatures
from coordinator.rounds.state import Phase
from privacy import plan as plans
from privacy.documents import Signed, pack
from privacy.errors import ConfigError
from privacy.identifiers import COORDINATOR
from privacy.signing import Purpose, sign
from tests import fakes
from tests.coordinator.seated_round import Seated
from tests.fakes import OPENERS, SITES, Crash, Federation, crash_at

SAYS = "was changed, or is damaged"


def other_plan(plan):
    """Return a plan that no member would take for the one of its round."""
    return plans.Plan(plan.arithmetic, replace(plan.terms, rounds_left=plan.terms.rounds_left + 1))


def change_plan(federation, number=1):
    """Do what the operator of the database can: write another plan where the round's is kept."""
    other = other_plan(federation.service.archive.plan(number))
    federation.store._documents["plan", str(number)] = plans.pack(other)


def test_a_plan_that_was_changed_in_the_database_is_neither_signed_nor_followed(opened):
    """Who can write to the database is not the coordinator."""
    change_plan(opened)

    for ask in (opened.service.plan, opened.service.plan_as_kept, opened.service.archive.plan):
        with pytest.raises(ConfigError, match=SAYS):
            ask(1)
    with pytest.raises(ConfigError, match=SAYS):
        opened.start()


def test_a_sum_of_a_changed_plan_is_not_signed(opened):
    for name in SITES:
        opened.contribute(name)
    assert opened.round().phase is Phase.AGGREGATING
    change_plan(opened)

    with pytest.raises(ConfigError, match=SAYS):
        opened.tick()

    assert opened.round().sum == ""
    assert opened.store.documents("sum") == opened.store.documents("cohort") == []


def test_a_plan_that_somebody_put_there_before_the_round_named_one_is_not_announced(federation):
    """Between two transactions nothing but the coordinator's own signature says whose it is."""
    federation.tick()
    federation.offer_key()
    federation.sign_key()
    federation.start(crash_at("service.before_save"))
    with pytest.raises(Crash):
        federation.tick()
    change_plan(federation)
    federation.start()

    federation.tick(2)

    assert federation.round().phase is Phase.ABORTED
    assert "not one that this coordinator made" in federation.round().reason
    assert federation.round(2).phase is Phase.KEYING


@pytest.mark.parametrize("stolen", [b"", bytes(64)])
def test_a_plan_with_anything_but_our_signature_is_not_ours(opened, stolen):
    archive = opened.service.archive
    name = archive.plan(1).digest()
    assert archive.made_plan(1)

    opened.store._documents["plan-signature-1", name] = stolen

    assert not archive.made_plan(1)


def test_a_plan_with_the_signature_of_a_member_is_not_ours(opened):
    """A member that can write to the database makes no plan either."""
    other, kept = other_plan(opened.service.archive.plan(1)), opened.store._documents
    body = bytes.fromhex(other.digest())
    signature = sign(fakes.signing_key(OPENERS[0]), Purpose.PLAN, body)
    kept["plan-signature-1", other.digest()] = signature
    kept["plan", "1"] = plans.pack(other)

    assert not Archive(opened.store, fakes.signing_key(COORDINATOR)).made_plan(1)


def a_round_under_ckks():
    """Return the archive and the store of a round whose model is sealed."""
    federation = Federation(settings=fakes.make_settings(auditor=fakes.AUDITOR))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    federation.countersign()
    federation.put_model()
    return federation.service.archive, federation.store


def a_round_under_shares():
    """Return the archive and the store of a round whose seats add."""
    seated = Seated(Phase.SUMMING)
    return seated.archive, seated.store


@pytest.mark.parametrize(
    ("bring", "kinds"),
    [
        (a_round_under_ckks, {"key", "cohort", "sum", "model", "release"}),
        (a_round_under_shares, {"candidates", "verdict", "cohort"}),
    ],
)
def test_every_document_that_a_round_names_is_compared_with_its_name(bring, kinds):
    """One by one, each changed by a byte."""
    archive, store = bring()
    named = [(kind, name) for kind, name in store._documents if kind in NAMED_BY_DIGEST]
    assert {kind for kind, _ in named} == kinds

    for kind, name in named:
        signed = archive.document(kind, name)
        store._documents[kind, name] = pack(Signed(signed.body + b" ", signed.signatures))
        with pytest.raises(ConfigError, match=SAYS):
            archive.document(kind, name)
        with pytest.raises(ConfigError, match=SAYS):
            with_signatures(store, kind, name)
