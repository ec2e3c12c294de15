"""What is checked at the door, by itself: no store, no clock, no round."""

import pytest
from msgspec.structs import replace

from coordinator.rounds import plan as planning
from coordinator.rounds import verify
from privacy.documents import Signed
from privacy.errors import InvalidSignature, MalformedMessage, WrongContext, WrongIdentity
from privacy.identifiers import sha256_hex
from privacy.records import Release, Wrap, digest_of, release_of
from tests import fakes
from tests.coordinator import seated_federation, seated_round
from tests.coordinator.seated_federation import PART_BYTES

PLAN, ROSTER, SETTINGS = fakes.make_plan(), fakes.make_roster(), fakes.make_settings()
NAME, TOTAL = fakes.OPENERS[0], "ab" * 32
HEADER = fakes.contribution(PLAN, NAME)
ENVELOPE = fakes.envelope(PLAN, ROSTER, TOTAL, NAME)
RELEASE = release_of(ENVELOPE, "cd" * 32, "ef" * 32)
WRAPS = fakes.wraps(ENVELOPE, ROSTER, NAME, fakes.SITES[3])


def check(kind, signed, sender=NAME):
    """Check `signed` as what `kind` names."""
    if kind == "contribution":
        return verify.contribution(signed, sender, PLAN, ROSTER)
    if kind == "envelope":
        return verify.envelope(signed, sender, TOTAL, PLAN, ROSTER)
    if kind == "release":
        return verify.release(signed, sender, ROSTER)
    if kind == "wraps":
        return verify.wraps(signed, sender, digest_of(ENVELOPE), ROSTER)
    _, public, sealed = fakes.key_offer(SETTINGS, ROSTER, 1, NAME)
    specification = planning.key_specification(SETTINGS, ROSTER)
    return verify.key_offer(signed, sender, public, sealed, specification, ROSTER)


GOOD = {
    "contribution": fakes.signed_by(NAME, HEADER),
    "envelope": fakes.signed_by(NAME, ENVELOPE),
    "release": fakes.signed_by(NAME, RELEASE),
    "wraps": fakes.signed_by(NAME, WRAPS),
    "key": fakes.key_offer(SETTINGS, ROSTER, 1, NAME)[0],
}
KINDS = sorted(GOOD)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_is_returned_as_what_it_says(kind):
    checked = check(kind, GOOD[kind])

    assert checked in (HEADER, ENVELOPE, RELEASE, WRAPS) or checked.maker == NAME


@pytest.mark.parametrize("kind", KINDS)
def test_no_signature_is_as_bad_as_a_wrong_one(kind):
    body, made = GOOD[kind].body, GOOD[kind].signatures[NAME]

    for signatures in ({}, {NAME: b""}, {NAME: made[::-1]}, {fakes.SITES[1]: made}):
        with pytest.raises(InvalidSignature):
            check(kind, Signed(body, signatures))


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_breaks_the_signature(kind):
    body = GOOD[kind].body.replace(b'"round":1', b'"round":2')

    with pytest.raises(InvalidSignature):
        check(kind, Signed(body, GOOD[kind].signatures))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_has_no_key_to_check_with(kind):
    with pytest.raises(WrongIdentity):
        check(kind, GOOD[kind], "stranger")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_signature_for_one_purpose_is_none_for_another(kind, other):
    if kind != other:
        with pytest.raises((InvalidSignature, MalformedMessage)):
            check(kind, GOOD[other])


def test_a_release_is_signed_by_its_signer_alone():
    assert isinstance(check("release", GOOD["release"]), Release)

    with pytest.raises(InvalidSignature):
        check("release", GOOD["release"], fakes.OPENERS[1])


def test_the_seals_that_a_header_names_are_its_own_and_no_others():
    """The digests decide: seals of another site, or of another plan, are not these."""
    seals = fakes.mask_seals(PLAN, fakes.seed_of(NAME, 1))
    others = [
        fakes.mask_seals(PLAN, fakes.seed_of(fakes.SITES[1], 1)),
        fakes.mask_seals(fakes.make_plan(number=2), fakes.seed_of(NAME, 1)),
        (),
    ]

    verify.seals(HEADER, seals, ())
    for other in others:
        with pytest.raises(MalformedMessage, match="not the sealed masks that it has signed"):
            verify.seals(HEADER, other, ())


@pytest.mark.parametrize("length", [0, 1167, 1169])
def test_a_seal_has_the_length_of_a_sealed_secret(length):
    seals = (bytes(1168), bytes(1168), bytes(length))
    named = fakes.contribution(PLAN, NAME, masks=fakes.named_seals(fakes.OPENERS, seals))

    with pytest.raises(MalformedMessage, match="1168 bytes"):
        verify.seals(named, seals, ())


def wraps_for(*names, length=1168):
    """Return wraps for members, of the right length if not said otherwise."""
    return {"wraps": tuple(Wrap(name, bytes(length)) for name in names)}


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"federation": "cardiology"}, WrongContext),
        ({"sealed_model": "ee" * 32}, WrongContext),
        ({"roster": "ee" * 32}, WrongContext),
        ({"maker": fakes.SITES[1]}, WrongIdentity),
        (wraps_for(fakes.AUDITOR), WrongContext),
        (wraps_for(fakes.SITES[0], "stranger"), WrongContext),
        (wraps_for(), MalformedMessage),
        (wraps_for(fakes.SITES[0], fakes.SITES[0]), MalformedMessage),
        (wraps_for(fakes.SITES[1], fakes.SITES[0]), MalformedMessage),
        (wraps_for(fakes.SITES[0], length=1167), MalformedMessage),
        (wraps_for(fakes.SITES[0], length=0), MalformedMessage),
    ],
)
def test_wraps_are_for_trainers_of_this_roster_and_of_this_model(other, error):
    """A content key is told to who may open the model, and the coordinator stores no more."""
    made = fakes.wraps(ENVELOPE, ROSTER, NAME, fakes.SITES[3], **other)

    with pytest.raises(error):
        check("wraps", fakes.signed_by(NAME, made))


def test_wraps_of_who_is_no_trainer_are_refused():
    """An auditor has no content key to give."""
    made = fakes.wraps(ENVELOPE, ROSTER, fakes.AUDITOR, fakes.SITES[3])

    with pytest.raises(WrongIdentity, match="a trainer sends its own"):
        check("wraps", fakes.signed_by(fakes.AUDITOR, made), fakes.AUDITOR)


def test_every_trainer_may_be_wrapped_to():
    everybody = fakes.wraps(ENVELOPE, ROSTER, NAME, *fakes.SITES)

    assert check("wraps", fakes.signed_by(NAME, everybody)) == everybody


# -- under shares ----------------------------------------------------------------------

SEATED_ROSTER = seated_round.make_roster()
SEATED_PLAN = planning.plan(
    seated_federation.make_settings(),
    SEATED_ROSTER,
    1,
    None,
    "ab" * 32,
    None,
    seated_round.STARTS,
)
SHARED = seated_federation.header(SEATED_PLAN, NAME)
PARTS = seated_federation.parts(SEATED_PLAN, NAME)
(PIECE,) = SHARED.pieces


def check_shared(header):
    return verify.contribution(fakes.signed_by(NAME, header), NAME, SEATED_PLAN, SEATED_ROSTER)


def test_a_contribution_under_shares_is_returned_as_what_it_says():
    assert check_shared(SHARED) == SHARED
    verify.seals(SHARED, (), PARTS)


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"federation": "cardiology"}, WrongContext),
        ({"plan": "0" * 64}, WrongContext),
        ({"round": 2}, WrongContext),
        ({"participant": fakes.SITES[1]}, WrongIdentity),
        ({"pieces": ()}, MalformedMessage),
        ({"pieces": (PIECE, PIECE)}, MalformedMessage),
        ({"pieces": (replace(PIECE, recipient="coordinator"),)}, MalformedMessage),
        ({"pieces": (replace(PIECE, scheme="ckks/1"),)}, MalformedMessage),
        ({"pieces": (replace(PIECE, chunks=3),)}, MalformedMessage),
        ({"pieces": (replace(PIECE, length=PIECE.length + 8),)}, MalformedMessage),
        ({"seals": SHARED.seals[::-1]}, MalformedMessage),
        ({"seals": (SHARED.seals[0],) * 3}, MalformedMessage),
    ],
)
def test_a_contribution_under_shares_that_is_not_the_plans_is_refused(other, error):
    with pytest.raises(error):
        check_shared(replace(SHARED, **other))


def test_headers_of_two_schemes_do_not_pass_for_each_other():
    with pytest.raises((InvalidSignature, MalformedMessage)):
        check_shared(HEADER)
    with pytest.raises((InvalidSignature, MalformedMessage)):
        verify.contribution(fakes.signed_by(NAME, SHARED), NAME, PLAN, ROSTER)


@pytest.mark.parametrize(
    ("masks", "parts"),
    [((), ()), ((), PARTS[::-1]), ((), PARTS[:2]), (PARTS, ()), ((b"x",), PARTS)],
)
def test_seals_to_seats_are_those_that_the_header_names_and_nothing_else(masks, parts):
    with pytest.raises(MalformedMessage, match="not the sealed parts"):
        verify.seals(SHARED, masks, parts)


@pytest.mark.parametrize("length", [0, PART_BYTES - 1, PART_BYTES + 1])
def test_a_seal_to_a_seat_has_the_length_of_two_secrets_and_a_word(length):
    """Nothing else is stored for a site beside what it contributes."""
    parts = (*PARTS[:2], bytes(length))
    seals = (*SHARED.seals[:2], replace(SHARED.seals[2], sealed=sha256_hex(parts[2])))

    with pytest.raises(MalformedMessage, match=f"a sealed part has {PART_BYTES} bytes"):
        verify.seals(replace(SHARED, seals=seals), (), parts)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"round":0}', b'{"round":"1"}', b"\xff", b"[" * 100_000]
)
def test_a_header_that_names_no_round_is_refused(body):
    with pytest.raises(MalformedMessage, match="names no round"):
        verify.round_of(Signed(body, {}))
