"""The agent at work: what it does once, what it retries, what it declines and what it refuses."""

import asyncio
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from participant.sending.outbox import Outbox
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
from participant.view import KeyState, Payout, RoundView, View
from participant.wire import patience
from participant.wire.connect import connect
from privacy import canonical
from privacy.contribution.scores import Method
from privacy.documents import Signed
from privacy.errors import (
    ChainUnavailable,
    ConfigError,
    FolderHeld,
    IllegalEvent,
    InsecureKeyFile,
    InternalError,
    InvalidSignature,
    LedgerRolledBack,
    NotYet,
    OpeningRefused,
    PeerUnreachable,
    PolicyRefusal,
    RootMismatch,
    StoreUnavailable,
    SumOffGrid,
    VeilsumError,
    WrongContext,
)
from privacy.growth import seen_in
from privacy.ledger import RowType
from privacy.mechanism import events_of
from privacy.records import Release, SealedModel, digest_of
from privacy.signing import Purpose, verify
from tests.participant import signed_round as made
from tests.participant.agent_at_work import Showing, agent, ends, next_model, released
from veilsum.files import hold

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


async def test_a_sum_with_an_older_ledger_than_was_seen_is_not_opened(tmp_path, shown):
    """Whatever the coordinator shows; it is told why. What is opened is witnessed before."""
    amber, birch = agent(tmp_path / "amber", shown), agent(tmp_path / "birch", shown, "birch")
    said = seen_in(made.header_of(made.plan(), "cedar"))
    amber._memory.sees_ledger("cedar", replace(said, round=0))
    shown.opener = "amber"

    await amber._try(Open(1))

    assert (amber._worker.opened, amber._memory.opening(1)) == (0, None)
    assert shown.refused == [(1, "peer_ledger_rolled_back")]
    shown.opener = "birch"
    await birch._carry_out(Open(1))
    assert birch._peers.seen()["cedar"] == said
    assert len([row for row in birch._ledger.rows() if row.witness]) == 3


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


async def test_what_is_left_of_an_opening_is_its_digests(tmp_path, shown, amber):
    """The sum's chunks are deleted, and nothing of the size of a model is in the agent."""
    await amber._carry_out(Open(1))

    opened = amber._openings[1]
    assert {field.name for field in fields(opened)} == {"plan", "frozen", "model"}
    assert list((tmp_path / "amber" / "opening").glob("*/*")) == []
    assert amber._models.vector(opened.model).tobytes() == next_model(ROUND).tobytes()


async def test_a_sum_that_is_cut_is_fetched_to_its_end_at_the_next_try(tmp_path, shown):
    """From the chunk where it stopped, after a restart too; it is opened once."""
    shown.cuts = {"sum": 1}
    before = agent(tmp_path, shown)
    assert not await before._try(Open(1))
    ends(before)
    after = agent(tmp_path, shown)

    assert await after._try(Open(1))

    assert shown.asked["sum"] == [0, 0, 1]  # the second asks for the manifest
    assert (before._worker.opened, after._worker.opened) == (0, 1)
    assert after._openings[1].model == made.model_digest(made.SHAPES, next_model(ROUND))


async def test_chunks_that_another_manifest_left_are_not_taken_for_this_ones(tmp_path, shown):
    """A coordinator that shows one sum, and after the cut another."""
    shown.cuts = {"sum": 1}
    site = agent(tmp_path, shown)
    assert not await site._try(Open(1))
    fewer, shown.cuts = made.Round(made.plan(), made.OPENERS), {}
    shown.shows(fewer)

    assert await site._try(Open(1))

    assert shown.refused == []
    assert site._openings[1].model == made.model_digest(made.SHAPES, next_model(fewer))


async def test_a_sum_exchanged_between_manifest_and_chunks_is_refused(tmp_path, shown):
    """A resumed download asks twice; the second answer must be of the same sum."""
    shown.cuts = {"sum": 1}
    site = agent(tmp_path, shown)
    assert not await site._try(Open(1))
    other = made.by_coordinator(made.Round(made.plan(), made.OPENERS).sum)
    shown.then = {"sum": [shown.sums[1], (other, ROUND.chunks)]}

    with pytest.raises(WrongContext, match="two sums"):
        await site._carry_out(Open(1))
    assert site._worker.opened == 0


async def test_a_sum_of_another_root_is_refused_before_anything_is_recorded(tmp_path, shown):
    """Chunks of one cohort under the manifest of another: nothing is opened."""
    fewer = made.Round(made.plan(), made.OPENERS)
    shown.sums[1] = (shown.sums[1][0], fewer.chunks)
    site = agent(tmp_path, shown)

    with pytest.raises(RootMismatch):
        await site._carry_out(Open(1))

    assert (site._worker.opened, site._memory.opening(1)) == (0, None)
    assert list((tmp_path / "opening").glob("*/*")) == []


async def test_a_sealed_model_that_is_cut_is_fetched_to_its_end(tmp_path, shown, monkeypatch):
    """Where it stopped, as long as every try brings something."""
    monkeypatch.setattr("participant.wire.fetch.RESUME_SECONDS", 0)
    site = agent(tmp_path, shown, "delta")
    release = release_in(shown, parts=5)
    shown.cuts = {"model": 2}

    await site._carry_out(Adopt(1))

    assert shown.asked["model"] == [0, 2, 4]
    assert site._models.vector(release.model).tobytes() == next_model(ROUND).tobytes()


async def test_a_sealed_model_that_brings_nothing_is_waited_for(tmp_path, shown, monkeypatch):
    """By the agent, with its patience; and what was written is deleted."""
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)
    site = agent(tmp_path, shown, "delta")
    release_in(shown)
    shown.cuts = {"model": 0}

    assert not await site._try(Adopt(1))

    assert shown.asked["model"] == [0]
    assert {path.name for path in (tmp_path / "models").iterdir()} == {site._first}


async def test_another_model_sealed_during_a_download_is_not_mixed_in(tmp_path, shown, monkeypatch):
    """Its chunks would go on under the envelope of the first."""
    monkeypatch.setattr("participant.wire.fetch.RESUME_SECONDS", 0)
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)
    site = agent(tmp_path, shown)
    await site._carry_out(Open(1))
    release_in(shown, parts=5)
    shown.cuts, first = {"model": 2}, shown.models[1]
    release_in(shown, parts=5)
    shown.then = {"model": [first, shown.models[1]]}

    assert not await site._try(Agree(1, "s"))

    assert shown.signed_releases == []
    assert shown.asked["model"] == [0, 2]


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


async def test_no_data_is_touched_for_a_round_that_could_not_pay_this_site(amber, shown):
    """It has agreed to be paid by alignment, and the plan opens none."""
    shown.shows(made.Round(made.plan(), made.TRAINERS))
    policy = msgspec.structs.replace(amber.config.policy, releases=("participation", "alignment"))
    settlement = SimpleNamespace(FILE="site.toml", TABLE="settlement", method=Method.ALIGNMENT)
    amber.config = msgspec.structs.replace(amber.config, policy=policy, settlement=settlement)

    with pytest.raises(PolicyRefusal, match=r'settlement\.method = "alignment/1": it needs alig'):
        await amber._carry_out(Contribute(1))


async def test_no_key_is_made_for_an_order_that_policy_refuses(amber, shown):
    """The order is the coordinator's alone."""
    order = made.encoded(made.specification(openers=("amber", "watch")))
    shown.key_states[1] = KeyState(order, None, b"", b"")

    with pytest.raises(PolicyRefusal):
        await amber._carry_out(MakeKey(1))


async def test_adopting_erases_what_a_round_left_and_keeps_what_is_reserved(tmp_path, shown):
    """Its chunks go; the rounds that were set aside are for those to come."""
    site = agent(tmp_path, shown, "delta")
    held = reserve(site, rounds=3)
    site._outbox(1).start()
    opening = tmp_path / "opening" / "000001"
    opening.mkdir(parents=True)
    release_in(shown)

    await site._carry_out(Adopt(1))

    assert not opening.exists()
    assert not site._outbox(1).place.exists()
    assert [each.id for each in site._ledger.reserved()] == [held]


async def test_the_end_of_the_programme_gives_back_what_it_has_left(tmp_path, shown):
    """By the newest release; what other jobs have set aside is not touched."""
    site = agent(tmp_path, shown, "delta")
    reserve(site, rounds=2)
    reserve(site, job="another-job")
    release = release_in(shown)
    await site._carry_out(Adopt(1))
    site._give_back()
    assert len(site._ledger.reserved()) == 2
    site._view = View(finished=True)

    site._give_back()

    assert [each.job for each in site._ledger.reserved()] == ["another-job"]
    retired = [row for row in site._ledger.rows() if row.type is RowType.RETIRE]
    assert [row.evidence for row in retired] == [digest_of(release)]


def reserve(site, job=made.FEDERATION, rounds=1):
    """Set rounds of the usual cost aside, in an agent's own ledger."""
    events = events_of(made.TRAINING)
    return site._ledger.reserve("ward", job, events, "1", rounds, "d" * 64)


async def test_the_ledger_tells_a_round_to_its_end(tmp_path, shown):
    """The cohort that a release names, and the release, where this site paid for the round."""
    site = agent(tmp_path, shown, "delta")
    site._ledger.commit(reserve(site), 1, "1" * 64)
    release = release_in(shown)

    for _ in range(2):
        await site._carry_out(Adopt(1))

    rows = {row.type: row for row in site._ledger.rows()[-2:]}
    result, released = rows[RowType.ROUND_RESULT].result, rows[RowType.RELEASE].release
    assert (result.plan, result.cohort) == (release.plan, release.cohort)
    assert (result.contributions, result.honest) == (len(ROUND.cohort.entries), 1)
    assert (released.release, released.model) == (digest_of(release), release.model)


async def test_a_round_that_this_site_sat_out_is_not_in_its_ledger(tmp_path, shown):
    """It spent nothing there."""
    site = agent(tmp_path, shown, "delta")
    release_in(shown)

    await site._carry_out(Adopt(1))

    assert {row.type for row in site._ledger.rows()} == {"DATASET_REGISTER", "POLICY_SET"}


async def test_a_model_whose_release_is_not_recorded_is_adopted_again(tmp_path, shown):
    """A crash came between the two; the ledger says what is missing."""
    site = agent(tmp_path, shown, "delta")
    site._ledger.commit(reserve(site), 1, "1" * 64)
    release_in(shown)
    await site._adopter().adopt(1)
    release = site._memory.newest_release()
    assert release is not None
    assert not site._has_adopted(release)

    await site._carry_out(Adopt(1))

    assert site._has_adopted(release)


def test_what_a_kill_left_of_a_model_is_deleted_at_the_start(tmp_path, shown):
    """A model that was never finished would stay for ever: it has no digest to go by."""
    ends(agent(tmp_path, shown))
    draft = tmp_path / "models" / ".4711-0.draft"
    draft.write_bytes(b"half a model")

    ends(agent(tmp_path, shown))

    assert not draft.exists()


async def test_what_was_committed_is_never_given_back(tmp_path, shown):
    """Its bytes may have left."""
    site = agent(tmp_path, shown, "delta")
    site._ledger.commit(reserve(site, rounds=2), 1, "1" * 64)
    spent = site._ledger.spent_epsilon("ward", 0.001)
    release_in(shown)
    await site._carry_out(Adopt(1))
    site._view = View(finished=True)

    site._give_back()

    assert site._ledger.reserved() == ()
    assert site._ledger.spent_epsilon("ward", 0.001) == spent > 0


async def test_a_site_that_lost_its_models_fetches_the_newest_again(tmp_path, shown):
    """Its memory says adopted; the file is gone."""
    site = agent(tmp_path, shown, "delta")
    release = release_in(shown)
    await site._carry_out(Adopt(1))
    (tmp_path / "models" / release.model).unlink()

    assert not site._models.holds(release.model)
    await site._carry_out(Adopt(1))

    assert site._models.holds(release.model)


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


# -- one agent a folder, one ledger a dataset ---------------------------------------


def test_two_agents_do_not_run_from_one_folder(tmp_path, shown):
    """Each would erase what the other one sends, and answer for what it never opened."""
    first = agent(tmp_path, shown)

    with pytest.raises(FolderHeld, match="another process runs from this folder"):
        agent(tmp_path, shown)

    ends(first)
    ends(agent(tmp_path, shown))


def test_a_ledger_that_is_gone_is_not_begun_again(tmp_path, shown):
    """What was spent would be forgotten, and could be spent again."""
    ends(agent(tmp_path, shown))
    ledger = tmp_path / "ledger.sqlite"
    saved = ledger.read_bytes()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()

    with pytest.raises(ConfigError, match="is not there; restore it"):
        fails(tmp_path, shown)
    assert not ledger.exists()

    ledger.write_bytes(saved)
    ledger.chmod(0o600)
    ends(agent(tmp_path, shown))


def test_an_empty_file_is_no_ledger(tmp_path, shown):
    """A deleted ledger that somebody has touched."""
    ends(agent(tmp_path, shown))
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    (tmp_path / "ledger.sqlite").touch(mode=0o600)

    with pytest.raises(ConfigError, match="is not there"):
        fails(tmp_path, shown)


def fails(folder, coordinator, **dataset):
    """Start an agent that must not start, and let go of what its process would have let go of."""
    held = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("participant.agent.hold", lambda state: held.append(hold(state)) or held[0])
        try:
            agent(folder, coordinator, **dataset)
        finally:
            made.os.close(held[0])


def test_one_dataset_in_two_federations_has_one_ledger(tmp_path, shown):
    """What one federation spends is missing in the other."""
    shared = msgspec.structs.replace(made.DATASET, ledger=tmp_path / "ward.sqlite")
    one = agent(tmp_path / "one", shown, dataset=shared)
    two = agent(tmp_path / "two", shown, dataset=shared)
    before = two._ledger.remaining("ward")

    one._ledger.commit(reserve(one, "oncology"), 1, "1" * 64)

    assert two._ledger.remaining("ward") < before
    assert two._ledger.spent_epsilon("ward", 0.001) == one._ledger.spent_epsilon("ward", 0.001) > 0
    for folder in ("one", "two"):
        assert not (tmp_path / folder / "ledger.sqlite").exists()


def test_an_older_copy_of_the_ledger_is_refused_at_the_start(tmp_path, shown):
    """A backup that was put back would let what was spent since be spent again."""
    site = agent(tmp_path, shown)
    ends(site)
    backup = (tmp_path / "ledger.sqlite").read_bytes()
    site = agent(tmp_path, shown)
    reserve(site)
    ends(site)
    newest = (tmp_path / "ledger.sqlite").read_bytes()

    put_back(tmp_path, backup)

    with pytest.raises(LedgerRolledBack, match="has 2 rows, and this site has seen 3"):
        fails(tmp_path, shown)
    put_back(tmp_path, newest)
    ends(agent(tmp_path, shown))


def test_an_older_copy_that_went_on_is_refused_too(tmp_path, shown):
    """As long as the one this site has seen, or longer, and with another past."""
    ends(agent(tmp_path, shown))
    backup = (tmp_path / "ledger.sqlite").read_bytes()
    for rounds in (1, 2):
        site = agent(tmp_path, shown)
        reserve(site, rounds=rounds)
        ends(site)
    other = tmp_path / "other"
    other.mkdir()
    put_back(other, backup)
    site = agent(other, shown)
    for job in ("one", "two", "three"):
        reserve(site, job)
    ends(site)

    put_back(tmp_path, (other / "ledger.sqlite").read_bytes())

    with pytest.raises(LedgerRolledBack, match="are not those that this site has seen"):
        fails(tmp_path, shown)


async def test_a_state_folder_that_is_an_old_copy_is_told_by_the_newest_header(tmp_path, shown):
    """Its memory has forgotten as well; the coordinator keeps what the site itself has signed."""
    site = agent(tmp_path / "newest", shown)
    old = agent(tmp_path / "old", shown)
    await old._check_ledger()  # nothing was signed so far
    reserved = reserve(site)
    ledger = site._ledger.checkpoint()
    header = msgspec.structs.replace(made.header_of(made.plan(), "amber"), ledger=ledger)
    shown.newest = made.signed_by(header, "amber")
    with pytest.raises(LedgerRolledBack, match="does not know what this site has sent in round 1"):
        await site._check_ledger()  # a copy of before the commit is an old one, too
    site._ledger.commit(reserved, 1, digest_of(header))

    with pytest.raises(LedgerRolledBack, match="has 2 rows, and this site has seen 3"):
        await old._check_ledger()
    reserve(old, "another-job")
    with pytest.raises(LedgerRolledBack, match="are not those that this site has seen"):
        await old._check_ledger()

    await site._check_ledger()
    reserve(site, "another-job")
    await site._check_ledger()


async def test_a_header_that_this_site_has_not_signed_stops_it_as_a_lie(tmp_path, shown):
    """Of the coordinator, and not as a ledger that was rolled back."""
    site = agent(tmp_path, shown)
    header = made.header_of(made.plan(), "amber")
    shown.newest = Signed(made.encoded(header), {"amber": bytes(64)})

    with pytest.raises(InvalidSignature):
        await site._check_ledger()


async def test_a_coordinator_that_is_away_is_asked_again(tmp_path, shown, monkeypatch):
    """No site takes part before it knows."""
    monkeypatch.setattr(patience, "SHORTEST_SECONDS", 0)
    site, answers = agent(tmp_path, shown), [PeerUnreachable("away"), None]

    async def newest_header():
        answer = answers.pop(0)
        if isinstance(answer, VeilsumError):
            raise answer
        return answer

    shown.newest_header = newest_header

    await site._check_ledger()

    assert answers == []


def put_back(folder, copy):
    """What an operator does with a backup."""
    for path in folder.glob("ledger.sqlite*"):
        path.unlink()
    (folder / "ledger.sqlite").write_bytes(copy)
    (folder / "ledger.sqlite").chmod(0o600)


def test_the_policy_of_the_file_is_in_the_ledger_once(tmp_path, shown):
    """Each change is a row, with the limits of both views."""
    for _ in range(2):
        ends(agent(tmp_path, shown))
    site = agent(tmp_path, shown, epsilon_for_life="2.5", vector_epsilon_for_life="2.75")

    policies = [row.policy for row in site._ledger.rows() if row.type is RowType.POLICY_SET]

    assert [each.epsilon_for_life for each in policies] == ["3", "2.5"]
    assert [each.vector_epsilon_for_life for each in policies] == ["3", "2.75"]
    assert site._ledger.status("ward").vector.limit == 2.75


def test_a_limit_that_is_raised_in_the_file_alone_does_not_count(tmp_path, shown):
    """Where the file has named two officers, both are needed, also to be rid of them."""
    officers = {"alice": "1" * 64, "bob": "2" * 64}
    ends(agent(tmp_path, shown, officers=officers))
    for raised in ({"officers": officers}, {}):
        site = agent(tmp_path, shown, epsilon_for_life="30", **raised)

        assert site._ledger.status("ward").sums.limit == 3.0
        ends(site)


@pytest.mark.parametrize(
    ("officers", "words"),
    [({}, "veilsum budget dataset"), ({"alice": "1" * 64, "bob": "2" * 64}, "two officers agree")],
)
def test_a_new_name_for_the_data_does_not_start(tmp_path, shown, officers, words):
    """One edited line, and the same patients would have the whole budget again."""
    ends(agent(tmp_path, shown, officers=officers))
    renamed = msgspec.structs.replace(made.DATASET, id="ward2")

    with pytest.raises(ConfigError, match=rf"dataset\.id = ward2.*{words}"):
        fails(tmp_path, shown, dataset=renamed, officers=officers)

    site = agent(tmp_path, shown, officers=officers)
    assert set(site._ledger.state().datasets) == {"ward"}


def test_a_shared_ledger_that_is_gone_is_missed_by_both(tmp_path, shown):
    """Each remembers that there was one."""
    shared = msgspec.structs.replace(made.DATASET, ledger=tmp_path / "ward.sqlite")
    for folder in ("one", "two"):
        ends(agent(tmp_path / folder, shown, dataset=shared))
    for path in tmp_path.glob("ward.sqlite*"):
        path.unlink()

    for folder in ("one", "two"):
        with pytest.raises(ConfigError, match="is not there"):
            fails(tmp_path / folder, shown, dataset=shared)


# -- what ends a task, and what only delays it ---------------------------------------


LASTING = [
    InternalError("KeyError in the site's worker"),
    ConfigError("this site's file says nothing about a chain"),
    InsecureKeyFile("mode 0644"),
    SumOffGrid("a value off the grid"),
    VeilsumError("of a code that this version does not know"),
]


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
async def test_what_time_does_not_heal_is_declined(amber, shown, error):
    """Whatever its family: an error that is let through ends the agent, one that is retried
    is retried for ever."""
    shown.fails["sign_key"] = error

    assert await amber._try(VouchForKey(1, RECORD))

    assert amber._standing.declined == {VouchForKey(1, RECORD)}
    assert shown.refused == [(1, error.code)]


async def test_a_coordinator_that_cannot_be_told_of_a_refusal_does_not_undo_it(amber, shown):
    """The task stays declined, and the agent goes on."""
    shown.fails["sign_key"] = SumOffGrid("a value off the grid")

    async def unreachable(number, code):
        raise PeerUnreachable("nobody listens")

    shown.refuse = unreachable

    assert await amber._try(VouchForKey(1, RECORD))
    assert amber._standing.declined == {VouchForKey(1, RECORD)}


async def test_declining_one_sealed_model_does_not_decline_the_next_ones(amber, shown):
    """Otherwise one dishonest sealer would keep its opener from every other's model."""
    await amber._carry_out(Open(1))
    release_in(shown, vector=next_model(ROUND) + 1)
    assert await amber._try(Agree(1, "first"))
    release_in(shown, vector=next_model(ROUND), sealer="cedar")

    assert await amber._try(Agree(1, "second"))

    assert amber._standing.declined == {Agree(1, "first")}
    assert len(shown.signed_releases) == 1


async def test_a_plan_for_a_model_of_another_size_is_refused(tmp_path, shown):
    """Before anything is trained: the worker would fail, and everybody would see it."""
    site = agent(tmp_path, shown, "delta")
    arithmetic = made.Arithmetic(
        made.CKKS, made.DIMENSION + 1, 4096, 18, 24, made.ARITHMETIC.ranges
    )
    shown.plans[1] = made.Plan(arithmetic, made.plan().terms)

    with pytest.raises(WrongContext, match="model of another size"):
        await site._carry_out(Contribute(1))
    assert site._ledger.reserved() == ()


async def test_a_programme_that_halts_is_said_once(amber, monkeypatch):
    """At the level of an error, with who must act."""
    views = iter([View(revision=1), *[View(revision=n, halted=True) for n in (2, 3, 4)]])
    said, waited = [], []

    class Watched:
        async def watch(self, seen, working_on, wait):
            try:
                return next(views)
            except StopIteration:
                raise ConfigError("the test is over") from None

    async def wait(error):
        waited.append(error)

    amber._coordinator = Watched()
    monkeypatch.setattr(
        "participant.agent.log.error", lambda event, **more: said.append((event, more))
    )
    monkeypatch.setattr(amber._patience, "wait", wait)

    with pytest.raises(ConfigError, match="over"):
        await amber._watch()

    assert said == [("programme_halted", {"who_acts": "the coordinator's operator"})]
    assert waited == []


async def test_a_coordinator_that_is_away_is_watched_for_with_patience(amber, monkeypatch):
    """Every failure is a wait, and the first success ends the waiting."""
    answers = iter([PeerUnreachable("a"), PeerUnreachable("b"), View(), ConfigError("over")])
    seen = []

    class Watched:
        async def watch(self, seen, working_on, wait):
            answer = next(answers)
            if isinstance(answer, VeilsumError):
                raise answer
            return answer

    async def wait(error):
        seen.append(str(error))

    amber._coordinator = Watched()
    monkeypatch.setattr(amber._patience, "wait", wait)
    monkeypatch.setattr(amber._patience, "reset", lambda: seen.append("reset"))

    with pytest.raises(ConfigError):
        await amber._watch()

    assert seen == ["a", "b", "reset"]


async def test_a_certificate_that_is_not_there_is_the_operators_error(tmp_path, shown):
    """Named, and before anything is sent."""
    site = agent(tmp_path, shown)

    with pytest.raises(ConfigError, match="none"):
        connect(site.config.coordinator, site.keys)


async def test_models_are_forgotten_as_rounds_are_adopted(tmp_path, shown):
    """Round after round the folder would grow by a model."""
    site = agent(tmp_path, shown, "delta")
    release = release_in(shown)
    site._models.keep(made.SHAPES, made.FIRST + 1)

    await site._carry_out(Adopt(1))

    assert {path.name for path in (tmp_path / "models").iterdir()} == {site._first, release.model}


async def test_what_keeps_failing_is_waited_for_longer_and_said_once(amber, shown, monkeypatch):
    """Each task has a patience of its own, which ends with the task."""
    waits, lines = [], []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(patience, "asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(patience.log, "warning", lambda event, **more: lines.append((event, more)))
    amber.entropy = lambda size: b"\xff" * size
    shown.fails["sign_key"] = PeerUnreachable("away")
    for _ in range(3):
        assert not await amber._try(VouchForKey(1, RECORD))
    assert not await amber._try(VouchForKey(1, RECORD))
    del shown.fails["sign_key"]

    assert await amber._try(VouchForKey(1, RECORD))

    assert waits == pytest.approx([0.5, 1, 1, 1])
    assert lines == [("will_retry", {"task": "VouchForKey", "round": 1, "reason": "away"})]
    assert amber._retries == {}


async def test_a_worker_that_dies_while_it_describes_is_started_again(amber, monkeypatch):
    """The agent has not begun to work, and does not end for it."""
    monkeypatch.setattr(patience, "SHORTEST_SECONDS", 0)
    answers = [PeerUnreachable("died"), StoreUnavailable("full"), (made.SHAPES, "1" * 64)]

    async def describe(text, records, records_per_unit):
        answer = answers.pop(0)
        if isinstance(answer, VeilsumError):
            raise answer
        return answer

    async def nothing(*_):
        return None

    async def watch():
        await asyncio.Event().wait()

    monkeypatch.setattr("participant.agent.connected", lambda *_: nullcontext(SimpleNamespace()))
    monkeypatch.setattr(amber, "_join", nothing)
    monkeypatch.setattr(amber, "_watch", watch)
    amber._worker.describe = describe
    amber._view = View(finished=True)

    async with asyncio.timeout(20):
        await amber.run()

    assert amber._first == "1" * 64
    assert answers == []


def showing(*numbers):
    return View(1, tuple(RoundView(n, "open", "", (), "", (), (), "", ()) for n in numbers))


@pytest.mark.parametrize(
    ("shown_rounds", "left"),
    [
        ((), {1, 2, 3, 4}),
        ((4,), {4}),
        ((2, 4), {2, 4}),
        ((3,), {3, 4}),
        ((1,), {1, 2, 3, 4}),
        ((5,), set()),
    ],
)
async def test_what_an_aborted_round_left_is_erased_once_a_newer_one_is_shown(
    tmp_path, shown, shown_rounds, left
):
    """A live round's contribution may still be sent; nothing is concluded from an empty view."""
    site = agent(tmp_path, shown, "delta")
    for number in (1, 2, 3, 4):
        Outbox(tmp_path / "outbox", number).start()
        (tmp_path / "opening" / f"{number:06d}" / "digest").mkdir(parents=True)
    rows = site._ledger.rows()
    site._view = showing(*shown_rounds)

    site._erase_ended()

    for folder in ("outbox", "opening"):
        assert {int(path.name) for path in (tmp_path / folder).iterdir()} == left
    assert site._ledger.rows() == rows


@pytest.mark.parametrize(
    ("phases", "left"),
    [
        ({1: "done", 2: "aborted", 3: "open"}, {1, 3, 4}),
        ({2: "aborted", 3: "aborted", 4: "keying"}, {4}),
        ({2: "open", 3: "aborted", 4: "aborted"}, {2}),
        ({1: "aborted"}, {2, 3, 4}),
    ],
)
async def test_what_an_aborted_round_left_is_erased_while_it_is_still_shown(
    tmp_path, shown, phases, left
):
    """A coordinator shows the last ones, so that people read why; nobody sends for them."""
    site = agent(tmp_path, shown, "delta")
    for number in (1, 2, 3, 4):
        Outbox(tmp_path / "outbox", number).start()
    rounds = (
        RoundView(number, phase, "", (), "", (), (), "", ()) for number, phase in phases.items()
    )
    site._view = View(1, tuple(rounds))

    site._erase_ended()

    assert {int(path.name) for path in (tmp_path / "outbox").iterdir()} == left


async def test_ended_rounds_are_erased_at_work_whatever_the_disk_says(tmp_path, shown, monkeypatch):
    """Between two tasks; a disk that refuses does not end the agent."""
    site, asked = agent(tmp_path, shown, "delta"), []

    def refuse(folder, last, live):
        asked.append((folder.name, last, live))
        raise StoreUnavailable("read-only")

    async def wait(watching):
        site._view = View(finished=True)

    monkeypatch.setattr("participant.agent.erase_until", refuse)
    monkeypatch.setattr(site, "_wait", wait)
    site._view = View(1, (RoundView(3, "aggregating", "", (), "", (), (), "", ()),))

    await site._work(asyncio.create_task(asyncio.sleep(0)))

    assert asked == [("outbox", 2, {3})]


# -- being paid ----------------------------------------------------------------------


class Payer:
    """Payouts that note what they are asked, and refuse if told to."""

    def __init__(self, error=None):
        self.claimed, self.error = [], error

    def claim(self, payout):
        if self.error:
            raise self.error
        self.claimed.append(payout)


def paid_by(site, payer, shown, entitlement=b"{}"):
    """A site with a chain, a payer, and what the coordinator says it has earned."""

    async def payout():
        return Payout(entitlement, "0x" + "1" * 40, 3)

    settlement = SimpleNamespace(method=None)
    site.config = msgspec.structs.replace(site.config, settlement=settlement)
    site._payouts, shown.payout = payer, payout


async def test_a_site_claims_what_it_has_earned(amber, shown):
    """The control."""
    payer = Payer()
    paid_by(amber, payer, shown)

    assert await amber._try(Claim(3))

    assert [payout.rounds for payout in payer.claimed] == [3]
    assert amber._standing.claimed


async def test_a_site_that_has_earned_nothing_claims_nothing_and_is_done(amber, shown):
    """It came too late for every round; that is no error."""
    payer = Payer()
    paid_by(amber, payer, shown, entitlement=b"")

    assert await amber._try(Claim(3))

    assert payer.claimed == []
    assert amber._standing.claimed


async def test_a_contract_that_refuses_is_not_asked_for_ever(amber, shown):
    """For a round an illegal event is a matter of time; for a contract it is not."""
    paid_by(amber, Payer(IllegalEvent("the contract refused: NothingToClaim")), shown)

    with pytest.raises(WrongContext, match="the settlement contract refuses"):
        await amber._carry_out(Claim(3))
    assert await amber._try(Claim(3))

    assert amber._standing.declined == {Claim(3)}
    assert not amber._standing.claimed


async def test_a_chain_that_is_away_is_waited_for(amber, shown, monkeypatch):
    """The same claim, later."""
    monkeypatch.setattr("participant.agent.RETRY_SECONDS", 0)
    paid_by(amber, Payer(ChainUnavailable("no answer")), shown)

    assert not await amber._try(Claim(3))

    assert amber._standing.declined == frozenset()
