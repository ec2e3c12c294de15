"""A document counts with the signatures it needs, each by the key of the roster."""

import pytest

from privacy.canonical import encode
from privacy.documents import Signed, check_agreement, check_signer, pack, unpack
from privacy.errors import InvalidSignature, MalformedMessage, WrongIdentity
from privacy.signing import Purpose, sign
from tests.privacy.example_round import OPENERS, RELEASE, roster, signing_key

BODY = encode(RELEASE)
ROSTER = roster()


def signed(*names: str, by: str = "", purpose: Purpose = Purpose.RELEASE) -> Signed:
    """The release, with signatures of `names`, all made with the key of `by` if it is named."""
    return Signed(BODY, {name: sign(signing_key(by or name), purpose, BODY) for name in names})


def key(name: str) -> bytes:
    """The public key that the roster has."""
    return ROSTER.member(name).signing_key


def test_a_document_comes_back_from_the_store_as_it_was_put_there() -> None:
    """The bytes that were signed are kept, not a value that is encoded again."""
    document = signed("birch", "amber")

    stored = pack(document)

    assert unpack(stored) == Signed(BODY, dict(document.signatures))
    assert stored == pack(signed("amber", "birch"))


STORED = pack(signed("amber", "birch"))
FIRST, SECOND = (STORED.index(name) for name in (b"\xa5amber", b"\xa5birch"))


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(STORED[:-1], id="cut short"),
        pytest.param(STORED + b"\xc0", id="something behind it"),
        pytest.param(STORED[:FIRST] + STORED[SECOND:] + STORED[FIRST:SECOND], id="another order"),
        pytest.param(STORED[:SECOND] + STORED[FIRST:SECOND], id="a signer twice"),
        pytest.param(STORED.replace(b"\xa5amber", b"\xd9\x05amber"), id="a longer spelling"),
        pytest.param(STORED.replace(b"\xa5amber", b"\xa5\xff\xffber"), id="a name that is no text"),
        pytest.param(STORED.replace(b"signatures", b"signaturez"), id="another field"),
        pytest.param(b"\x91" * 100_000, id="a hundred thousand lists"),
    ],
)
def test_stored_bytes_that_pack_does_not_make_are_refused(stored: bytes) -> None:
    """A damaged store is said to be damaged, and one document has one form in it."""
    with pytest.raises(MalformedMessage, match="stored document"):
        unpack(stored)


def test_a_signer_is_found_under_its_own_key() -> None:
    """The one case that passes."""
    check_signer(signed("amber"), Purpose.RELEASE, "amber", key("amber"))


@pytest.mark.parametrize(
    "document",
    [
        signed(),
        signed("birch"),
        signed("amber", by="birch"),
        signed("amber", purpose=Purpose.SEALED_MODEL),
        Signed(BODY, {"amber": b""}),
        Signed(BODY[:-1], dict(signed("amber").signatures)),
    ],
)
def test_a_signature_missing_or_of_something_else_is_refused(document: Signed) -> None:
    """Of another member, by another key, for another purpose, of other bytes."""
    with pytest.raises(InvalidSignature):
        check_signer(document, Purpose.RELEASE, "amber", key("amber"))


@pytest.mark.parametrize("names", [("amber", "birch"), ("birch", "cedar"), OPENERS])
def test_enough_openers_agree_whoever_they_are(names: tuple[str, ...]) -> None:
    """One opener may be dead."""
    check_agreement(signed(*names), Purpose.RELEASE, OPENERS, 2, ROSTER)


@pytest.mark.parametrize("names", [(), ("amber",), ("amber", "delta"), ("delta",)])
def test_fewer_openers_do_not_agree(names: tuple[str, ...]) -> None:
    """The signature of who is no opener counts for nothing."""
    with pytest.raises(InvalidSignature, match="2 are needed"):
        check_agreement(signed(*names), Purpose.RELEASE, OPENERS, 2, ROSTER)


def test_an_opener_named_twice_signs_once() -> None:
    """One signature must not become two by a list that repeats a name."""
    with pytest.raises(InvalidSignature, match="1 signatures, 2 are needed"):
        check_agreement(signed("amber"), Purpose.RELEASE, ("amber", "amber"), 2, ROSTER)


def test_a_wrong_signature_among_enough_is_refused() -> None:
    """A document that carries a forgery was not handled by who checks."""
    forged = {**signed(*OPENERS).signatures, "cedar": bytes(64)}

    with pytest.raises(InvalidSignature):
        check_agreement(Signed(BODY, forged), Purpose.RELEASE, OPENERS, 2, ROSTER)


def test_a_signer_outside_of_the_roster_is_nobody() -> None:
    """A key comes from the roster, never from the document."""
    with pytest.raises(WrongIdentity):
        check_agreement(signed("mallory"), Purpose.RELEASE, ("mallory",), 1, ROSTER)
