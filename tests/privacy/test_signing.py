"""A signature is of one document, for one purpose, by one key."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import InvalidSignature
from privacy.signing import Purpose, digest, public_bytes, sign, transcript, verify
from tests.privacy.example_round import signing_key

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "ed25519_rfc8032.json").read_text())
KEY = signing_key("amber")
PUBLIC = public_bytes(KEY)
BODY = b'{"round":1}'
SIGNATURE = sign(KEY, Purpose.COHORT, BODY)
ORDER = 2**252 + 27742317777372353535851937790883648493
fields = st.lists(st.binary(max_size=6), max_size=4)
purposes = st.sampled_from([purpose.value for purpose in Purpose])


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_signatures_are_those_of_rfc_8032(
    case: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An implementer with another library can check what we sign."""
    monkeypatch.setattr("privacy.signing.transcript", lambda _, body: body)
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["secret"]))
    message = bytes.fromhex(case["message"])

    signature = sign(key, Purpose.PLAN, message)

    assert signature.hex() == case["signature"]
    assert public_bytes(key).hex() == case["public"]
    verify(bytes.fromhex(case["public"]), Purpose.PLAN, message, signature)


def test_what_is_signed_is_the_purpose_and_the_body_behind_their_lengths() -> None:
    """The form is final: other implementations rebuild it from docs/protocol.md."""
    tag = b"veilsum/cohort/1"
    signed = b"\0" * 7 + bytes([len(tag)]) + tag + b"\0" * 7 + bytes([len(BODY)]) + BODY

    KEY.public_key().verify(SIGNATURE, signed)

    assert transcript(Purpose.COHORT, BODY) == signed
    assert digest(Purpose.COHORT, BODY) == hashlib.sha256(signed).hexdigest()


@pytest.mark.parametrize("bit", [*range(0, 512, 7), 511])
def test_a_flipped_bit_of_the_signature_is_found(bit: int) -> None:
    """All 64 bytes count."""
    flipped = bytearray(SIGNATURE)
    flipped[bit // 8] ^= 1 << bit % 8

    with pytest.raises(InvalidSignature):
        verify(PUBLIC, Purpose.COHORT, BODY, bytes(flipped))


@pytest.mark.parametrize("bit", range(8 * len(BODY)))
def test_a_flipped_bit_of_the_body_is_found(bit: int) -> None:
    """Nothing of a document is outside of its signature."""
    changed = bytearray(BODY)
    changed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(InvalidSignature):
        verify(PUBLIC, Purpose.COHORT, bytes(changed), SIGNATURE)


def test_a_second_form_of_a_signature_is_refused() -> None:
    """S + L would verify too, if RFC 8032, 5.1.7, did not say to refuse it."""
    scalar = int.from_bytes(SIGNATURE[32:], "little") + ORDER
    second = SIGNATURE[:32] + scalar.to_bytes(32, "little")

    with pytest.raises(InvalidSignature):
        verify(PUBLIC, Purpose.COHORT, BODY, second)


@pytest.mark.parametrize("purpose", [each for each in Purpose if each is not Purpose.COHORT])
def test_a_signature_for_one_purpose_is_none_for_another(purpose: Purpose) -> None:
    """Who signs a receipt must not have signed a release."""
    with pytest.raises(InvalidSignature, match=purpose.value):
        verify(PUBLIC, purpose, BODY, SIGNATURE)


@pytest.mark.parametrize(
    ("public", "signature"),
    [
        (public_bytes(signing_key("birch")), SIGNATURE),
        (PUBLIC, b""),
        (PUBLIC, SIGNATURE[:-1]),
        (PUBLIC, SIGNATURE + b"\0"),
        (PUBLIC[:-1], SIGNATURE),
        (PUBLIC + b"\0", SIGNATURE),
        (b"", SIGNATURE),
        (b"\xff" * 32, SIGNATURE),
    ],
)
def test_another_key_or_what_is_no_signature_is_refused(public: bytes, signature: bytes) -> None:
    """A missing signature is a wrong one, and a key that is none has signed nothing."""
    with pytest.raises(InvalidSignature):
        verify(public, Purpose.COHORT, BODY, signature)


def test_purposes_are_all_different_and_versioned() -> None:
    """Two purposes with one tag would be one purpose."""
    tags = [purpose.value for purpose in Purpose]

    assert len(set(tags)) == len(tags)
    assert all(tag.startswith("veilsum/") and tag.endswith("/1") for tag in tags)


@given(purposes, fields, purposes, fields)
@settings(deadline=None, max_examples=200)
def test_transcripts_are_equal_only_when_all_fields_are(
    purpose: str, one: list[bytes], other_purpose: str, other: list[bytes]
) -> None:
    """A transcript that means two things is a signature on both."""
    same = transcript(purpose, *one) == transcript(other_purpose, *other)

    assert same == ((purpose, one) == (other_purpose, other))


@given(fields, st.integers(0, 30))
@settings(deadline=None, max_examples=200)
def test_a_byte_cannot_move_over_a_field_boundary(parts: list[bytes], cut: int) -> None:
    """Concatenation alone would not see it."""
    joined = b"".join(parts)
    moved = [joined[:cut], joined[cut:]]

    assert (transcript("p", *parts) == transcript("p", *moved)) == (parts == moved)


def test_the_refusal_shows_no_more_of_the_key_than_names_it() -> None:
    """Messages are for logs."""
    with pytest.raises(InvalidSignature) as caught:
        verify(PUBLIC, Purpose.COHORT, b"secret body", SIGNATURE)

    assert PUBLIC.hex()[:16] in str(caught.value)
    assert "secret body" not in str(caught.value)
