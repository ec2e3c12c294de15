"""The cohort key travels sealed, to its openers alone, and counts only when they vouch."""

import msgspec
import pytest

from participant.opening import keying
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    UnsafeParameters,
    WrongContext,
    WrongIdentity,
)
from privacy.identifiers import sha256_hex
from privacy.records import SealedSecret, digest_of
from privacy.sealing import HpkeKeyPair
from tests.participant import signed_round as made

RECORD, SEALED = made.sealed_key(1)
PUBLIC = made.cohort_key().public


def changed(**members):
    return msgspec.structs.replace(RECORD, **members)


def check(record, *signers, number=1, public=PUBLIC):
    signed = made.signed_by(record, *(signers or (record.maker,)))
    return keying.check_record(signed, number, public, made.roster())


def vouched(plan, record, *signers, public=PUBLIC):
    signed = made.signed_by(record, *signers)
    return keying.check_vouched(signed, plan, public, made.roster())


@pytest.mark.parametrize("opener", made.OPENERS)
def test_every_opener_unseals_the_secret_the_maker_too(opener):
    """The maker keeps no copy: it unseals its own."""
    sealed = SEALED[made.OPENERS.index(opener)]

    secret = keying.unseal(RECORD, sealed, opener, made.keys(opener).sealing, made.roster())

    assert secret == made.cohort_key().secret


def test_the_secret_is_in_neither_record_nor_seals():
    """The coordinator stores both."""
    secret = made.cohort_key().secret
    stored = made.encoded(RECORD) + b"".join(SEALED)

    assert not [at for at in range(20, len(secret) - 16, 64) if secret[at : at + 16] in stored]


@pytest.mark.parametrize(
    ("opener", "pair", "words"),
    [
        ("birch", made.keys("cedar").sealing, "does not open"),
        ("birch", HpkeKeyPair(bytes(32)), "does not open"),
        ("delta", made.keys("delta").sealing, "no secret is sealed to delta"),
        ("watch", made.keys("watch").sealing, "no secret is sealed to watch"),
    ],
)
def test_nobody_else_unseals(opener, pair, words):
    """Another key, or none of the openers."""
    with pytest.raises((MalformedMessage, WrongContext), match=words):
        keying.unseal(RECORD, SEALED[1], opener, pair, made.roster())


def test_another_openers_seal_is_not_taken():
    """The record names each seal by its hash."""
    with pytest.raises(MalformedMessage, match="not the sealed secret the record names"):
        keying.unseal(RECORD, SEALED[0], "birch", made.keys("birch").sealing, made.roster())


@pytest.mark.parametrize("members", [{"round": 2}, {"public_key": "4" * 64}])
def test_a_seal_opens_in_its_own_context_only(members):
    """A secret of one round, put under another round's or key's record, stays closed."""
    moved = changed(**members)

    with pytest.raises(MalformedMessage, match="does not open"):
        keying.unseal(moved, SEALED[0], "amber", made.keys("amber").sealing, made.roster())


def test_a_record_that_its_maker_signed_is_accepted():
    """The control."""
    assert check(RECORD) == RECORD


def test_a_record_that_its_maker_did_not_sign_is_refused():
    """Another opener's signature does not make it the maker's."""
    with pytest.raises(InvalidSignature):
        check(RECORD, "birch")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"round": 2}, WrongContext),
        ({"federation": "cardiology"}, WrongContext),
        ({"specification": made.specification(roster="1" * 64)}, WrongContext),
        ({"maker": "delta"}, WrongContext),
        ({"public_key": "1" * 64}, MalformedMessage),
    ],
)
def test_a_record_of_something_else_is_refused(members, error):
    """Signed, but not for this round, roster or key."""
    with pytest.raises(error):
        check(changed(**members))


def test_another_public_key_beside_the_record_is_refused():
    """The coordinator hands out the key; a swapped one would be its own."""
    with pytest.raises(MalformedMessage, match="not the public key"):
        check(RECORD, public=PUBLIC[:-1] + bytes([PUBLIC[-1] ^ 1]))


def test_a_maker_outside_of_the_roster_is_refused():
    """An opener is a member."""
    openers = ("amber", "birch", "mallory")
    record = changed(maker="mallory", specification=made.specification(openers=openers))

    with pytest.raises(WrongIdentity):
        keying.check_record(made.signed_by(record, "amber"), 1, PUBLIC, made.roster())


def test_more_than_half_of_the_openers_must_vouch():
    """One of three is the maker's own word."""
    plan = made.plan()

    with pytest.raises(InvalidSignature, match="1 signatures, 2 are needed"):
        vouched(plan, RECORD, "amber")
    with pytest.raises(InvalidSignature, match="1 signatures, 2 are needed"):
        vouched(plan, RECORD, "amber", "delta")
    assert vouched(plan, RECORD, "amber", "cedar") == RECORD


def test_half_is_not_more_than_half():
    """Of four openers, two are not enough."""
    openers = made.TRAINERS
    wanted = made.specification(openers=openers)
    pair = made.cohort_key()
    record, _ = keying.seal_key(1, "amber", wanted, made.roster(), pair.public, pair.secret)
    plan = made.plan(openers=openers, agreement=3, key_record=digest_of(record))

    with pytest.raises(InvalidSignature, match="2 signatures, 3 are needed"):
        vouched(plan, record, "amber", "birch")
    assert vouched(plan, record, "amber", "birch", "delta") == record


def test_a_wrong_signature_among_enough_is_refused():
    """Somebody forges; it is not overlooked."""
    signed = made.signed_by(RECORD, *made.OPENERS)
    forged = {**signed.signatures, "cedar": signed.signatures["amber"]}

    with pytest.raises(InvalidSignature):
        keying.check_vouched(type(signed)(signed.body, forged), made.plan(), PUBLIC, made.roster())


def test_the_record_of_another_plan_is_refused():
    """However many openers vouch for it."""
    plan = made.plan(key_record="5" * 64)

    with pytest.raises(WrongContext, match="another key record"):
        vouched(plan, RECORD, *made.OPENERS)


def test_a_key_for_other_openers_is_refused():
    """Whoever may open is who the plan says."""
    wanted = made.specification(openers=("amber", "birch", "delta"))
    record = changed(specification=wanted)
    plan = made.plan(key_record=digest_of(record))

    with pytest.raises(WrongContext, match="another key record"):
        vouched(plan, record, "amber", "birch")


def test_a_key_for_other_parameters_is_refused():
    """A larger scale could wrap; a smaller one could show the noise."""
    record = changed(specification=made.specification(scale_log2=made.PARAMETERS.scale_log2 - 1))
    plan = made.plan(key_record=digest_of(record))

    with pytest.raises(WrongContext, match="other parameters"):
        vouched(plan, record, *made.OPENERS)


def test_parameters_that_would_wrap_are_refused():
    """They are checked as they are read, whoever ordered them."""
    with pytest.raises(UnsafeParameters):
        keying.parameters_of(made.specification(scale_log2=made.PARAMETERS.scale_log2 + 1))


@pytest.mark.parametrize(
    "named",
    [
        made.OPENERS[:2],
        (*made.OPENERS, "delta"),
        ("amber", "birch", "delta"),
        ("birch", "amber", "cedar"),
    ],
)
def test_recipients_are_the_openers_and_nobody_else(named):
    """A maker that seals the secret to one more has let somebody in."""
    secrets = tuple(SealedSecret(name, sha256_hex(name.encode())) for name in named)

    with pytest.raises(WrongContext, match="alone"):
        keying.check_recipients(changed(secrets=secrets))


def test_the_makers_recipients_pass():
    """The control."""
    keying.check_recipients(RECORD)
