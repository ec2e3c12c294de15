"""What is checked at the door, by itself: no store, no clock, no round."""

import pytest

from coordinator import plan as planning
from coordinator import verify
from privacy.documents import Signed
from privacy.errors import InvalidSignature, MalformedMessage, WrongIdentity
from privacy.records import Release, release_of
from tests import fakes

PLAN, ROSTER, SETTINGS = fakes.make_plan(), fakes.make_roster(), fakes.make_settings()
NAME, TOTAL = fakes.OPENERS[0], "ab" * 32
HEADER = fakes.contribution(PLAN, NAME)
ENVELOPE = fakes.envelope(PLAN, ROSTER, TOTAL, NAME)
RELEASE = release_of(ENVELOPE, "cd" * 32, "ef" * 32)


def check(kind, signed, sender=NAME):
    """Check `signed` as what `kind` names."""
    if kind == "contribution":
        return verify.contribution(signed, sender, PLAN, ROSTER)
    if kind == "envelope":
        return verify.envelope(signed, sender, TOTAL, PLAN, ROSTER)
    if kind == "release":
        return verify.release(signed, sender, ROSTER)
    _, public, sealed = fakes.key_offer(SETTINGS, ROSTER, 1, NAME)
    specification = planning.key_specification(SETTINGS, ROSTER)
    return verify.key_offer(signed, sender, public, sealed, specification, ROSTER)


GOOD = {
    "contribution": fakes.signed_by(NAME, HEADER),
    "envelope": fakes.signed_by(NAME, ENVELOPE),
    "release": fakes.signed_by(NAME, RELEASE),
    "key": fakes.key_offer(SETTINGS, ROSTER, 1, NAME)[0],
}
KINDS = sorted(GOOD)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_is_returned_as_what_it_says(kind):
    checked = check(kind, GOOD[kind])

    assert checked in (HEADER, ENVELOPE, RELEASE) or checked.maker == NAME


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
