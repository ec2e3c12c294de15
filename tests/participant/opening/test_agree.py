"""The sealed model: open to each trainer, shut to everybody else, and only as agreed."""

import os

import msgspec
import numpy as np
import pytest

from participant.opening import agree
from privacy.documents import Signed
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    UpdateOutOfRange,
    WrongContext,
    WrongIdentity,
)
from privacy.records import digest_of, release_of
from privacy.roster import Member, Roster, SignedRoster, admit
from privacy.sealing import HpkeKeyPair, ciphertext_digest
from privacy.signing import Purpose, sign
from privacy.vectors import ModelDigest, model_digest
from tests.participant import signed_round as made

SHAPES = (("weight", (200_000,)),)
VECTOR = np.sin(np.arange(200_000.0))
MODEL = model_digest(SHAPES, VECTOR)
PLAN = made.plan()
SUM, COHORT = "a" * 64, "b" * 64


def sealed(roster=None, plan=PLAN, model=MODEL, sealer="amber"):
    roster = roster or made.roster()
    return seal(plan, roster, sealer, model, VECTOR)


def seal(plan, roster, sealer, model, vector):
    parts = np.array_split(vector, 4)
    envelope, chunks = agree.seal_model(plan, roster, SUM, sealer, model, lambda: parts, os.urandom)
    return envelope, list(chunks)


ENVELOPE, CHUNKS = sealed()


def opened(name, envelope=ENVELOPE, chunks=CHUNKS, pair=None):
    into = Into(SHAPES)
    unsealing = agree.Unsealing(envelope, name, pair or made.keys(name).sealing, into)
    for chunk in chunks:
        unsealing.take(chunk)
    unsealing.finish()
    return np.concatenate(into.parts)


class Into(ModelDigest):
    """A digest that keeps what it takes."""

    def __init__(self, shapes):
        super().__init__(shapes)
        self.parts = []

    def update(self, values):
        super().update(values)
        self.parts.append(values)


def check(envelope, *signers, plan=PLAN, total=SUM, roster=None):
    signed = made.signed_by(envelope, *(signers or ("amber",)))
    return agree.check_envelope(signed, plan, total, roster or made.roster())


def replaced(record, **members):
    return msgspec.structs.replace(record, **members)


@pytest.mark.parametrize("name", made.TRAINERS)
def test_every_trainer_opens_it(name):
    """Delta too, which opened no sum and need not have been there when it was made."""
    assert opened(name).tobytes() == VECTOR.tobytes()


@pytest.mark.parametrize("name", ["watch", "coordinator"])
def test_neither_auditor_nor_coordinator_opens_it(name):
    """No key is wrapped for them."""
    with pytest.raises(WrongContext, match="not sealed to"):
        opened(name, pair=HpkeKeyPair(bytes(32)))


@pytest.mark.parametrize("name", made.TRAINERS)
def test_no_other_key_opens_a_trainers_wrap(name):
    """Who holds an auditor's key and calls himself a trainer has nothing."""
    with pytest.raises(MalformedMessage, match="does not open"):
        opened(name, pair=made.keys("watch").sealing)


def test_a_trainer_that_was_revoked_before_does_not_open_it():
    """Roster version 1, without delta, signed by more than half: the wrap is not for it."""
    first = made.roster()
    left = tuple(member for member in first.members if member.participant != "delta")
    second = Roster(made.FEDERATION, 1, first.coordinator_key, left, first.digest())
    newest = admit([founding(first), signed(second, *made.OPENERS)], first.digest())
    envelope, chunks = sealed(newest, made.plan(roster=newest.digest()))

    assert opened("cedar", envelope, chunks).size == VECTOR.size
    with pytest.raises(WrongContext, match="not sealed to delta"):
        opened("delta", envelope, chunks)
    for wrap in envelope.wraps:
        stolen = replaced(
            envelope, wraps=(replaced(wrap, participant="delta"), *envelope.wraps[1:])
        )
        with pytest.raises(MalformedMessage):
            opened("delta", stolen, chunks)


def founding(roster):
    return signed(roster, *(member.participant for member in roster.members))


def signed(roster, *names):
    body = made.encoded(roster)
    return SignedRoster(
        roster, {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}
    )


def test_a_site_that_stays_in_the_roster_must_be_sealed_to():
    """A sealer that leaves a trainer out, or lets one in, is refused."""
    without = replaced(ENVELOPE, wraps=ENVELOPE.wraps[:-1])
    beside = replaced(ENVELOPE.wraps[0], participant="watch")
    with_another = replaced(ENVELOPE, wraps=(*ENVELOPE.wraps, beside))

    for envelope in (without, with_another, replaced(ENVELOPE, wraps=ENVELOPE.wraps[::-1])):
        with pytest.raises(WrongContext, match="exactly the trainers"):
            check(envelope)


def broken():
    flipped = bytes([CHUNKS[1][0] ^ 1]) + CHUNKS[1][1:]
    yield "tampered", [CHUNKS[0], flipped, *CHUNKS[2:]]
    yield "cut", CHUNKS[:-1]
    yield "shortened", [*CHUNKS[:-1], CHUNKS[-1][:-8]]
    yield "reordered", [CHUNKS[1], CHUNKS[0], *CHUNKS[2:]]
    yield "repeated", [*CHUNKS, CHUNKS[-1]]
    yield "empty", []


BROKEN = dict(broken())


@pytest.mark.parametrize("how", BROKEN)
def test_changed_chunks_are_refused(how):
    """Whoever stores them cannot change the model."""
    assert len(CHUNKS) > 3
    with pytest.raises(MalformedMessage, match=r"changed|does not open at its place"):
        opened("delta", chunks=BROKEN[how])


@pytest.mark.parametrize("how", BROKEN)
def test_changed_chunks_are_refused_with_their_digest_too(how):
    """A sealer could sign another digest over them: the stream itself does not open."""
    chunks = BROKEN[how]
    digest = ciphertext_digest(chunks)
    envelope = replaced(ENVELOPE, ciphertext=digest, chunks=len(chunks))

    with pytest.raises(MalformedMessage):
        opened("delta", envelope, chunks)


def test_a_model_of_another_digest_is_refused():
    """Sealed under the right name, and another model."""
    envelope, chunks = sealed(model="d" * 64)

    with pytest.raises(MalformedMessage, match="another digest"):
        opened("delta", envelope, chunks)


def test_a_model_that_is_not_finite_is_refused():
    """It has no digest."""
    envelope, chunks = seal(PLAN, made.roster(), "amber", MODEL, np.full(200_000, np.nan))

    with pytest.raises(UpdateOutOfRange):
        opened("delta", envelope, chunks)


def test_an_envelope_of_another_ciphertext_is_refused():
    """The release names the envelope: what it says of its chunks must be true."""
    with pytest.raises(MalformedMessage, match="changed"):
        opened("delta", replaced(ENVELOPE, ciphertext="0" * 64))


def test_chunks_that_are_no_values_are_refused():
    """A sealer that cuts a value in two, or adds a byte."""
    key, context = bytes(32), agree._context(PLAN, MODEL)
    chunks = list(agree.seal_stream(key, context, [VECTOR.tobytes() + b"1"]))
    wraps = [agree.Wrap("delta", agree.seal(made.keys("delta").sealing.public,
        agree._wrap_context(PLAN, MODEL, "delta"), key))]  # fmt: skip
    envelope = replaced(
        ENVELOPE, wraps=tuple(wraps), chunks=1, ciphertext=ciphertext_digest(chunks)
    )

    with pytest.raises(MalformedMessage, match="are no values"):
        opened("delta", envelope, chunks)


def test_a_shorter_model_is_refused():
    """Sealed and signed as one of these shapes, and with a value less."""
    envelope, chunks = seal(PLAN, made.roster(), "amber", MODEL, VECTOR[:-1])

    with pytest.raises(MalformedMessage, match="199999 values"):
        opened("delta", envelope, chunks)


def test_what_is_sent_is_what_the_envelope_says():
    """It is sealed twice, under one key: once for the digest, and once for the wire."""
    again, other = sealed()

    assert ciphertext_digest(CHUNKS) == ENVELOPE.ciphertext
    assert (len(CHUNKS), sum(map(len, CHUNKS))) == (ENVELOPE.chunks, ENVELOPE.length)
    assert again.ciphertext == ciphertext_digest(other) != ENVELOPE.ciphertext


@pytest.mark.parametrize(
    "members", [{"round": 2}, {"plan": "e" * 64}, {"federation": "other"}, {"model": "e" * 64}]
)
def test_a_wrap_opens_in_its_own_context_only(members):
    """A content key of one round is none of the next."""
    with pytest.raises(MalformedMessage):
        opened("delta", replaced(ENVELOPE, **members))


def test_an_openers_envelope_is_accepted():
    """The control."""
    assert check(ENVELOPE) == ENVELOPE


def test_the_envelope_of_a_member_that_is_no_opener_is_refused():
    """Delta trains, and opens nothing."""
    with pytest.raises(WrongContext, match="delta is no opener"):
        check(replaced(ENVELOPE, sealer="delta"), "delta")


def test_an_envelope_that_its_sealer_did_not_sign_is_refused():
    """Birch cannot seal in the name of amber."""
    with pytest.raises(InvalidSignature):
        check(ENVELOPE, "birch")


@pytest.mark.parametrize(
    "members",
    [
        {"round": 2},
        {"plan": "e" * 64},
        {"federation": "other"},
        {"sum": "e" * 64},
        {"roster": "e" * 64},
    ],
)
def test_an_envelope_of_something_else_is_refused(members):
    """Another round's, plan's, sum's or roster's."""
    with pytest.raises(WrongContext):
        check(replaced(ENVELOPE, **members))


RELEASE = release_of(ENVELOPE, COHORT, PLAN.terms.model)


def released(*signers, record=RELEASE):
    return agree.check_release(made.signed_by(record, *signers), PLAN, made.roster())


def test_two_of_three_openers_make_a_release():
    """Any two."""
    assert released("amber", "cedar") == released("birch", "cedar") == RELEASE


@pytest.mark.parametrize("signers", [("amber",), ("amber", "delta"), ("delta", "watch")])
def test_fewer_openers_make_none(signers):
    """Others' signatures do not count, however many."""
    with pytest.raises(InvalidSignature, match="2 are needed"):
        released(*signers)


def test_a_wrong_signature_among_enough_is_refused():
    """It is evidence, not noise."""
    whole = made.signed_by(RELEASE, *made.OPENERS)
    forged = Signed(whole.body, {**whole.signatures, "birch": whole.signatures["amber"]})

    with pytest.raises(InvalidSignature):
        agree.check_release(forged, PLAN, made.roster())


def test_signatures_of_another_kind_do_not_count():
    """An opener's signature on bytes is for one purpose."""
    body = made.encoded(RELEASE)
    wrong = {n: sign(made.keys(n).signing, Purpose.SEALED_MODEL, body) for n in made.OPENERS}

    with pytest.raises(InvalidSignature):
        agree.check_release(Signed(body, wrong), PLAN, made.roster())


@pytest.mark.parametrize(
    "members", [{"round": 2}, {"plan": "e" * 64}, {"previous": "e" * 64}, {"federation": "other"}]
)
def test_a_release_of_another_round_plan_or_model_is_refused(members):
    """Signed by all openers, and not this round's."""
    with pytest.raises(WrongContext):
        released(*made.OPENERS, record=replaced(RELEASE, **members))


def test_openers_outside_of_the_roster_make_no_release():
    """A plan that names a stranger does not make it one."""
    plan = made.plan(openers=("amber", "mallory"))
    record = replaced(RELEASE, plan=plan.digest())
    both = made.signed_by(record, "amber", "mallory")

    with pytest.raises(WrongIdentity):
        agree.check_release(both, plan, made.roster())


def test_the_release_names_its_envelope():
    """So that a second wrap of the same model is another release."""
    again, _ = sealed()

    assert digest_of(again) != digest_of(ENVELOPE)
    assert release_of(again, COHORT, PLAN.terms.model) != RELEASE


def test_members_are_what_the_roster_says():
    """Guards this file's own premise: the auditor has a sealing key, and no wrap."""
    watch = made.roster().member("watch")

    assert isinstance(watch, Member)
    assert len(watch.sealing_key) == len(made.roster().member("amber").sealing_key)
    assert "watch" not in {wrap.participant for wrap in ENVELOPE.wraps}
