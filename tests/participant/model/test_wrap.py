"""`veilsum participant wrap`: whose key a trainer passes on, to whom, and of which model only."""

import msgspec
import pytest
from typer.testing import CliRunner

from participant.model import wrap
from participant.model.wrap import pass_on
from participant.wire.fetch import fetch_model
from privacy import canonical
from privacy.errors import (
    ConflictingContribution,
    InvalidSignature,
    MalformedMessage,
    PolicyRefusal,
    WrongContext,
    WrongIdentity,
)
from privacy.records import Wraps, release_of
from privacy.vectors import ModelDigest
from tests.participant import signed_round as made
from tests.participant.shelf import (
    COHORT,
    NEWCOMER,
    VECTOR,
    Shelf,
    config,
    later_roster,
    model_digest,
    sealed,
)
from veilsum.cli import app
from veilsum.files import hold

TWO = later_roster("cedar", joins=(NEWCOMER, "fir"))


@pytest.fixture
def shelf():
    return Shelf(TWO)


async def passed_on(folder, shelf, name, *names):
    return await pass_on(config(folder, name), made.keys(name), shelf, 1, names)


async def opened(shelf, name):
    digest, pair = ModelDigest(made.SHAPES), made.keys(name).sealing
    await fetch_model(shelf, 1, lambda _: shelf.envelope, name, pair, digest, shelf.newest)
    return digest.hexdigest()


async def test_every_trainer_who_is_left_out_gets_a_wrap(tmp_path, shelf):
    """Not who was removed, though its name stands in the envelope; and no auditor."""
    assert await passed_on(tmp_path, shelf, "birch") == (NEWCOMER, "fir")

    (signed,) = shelf.wraps
    said = canonical.decode(signed.body, Wraps)
    assert [each.participant for each in said.wraps] == [NEWCOMER, "fir"]
    assert (said.maker, list(signed.signatures)) == ("birch", ["birch"])
    for name in (NEWCOMER, "fir"):
        assert await opened(shelf, name) == model_digest()


async def test_only_who_is_named_gets_one(tmp_path, shelf):
    """And another trainer's turn is for who is still left out."""
    assert await passed_on(tmp_path, shelf, "birch", "fir", "fir") == ("fir",)
    with pytest.raises(WrongContext, match="not sealed to ember"):
        await opened(shelf, NEWCOMER)

    assert await passed_on(tmp_path, shelf, "amber") == (NEWCOMER,)
    assert await passed_on(tmp_path, shelf, "delta") == ()
    assert len(shelf.wraps) == 2


async def test_who_got_a_wrap_later_passes_the_key_on(tmp_path, shelf):
    """The founders may all be gone one day."""
    await passed_on(tmp_path, shelf, "birch", "fir")

    assert await passed_on(tmp_path, shelf, "fir") == (NEWCOMER,)
    assert await opened(shelf, NEWCOMER) == model_digest()


async def test_made_wraps_stand(tmp_path, shelf):
    """The same again is nothing to do; for somebody else another trainer is asked."""
    await passed_on(tmp_path, shelf, "birch", "fir")

    assert await passed_on(tmp_path, shelf, "birch", "fir") == ()
    with pytest.raises(ConflictingContribution, match="for fir, and they stand; ask another"):
        await passed_on(tmp_path, shelf, "birch")
    assert len(shelf.wraps) == 1


@pytest.mark.parametrize("name", ["watch", "cedar", "mallory"])
async def test_who_is_no_trainer_of_today_makes_no_wraps(tmp_path, shelf, name):
    """An auditor, a trainer that was removed, a stranger."""
    with pytest.raises(WrongIdentity, match=name):
        await passed_on(tmp_path, shelf, name)

    assert shelf.wraps == []


@pytest.mark.parametrize("name", ["watch", "cedar", "mallory"])
async def test_who_is_no_trainer_of_today_gets_no_wrap(tmp_path, shelf, name):
    """Named or not."""
    with pytest.raises(WrongIdentity, match=name):
        await passed_on(tmp_path, shelf, "birch", NEWCOMER, name)

    assert shelf.wraps == []


async def test_who_cannot_open_the_model_makes_no_wraps(tmp_path, shelf):
    """A newcomer without a wrap of its own."""
    with pytest.raises(WrongContext, match="not sealed to ember"):
        await passed_on(tmp_path, shelf, NEWCOMER)

    assert shelf.wraps == []


async def test_one_chunk_of_the_model_is_read(tmp_path, shelf):
    """To see that the key opens it; the rest may be gigabytes."""
    await passed_on(tmp_path, shelf, "birch")

    assert shelf.read == 1


async def test_it_works_while_the_site_runs(tmp_path, shelf):
    """The running site holds its folder; this keeps the roster's versions beside its own."""
    hold(tmp_path)

    assert await passed_on(tmp_path, shelf, "birch")
    assert {path.name for path in tmp_path.iterdir()} == {"lock", "kept"}


# -- of which model ------------------------------------------------------------------------


async def refused(folder, shelf, error, match=None):
    with pytest.raises(error, match=match):
        await passed_on(folder, shelf, "birch")
    assert shelf.wraps == []


async def test_the_key_of_another_envelope_is_not_passed_on(tmp_path, shelf):
    """The coordinator shows one that an opener did seal, of a model that was not released."""
    released = shelf.release_record
    shelf.envelope, shelf.chunks = sealed(shelf.of, VECTOR * -3)
    shelf.signed_envelope = made.signed_by(shelf.envelope, "amber")

    async def release(_):
        return made.signed_by(released, "amber", "birch")

    shelf.release = release

    await refused(tmp_path, shelf, WrongContext, "not the sealed model that was released")


async def test_an_envelope_that_no_opener_signed_is_not_opened(tmp_path, shelf):
    """Whatever it says."""
    shelf.signed_envelope = made.Signed(made.encoded(shelf.envelope), {"amber": bytes(64)})

    await refused(tmp_path, shelf, InvalidSignature)


@pytest.mark.parametrize("signers", [("amber",), ("amber", "delta"), ("amber", "watch")])
async def test_a_model_that_openers_did_not_agree_on_is_not_passed_on(tmp_path, signers):
    """One of them, and whoever is no opener."""
    await refused(tmp_path, Shelf(TWO, *signers), InvalidSignature, "2 are needed")


async def test_a_removed_opener_makes_no_model_count(tmp_path):
    """Cedar's key, after it was removed, with one opener of today: an old round's number."""
    await refused(tmp_path, Shelf(TWO, "amber", "cedar"), InvalidSignature, "2 are needed")


async def test_a_plan_with_openers_whom_this_site_does_not_accept_is_refused(tmp_path):
    """Its policy names who opens."""
    of = made.plan(openers=("amber", "birch", "delta"))

    await refused(tmp_path, Shelf(TWO, of=of), PolicyRefusal, "delta is not among them")


async def test_a_plan_of_a_roster_that_nobody_admitted_is_refused(tmp_path):
    """It is of no version that members have signed."""
    of = made.plan(roster="1" * 64)

    await refused(tmp_path, Shelf(TWO, of=of), PolicyRefusal, "another roster")


async def test_a_roster_that_too_few_have_signed_makes_nobody_a_newcomer(tmp_path, shelf):
    """The coordinator cannot have a key sealed to somebody of its own."""
    first, second = shelf.history
    alone = {"amber": second.signatures["amber"], "birch": second.signatures["birch"]}
    shelf.history = [first, type(second)(second.roster, alone)]

    await refused(tmp_path, shelf, InvalidSignature, "2 of 4")


async def test_a_key_that_does_not_open_the_model_is_not_passed_on(tmp_path, shelf):
    """The sealer has wrapped another one for this site."""
    other, _ = sealed(shelf.of, VECTOR)
    envelope = msgspec.structs.replace(shelf.envelope, wraps=other.wraps)
    shelf.envelope, shelf.signed_envelope = envelope, made.signed_by(envelope, "amber")
    assert release_of(envelope, COHORT, shelf.of.terms.model) == shelf.release_record

    await refused(tmp_path, shelf, MalformedMessage, "chunk 0 does not open")


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch, tmp_path, shelf):
    """Run the command as birch; the connection is to the shelf."""

    async def close():
        return None

    shelf.close = close
    monkeypatch.setattr(wrap, "load_keys", lambda _: made.keys("birch"))
    monkeypatch.setattr(wrap, "connect", lambda *_: shelf)
    monkeypatch.setattr("participant.config.read", lambda *_: config(tmp_path, "birch"))
    monkeypatch.setattr("veilsum.process.start_log", lambda: None)

    def run(*names):
        asked = [word for name in names for word in ("--for", name)]
        words = ["participant", "wrap", "--config", "site.toml", "--round", "1", *asked]
        return CliRunner().invoke(app, words)

    return run


def test_the_command_prints_for_whom(command):
    """One name a line."""
    result = command()

    assert (result.exit_code, result.stdout) == (0, "ember\nfir\n")


def test_the_command_takes_names(command):
    """As often as --for is said."""
    assert command("fir", NEWCOMER).stdout == "ember\nfir\n"


def test_the_command_says_that_there_is_nothing_to_do(command):
    """And that is no failure."""
    command()

    result = command()

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nobody" in result.stderr


def test_the_commands_refusals_have_their_status(command):
    """Of the protocol family: 3."""
    result = command("mallory")

    assert result.exit_code == 3
    assert "mallory is not in roster version 1" in result.stderr
