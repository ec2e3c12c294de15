"""What is signed when somebody asks to be enrolled or certified again: every field counts."""

import pytest
from msgspec.structs import replace

from privacy.canonical import decode, encode
from privacy.enrolment import (
    CLOCKS_APART_SECONDS,
    LONGEST_REQUEST,
    Asked,
    Proven,
    Renewal,
    authority_fingerprint,
    token_digest,
)
from privacy.errors import InvalidSignature, MalformedMessage
from privacy.roster import Role
from privacy.signing import Purpose, sign
from tests.privacy.example_round import NAMES, member, public_bytes, signing_key

WHO = NAMES[0]
KEY = signing_key(WHO)
PUBLIC = public_bytes(KEY)
ASKED = Asked("a1" * 32, "b2" * 32, member(WHO), "-----BEGIN CERTIFICATE REQUEST-----")
RENEWAL = Renewal("a1" * 32, WHO, "-----BEGIN CERTIFICATE REQUEST-----", 1_795_000_000)

OTHER_ASKED = {
    "authority": "c3" * 32,
    "invitation": "c3" * 32,
    "entry": replace(member(WHO), roles=(Role.AUDITOR,)),
    "request": "another",
}
OTHER_RENEWAL = {
    "authority": "c3" * 32,
    "participant": NAMES[1],
    "request": "another",
    "at_seconds": 1_795_000_001,
}


def test_a_request_is_proved_by_its_entrys_own_key() -> None:
    """The positive control of the refusals below."""
    ASKED.check(sign(KEY, Purpose.ENROL, ASKED.body()))
    RENEWAL.check(PUBLIC, sign(KEY, Purpose.RENEW, RENEWAL.body()), RENEWAL.at_seconds)


@pytest.mark.parametrize("field", OTHER_ASKED)
def test_every_field_of_a_request_is_signed_and_in_the_words(field: str) -> None:
    """A proof for one coordinator, link, entry or TLS key is none for another."""
    proof = sign(KEY, Purpose.ENROL, ASKED.body())
    other = replace(ASKED, **{field: OTHER_ASKED[field]})

    with pytest.raises(InvalidSignature):
        other.check(proof)
    assert other.digest() != ASKED.digest()
    assert other.words() != ASKED.words()


@pytest.mark.parametrize("field", OTHER_RENEWAL)
def test_every_field_of_a_renewal_is_signed(field: str) -> None:
    """Or one that was overheard would certify another key."""
    proof = sign(KEY, Purpose.RENEW, RENEWAL.body())

    with pytest.raises(InvalidSignature):
        replace(RENEWAL, **{field: OTHER_RENEWAL[field]}).check(PUBLIC, proof, RENEWAL.at_seconds)


def test_a_proof_of_one_kind_is_none_of_another() -> None:
    """A signature says what it is for."""
    with pytest.raises(InvalidSignature):
        ASKED.check(sign(KEY, Purpose.RENEW, ASKED.body()))
    with pytest.raises(InvalidSignature):
        RENEWAL.check(PUBLIC, sign(KEY, Purpose.ENROL, RENEWAL.body()), RENEWAL.at_seconds)


def test_another_key_proves_nothing() -> None:
    """It is the entry's own that must sign."""
    with pytest.raises(InvalidSignature):
        ASKED.check(sign(signing_key(NAMES[1]), Purpose.ENROL, ASKED.body()))


@pytest.mark.parametrize("apart", [-CLOCKS_APART_SECONDS, 0, CLOCKS_APART_SECONDS])
def test_clocks_may_be_five_minutes_apart(apart: int) -> None:
    """Either way."""
    proof = sign(KEY, Purpose.RENEW, RENEWAL.body())

    RENEWAL.check(PUBLIC, proof, RENEWAL.at_seconds + apart)


@pytest.mark.parametrize("apart", [-CLOCKS_APART_SECONDS - 1, CLOCKS_APART_SECONDS + 1])
def test_a_renewal_of_another_time_is_none(apart: int) -> None:
    """One that was overheard is worth nothing later."""
    proof = sign(KEY, Purpose.RENEW, RENEWAL.body())

    with pytest.raises(InvalidSignature, match="set the clock"):
        RENEWAL.check(PUBLIC, proof, RENEWAL.at_seconds + apart)


def test_a_request_has_four_words_that_anybody_computes_alike() -> None:
    """The member shows them, the operator compares them."""
    words = ASKED.words()

    assert len(words.split()) == 4
    assert decode(encode(ASKED), Asked).words() == words


def test_a_request_is_for_an_entry_whatever_its_roles() -> None:
    """Roles are for members to admit; all else of the entry is what the member has asked."""
    proven = Proven(ASKED, sign(KEY, Purpose.ENROL, ASKED.body()))

    proven.check()
    assert proven.is_for(replace(member(WHO), roles=(Role.PARTICIPANT,)))
    for changed in (
        {"participant": "another"},
        {"organisation": "Another"},
        {"payout_address": "0x" + "11" * 20},
        {"signing_key": member(NAMES[1]).signing_key},
        {"sealing_key": member(NAMES[1]).sealing_key},
    ):
        assert not proven.is_for(replace(member(WHO), **changed))


def test_a_request_that_is_too_long_is_none() -> None:
    """It comes from whoever has a link, before anything is proved."""
    long = replace(ASKED, request="r" * (LONGEST_REQUEST + 1))

    with pytest.raises(MalformedMessage):
        decode(encode(long), Asked)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_token_has_32_bytes(size: int) -> None:
    """Whatever else comes is no name of an invitation."""
    with pytest.raises(MalformedMessage, match="32 bytes"):
        token_digest(bytes(size))


def test_an_authority_is_named_by_sha_256() -> None:
    """Of `abc`, as NIST's example for SHA-256 has it (FIPS 180-4)."""
    assert authority_fingerprint(b"abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
