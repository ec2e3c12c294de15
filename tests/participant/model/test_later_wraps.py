"""Wraps made later are believed as far as a trainer of today has signed them, and no further."""

import msgspec
import pytest

from participant.model.later_wraps import accepted, check_wraps, keys_for, left_out, make_wraps
from participant.opening import agree
from participant.wire.fetch import fetch_model
from privacy.errors import InvalidSignature, MalformedMessage, WrongContext, WrongIdentity
from privacy.records import Wrap
from privacy.vectors import ModelDigest
from tests.participant import signed_round as made
from tests.participant.shelf import NEWCOMER, VECTOR, Shelf, later_roster, model_digest, sealed

NEWEST = later_roster()
REPLACED = later_roster("cedar")


@pytest.fixture(scope="module")
def shelf():
    return Shelf(NEWEST)


@pytest.fixture(scope="module")
def content_key(shelf):
    (key,) = agree.content_keys(shelf.envelope, "birch", made.keys("birch").sealing)
    return key


@pytest.fixture
def wraps(shelf, content_key):
    """What birch has made for the newcomer."""
    return make_wraps(shelf.envelope, content_key, "birch", (NEWCOMER,), NEWEST)


def opened(shelf, name, documents, newest=NEWEST, keys=None):
    """The digest of what a trainer opens with the wraps it is shown."""
    pair = (keys or made.keys(name)).sealing
    later = keys_for(name, accepted(documents, shelf.envelope, newest))
    digest = ModelDigest(made.SHAPES)
    unsealing = agree.Unsealing(shelf.envelope, name, pair, digest, later)
    for chunk in shelf.chunks:
        unsealing.take(chunk)
    unsealing.finish()
    return digest.hexdigest()


def test_a_wrap_made_later_opens_the_model(shelf, wraps):
    """And without it the newcomer is told whom to ask."""
    with pytest.raises(WrongContext, match="veilsum participant wrap --round 1"):
        opened(shelf, NEWCOMER, [])

    assert opened(shelf, NEWCOMER, [made.signed_by(wraps, "birch")]) == model_digest()


def test_a_founder_with_new_keys_opens_it_again(shelf, content_key):
    """The envelope's wrap is for a key that it has no more; a later one is for its new key."""
    fresh = made.keys("delta again")
    members = tuple(
        msgspec.structs.replace(m, sealing_key=fresh.sealing_public)
        if m.participant == "delta"
        else m
        for m in NEWEST.members
    )
    newest = msgspec.structs.replace(NEWEST, members=members)
    wraps = make_wraps(shelf.envelope, content_key, "birch", ("delta",), newest)
    documents = [made.signed_by(wraps, "birch")]

    assert opened(shelf, "delta", documents, newest, fresh) == model_digest()
    with pytest.raises(MalformedMessage, match="does not open"):
        opened(shelf, "delta", [], newest, fresh)


def test_it_is_sealed_at_the_same_place_as_the_envelopes(shelf, wraps):
    """Moved into the envelope's own list it would open as one of those."""
    moved = msgspec.structs.replace(shelf.envelope, wraps=wraps.wraps)

    assert agree.content_keys(moved, NEWCOMER, made.keys(NEWCOMER).sealing)


@pytest.mark.parametrize(
    ("changes", "signer", "error"),
    [
        ({}, "amber", InvalidSignature),
        ({"maker": "amber"}, "birch", InvalidSignature),
        ({"maker": "watch"}, "watch", WrongIdentity),
        ({"maker": "mallory"}, "mallory", WrongIdentity),
        ({"sealed_model": "e" * 64}, "birch", WrongContext),
        ({"roster": made.roster().digest()}, "birch", WrongContext),
        ({"round": 2}, "birch", WrongContext),
        ({"federation": "cardiology"}, "birch", WrongContext),
    ],
)
def test_wraps_of_others_or_of_something_else_are_ignored(shelf, wraps, changes, signer, error):
    """Each is refused for its own reason; beside one that fits, none does harm."""
    wrong = msgspec.structs.replace(wraps, **changes)
    document = made.signed_by(wrong, signer)
    if "maker" not in changes and signer != "birch":
        document = made.Signed(document.body, {"birch": document.signatures[signer]})

    with pytest.raises(error):
        check_wraps(document, shelf.envelope, NEWEST)
    with pytest.raises(WrongContext, match="not sealed to ember"):
        opened(shelf, NEWCOMER, [document])
    assert opened(shelf, NEWCOMER, [document, made.signed_by(wraps, "birch")]) == model_digest()


def test_who_was_removed_makes_no_wraps(shelf, content_key):
    """Cedar still has the key; its word counts no more."""
    late = make_wraps(shelf.envelope, content_key, "cedar", (NEWCOMER,), REPLACED)

    with pytest.raises(WrongIdentity, match="cedar is not in roster version 1"):
        check_wraps(made.signed_by(late, "cedar"), shelf.envelope, REPLACED)


def test_bytes_that_are_no_wraps_are_ignored(shelf, wraps):
    """The coordinator may send anything there."""
    noise = made.Signed(b"{", {}), made.signed_by(shelf.envelope, "amber")

    assert opened(shelf, NEWCOMER, [*noise, made.signed_by(wraps, "birch")]) == model_digest()


def test_what_is_ignored_is_said_in_the_log(shelf, wraps, monkeypatch):
    """An operator sees that a coordinator shows what nobody should believe."""
    lines = []
    monkeypatch.setattr(
        "participant.model.later_wraps.log.warning",
        lambda event, **said: lines.append((event, said)),
    )

    accepted([made.Signed(made.encoded(wraps), {})], shelf.envelope, NEWEST)

    (line,) = lines
    assert (line[0], line[1]["code"]) == ("wraps_ignored", "invalid_signature")


@pytest.mark.parametrize("spoiled", ["another key", "another recipient", "nothing"])
def test_a_trainers_wrap_that_opens_nothing_is_passed_over(shelf, wraps, content_key, spoiled):
    """Properly signed; the next one is tried, on the model's first chunk."""
    key = made.os.urandom(32) if spoiled == "another key" else content_key
    wrong = make_wraps(shelf.envelope, key, "amber", (NEWCOMER,), NEWEST)
    if spoiled == "another recipient":
        other = make_wraps(shelf.envelope, key, "amber", ("delta",), NEWEST).wraps[0]
        wrong = msgspec.structs.replace(wrong, wraps=(Wrap(NEWCOMER, other.sealed_key),))
    if spoiled == "nothing":
        wrong = msgspec.structs.replace(wrong, wraps=(Wrap(NEWCOMER, b""),))
    documents = [made.signed_by(wrong, "amber")]

    with pytest.raises(MalformedMessage, match="does not open"):
        opened(shelf, NEWCOMER, documents)
    assert opened(shelf, NEWCOMER, [*documents, made.signed_by(wraps, "birch")]) == model_digest()


def test_forged_wraps_open_nothing_else(shelf):
    """Even with a trainer's help: another model's key, its chunks, and this model's envelope."""
    other, chunks = sealed(shelf.of, VECTOR * -3)
    (key,) = agree.content_keys(other, "birch", made.keys("birch").sealing)
    forged = make_wraps(shelf.envelope, key, "birch", (NEWCOMER,), NEWEST)
    later = keys_for(NEWCOMER, [forged])
    into = ModelDigest(made.SHAPES)

    for name in (NEWCOMER, "delta"):
        mine = made.keys(name).sealing
        unsealing = agree.Unsealing(shelf.envelope, name, mine, into, later)
        with pytest.raises(MalformedMessage, match="does not open"):
            unsealing.take(chunks[0])


def test_chunks_that_open_under_a_forged_key_are_still_not_the_model(shelf, wraps):
    """The envelope that openers signed names model and ciphertext, whoever wrapped what."""
    key = made.os.urandom(32)
    context = agree._model_context(shelf.envelope)
    parts = (part.tobytes() for part in made.np.array_split(VECTOR * -3, 3))
    chunks = list(agree.seal_stream(key, context, parts))
    forged = make_wraps(shelf.envelope, key, "birch", (NEWCOMER,), NEWEST)
    into, mine = ModelDigest(made.SHAPES), made.keys(NEWCOMER).sealing
    later = keys_for(NEWCOMER, [forged])
    unsealing = agree.Unsealing(shelf.envelope, NEWCOMER, mine, into, later)
    for chunk in chunks:
        unsealing.take(chunk)

    with pytest.raises(MalformedMessage, match="were changed"):
        unsealing.finish()


def test_who_is_left_out(shelf, wraps):
    """Trainers of today without a wrap, or with one for a key that they have no more."""
    two = later_roster("cedar", joins=(NEWCOMER, "fir"))
    members = tuple(
        msgspec.structs.replace(m, sealing_key=made.keys("new").sealing_public)
        if m.participant == "delta"
        else m
        for m in NEWEST.members
    )
    moved = msgspec.structs.replace(NEWEST, members=members)
    then = made.roster()

    assert left_out(shelf.envelope, then, [], then) == ()
    assert left_out(shelf.envelope, then, [], two) == (NEWCOMER, "fir")
    assert left_out(shelf.envelope, then, [wraps], two) == ("fir",)
    assert left_out(shelf.envelope, then, [], moved) == ("delta", NEWCOMER)


async def test_a_fetch_without_a_roster_uses_the_envelope_alone(shelf, wraps):
    """An opener compares before anything is released: nobody has made wraps then."""
    showing = Shelf(NEWEST)
    showing.envelope, showing.chunks = shelf.envelope, shelf.chunks
    showing.wraps = [made.signed_by(wraps, "birch")]
    fetched = (showing, 1, lambda _: shelf.envelope, NEWCOMER, made.keys(NEWCOMER).sealing)

    assert await fetch_model(*fetched, ModelDigest(made.SHAPES), NEWEST) == shelf.envelope
    with pytest.raises(WrongContext, match="not sealed to ember"):
        await fetch_model(*fetched, ModelDigest(made.SHAPES))
