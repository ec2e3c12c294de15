"""The agent at work: what it does once, what it retries, what it declines and what it refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from participant.session import (
    Adopt,
    Agree,
    Claim,
    Contribute,
    MakeKey,
    Open,
    SealModel,
    VouchForKey,
)
from participant.view import KeyState
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    NotYet,
    OpeningRefused,
    PolicyRefusal,
    StoreUnavailable,
    WrongContext,
)
from privacy.events import from_json
from privacy.ledger import RowType
from privacy.local_training import privacy_event
from privacy.records import Release, SealedModel, digest_of
from privacy.signing import Purpose, verify
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends, next_model, released

ROUND = made.Round(made.plan(), made.TRAINERS)
RECORD = digest_of(made.key_record(1))


@pytest.fixture
def shown():
    coordinator = Showing()
    coordinator.shows(ROUND)
    return coordinator


@pytest.fixture
def amber(tmp_path, shown):
    return agent(tmp_path / "amber", shown)


def release_in(coordinator, of=ROUND, vector=None, **options):
    vector = next_model(of) if vector is None else vector
    number = of.plan.terms.round
    signed, envelope, chunks = released(of, vector, **options)
    coordinator.plans[number] = of.plan
    coordinator.releases[number], coordinator.models[number] = signed, (envelope, chunks)
    return canonical.decode(signed.body, Release)


async def test_an_opener_opens_seals_agrees_and_adopts(amber, shown):
    """The whole of its part in a round."""
    await amber._carry_out(Open(1))
    await amber._carry_out(SealModel(1))
    shown.models[1] = shown.put[0]
    await amber._carry_out(Agree(1, "s"))
    envelope = canonical.decode(shown.put[0][0].body, SealedModel)
    release = canonical.decode(shown.signed_releases[0].body, Release)
    signatures = made.signed_by(release, "amber", "birch")
    shown.releases[1] = signatures
    await amber._carry_out(Adopt(1))

    expected = made.model_digest(made.SHAPES, next_model(ROUND))
    assert envelope.model == release.model == expected
    assert amber._memory.newest_release() == (1, digest_of(release), expected)
    assert amber._openings == {}


async def test_a_restart_between_open_and_agree_repeats_the_opening(tmp_path, shown):
    """The same cohort and sum: one opening, however often it is carried out."""
    before = agent(tmp_path, shown)
    await before._carry_out(Open(1))
    ends(before)
    release_in(shown)
    after = agent(tmp_path, shown)

    await after._carry_out(Open(1))
    await after._carry_out(Agree(1, "s"))

    assert after._worker.opened == 1
    assert len(shown.signed_releases) == 1


async def test_a_model_that_is_not_here_yet_is_waited_for(tmp_path, shown):
    """The opener adopts first, and then opens the very same sum."""
    site = agent(tmp_path, shown)
    (tmp_path / "models" / site._first).unlink()

    assert not await site._try(Open(1))

    assert Open(1) not in site._standing.declined
    assert shown.refused == []


@pytest.mark.parametrize("error", [StoreUnavailable("full"), NotYet("not yet")])
async def test_what_time_heals_is_not_declined(amber, shown, error, monkeypatch):
    """A task refused for a transient reason would be lost for good."""
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)
    shown.fails["sign_key"] = error

    assert not await amber._try(VouchForKey(1, RECORD))

    assert amber._standing.declined == frozenset()
    assert shown.refused == []


async def test_a_key_replaced_while_it_was_checked_is_not_refused(amber, shown, monkeypatch):
    """The coordinator checks the signature against the newer record, and it does not fit."""
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)
    shown.fails["sign_key"] = InvalidSignature("not of this record")

    assert not await amber._try(VouchForKey(1, RECORD))

    assert (amber._standing.declined, shown.refused) == (frozenset(), [])


async def test_a_key_of_another_record_than_the_task_is_for_waits(amber, shown, monkeypatch):
    """The view and the key were read at different times."""
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)

    assert not await amber._try(VouchForKey(1, "0" * 64))

    assert shown.key_signatures == []


async def test_an_opener_vouches_for_a_key_it_has_checked(amber, shown):
    """With a signature on the record itself."""
    assert await amber._try(VouchForKey(1, RECORD))

    body = canonical.encode(made.key_record(1))
    verify(made.keys("amber").signing_public, Purpose.KEY_RECORD, body, shown.key_signatures[0])


async def test_a_bad_key_is_refused_and_only_that_one(amber, shown):
    """The coordinator passes the turn on; the next maker's key is looked at."""
    state = await shown.key(1)
    bad = state.sealed_secret[:-1] + bytes([state.sealed_secret[-1] ^ 1])
    shown.key_states[1] = KeyState(state.specification, state.record, state.public_key, bad)

    assert await amber._try(VouchForKey(1, RECORD))

    assert shown.refused == [(1, "malformed_message")]
    assert amber._standing.declined == {VouchForKey(1, RECORD)}


async def test_a_plan_that_policy_refuses_is_declined_before_the_data_is_touched(tmp_path, shown):
    """No reservation, no training, and no second try."""
    site = agent(tmp_path, shown, epsilon_per_round="0.1")

    assert await site._try(Contribute(1))

    assert Contribute(1) in site._standing.declined
    assert site._ledger.reserved() == ()
    assert shown.refused == []


async def test_a_plan_that_the_coordinator_did_not_sign_is_refused(amber, shown):
    """Whoever stands in for it."""
    shown.signer = made.keys("delta").signing

    for task in (Contribute(1), Open(1), Adopt(1)):
        with pytest.raises(InvalidSignature):
            await amber._carry_out(task)


async def test_a_plan_of_another_round_is_refused(amber, shown):
    """Signed once, shown for another round."""
    shown.plans[2] = made.plan()

    with pytest.raises(WrongContext, match="round 1 was sent for round 2"):
        await amber._carry_out(Contribute(2))


async def test_no_key_is_made_for_an_order_that_policy_refuses(amber, shown):
    """The order is the coordinator's alone."""
    order = made.encoded(made.specification(openers=("amber", "watch")))
    shown.key_states[1] = KeyState(order, None, b"", b"")

    with pytest.raises(PolicyRefusal):
        await amber._carry_out(MakeKey(1))


async def test_adopting_gives_back_what_never_left_and_erases_the_rest(tmp_path, shown):
    """A reservation of a round that is over, and its chunks; other jobs' are not touched."""
    site = agent(tmp_path, shown, "delta")
    event = from_json(privacy_event(made.TRAINING))
    site._ledger.reserve("ward", made.FEDERATION, 1, event, "1")
    site._ledger.reserve("ward", "another-job", 1, event, "1")
    site._outbox(1).start()
    release = release_in(shown)

    await site._carry_out(Adopt(1))

    assert [held.job for held in site._ledger.reserved()] == ["another-job"]
    retired = [row for row in site._ledger.rows() if row.type is RowType.RETIRE]
    assert [row.evidence for row in retired] == [digest_of(release)]
    assert not site._outbox(1).place.exists()


async def test_what_was_committed_is_never_given_back(tmp_path, shown):
    """Its bytes may have left."""
    site = agent(tmp_path, shown, "delta")
    event = from_json(privacy_event(made.TRAINING))
    held = site._ledger.reserve("ward", made.FEDERATION, 1, event, "1")
    site._ledger.commit(held, "1" * 64)
    spent = site._ledger.spent_epsilon("ward", 0.001)
    release_in(shown)

    await site._carry_out(Adopt(1))

    assert site._ledger.spent_epsilon("ward", 0.001) == spent > 0


async def test_a_site_that_lost_its_models_fetches_the_newest_again(tmp_path, shown):
    """Its memory says adopted; the file is gone."""
    site = agent(tmp_path, shown, "delta")
    release = release_in(shown)
    await site._carry_out(Adopt(1))
    (tmp_path / "models" / release.model).unlink()

    assert not site._memory.holds(release.model)
    await site._carry_out(Adopt(1))

    assert site._memory.holds(release.model)


def second_round(start, release):
    return made.Round(
        made.plan(round=2, model=made.model_digest(made.SHAPES, start), release=release),
        made.TRAINERS,
    )


async def test_a_site_absent_for_rounds_adopts_the_newest_over_the_chain(tmp_path, shown):
    """Each release names the model it was made from, back to the one held here."""
    site = agent(tmp_path, shown, "delta")
    first = release_in(shown)
    middle = next_model(ROUND)
    later = second_round(middle, digest_of(first))
    shown.plans[3] = made.plan(round=3)  # aborted: it has a plan and no release
    newest = release_in(shown, later, next_model(later, middle))

    await site._carry_out(Adopt(2))

    assert site._memory.newest_release() == (2, digest_of(newest), newest.model)


async def test_another_history_is_refused(tmp_path, shown):
    """Properly signed, and not made from the model that this site holds."""
    site = agent(tmp_path, shown, "delta")
    release_in(shown)
    await site._carry_out(Adopt(1))
    elsewhere = next_model(ROUND) + 1
    later = second_round(elsewhere, "7" * 64)
    release_in(shown, later, next_model(later, elsewhere))

    with pytest.raises(WrongContext, match="another history"):
        await site._carry_out(Adopt(2))
    assert site._memory.newest_release()[0] == 1


async def test_a_claim_without_a_chain_is_done(amber):
    """A site that is not paid on a chain has nothing to claim."""
    await amber._carry_out(Claim(3))

    assert amber._standing.claimed


async def test_openers_that_disagree_are_told(amber, shown):
    """The sealed model is another than this opener made from the same sum."""
    await amber._carry_out(Open(1))
    release_in(shown, vector=next_model(ROUND) + 1)

    with pytest.raises(OpeningRefused, match="disagree"):
        await amber._carry_out(Agree(1, "s"))
    assert shown.signed_releases == []


async def test_the_agent_loads_no_training_and_no_ciphertext_library():
    """It talks to strangers and holds the keys: the less it loads, the better."""
    program = (
        "import sys, participant.run, participant.agent; "
        "print([m for m in ('torch', 'opacus', 'tenseal', 'crypten') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == "[]"


def test_the_agents_representation_has_no_key(amber):
    """Logs print objects."""
    text = repr(amber) + repr(Signed(b"", {}))

    assert "Ed25519PrivateKey" not in text
    assert made.keys("amber").sealing.seed.hex() not in text
