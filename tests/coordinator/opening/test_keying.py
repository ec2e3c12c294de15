"""Keys: of whom they are taken, and what is refused."""

import hashlib

import pytest

from coordinator.rounds.state import Phase
from privacy.errors import (
    IllegalEvent,
    InvalidSignature,
    MalformedMessage,
    NotYet,
    WrongContext,
    WrongIdentity,
)
from privacy.signing import Purpose, sign
from tests import fakes
from tests.fakes import (
    OPENERS,
    SITES,
    key_offer,
    signing_key,
)

OTHER_DIGEST = "ee" * 32


@pytest.fixture
def keying(federation):
    federation.tick()
    return federation


def stored(federation):
    return federation.objects.names("rounds")


def test_a_key_out_of_turn_is_refused_before_it_takes_room(keying):
    with pytest.raises(IllegalEvent, match="turn"):
        keying.offer_key(OPENERS[1])

    assert stored(keying) == []


def test_a_second_key_of_the_same_turn_is_refused_before_it_takes_room(keying):
    keying.offer_key()
    before = stored(keying)
    offer = key_offer(keying.settings, keying.roster, 1, OPENERS[0])
    public = b"\x02" * len(offer[1])
    other = key_offer(
        keying.settings, keying.roster, 1, OPENERS[0], public_key=hashlib.sha256(public).hexdigest()
    )

    with pytest.raises(IllegalEvent, match="has a key record already"):
        keying.service.keying.offer(OPENERS[0], other[0], public, other[2])

    assert stored(keying) == before


def test_the_same_key_again_changes_nothing(keying):
    keying.offer_key()
    before = keying.round()

    keying.offer_key()

    assert keying.round() == before


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"maker": OPENERS[1]}, WrongIdentity),
        ({"federation": "cardiology"}, WrongContext),
        ({"public_key": OTHER_DIGEST}, MalformedMessage),
        ({"secrets": ()}, MalformedMessage),
        ({"round": 7}, NotYet),
    ],
)
def test_a_key_record_of_something_else_is_refused(keying, other, error):
    record, public, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0], **other)
    named = record.signatures.get(OPENERS[0]) or record.signatures[other.get("maker", OPENERS[0])]
    mine = type(record)(record.body, {OPENERS[0]: named})

    with pytest.raises(error):
        keying.service.keying.offer(OPENERS[0], mine, public, sealed)

    assert stored(keying) == []


def test_a_key_for_another_specification_is_refused(keying):
    other = fakes.make_settings(openers=OPENERS[:2])
    offer = key_offer(other, keying.roster, 1, OPENERS[0])

    with pytest.raises(WrongContext, match="another specification"):
        keying.service.keying.offer(OPENERS[0], *offer)


@pytest.mark.parametrize("sealed", [(), (b"a",), (b"a", b"b", b"c", b"d")])
def test_sealed_secrets_other_than_those_recorded_are_refused(keying, sealed):
    record, public, _ = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    with pytest.raises(MalformedMessage):
        keying.service.keying.offer(OPENERS[0], record, public, sealed)


def test_a_key_larger_than_keys_are_is_refused_before_it_takes_room(keying):
    record, public, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    with pytest.raises(MalformedMessage, match="a public key of"):
        keying.service.keying.offer(OPENERS[0], record, public + b"\x00", sealed)
    with pytest.raises(MalformedMessage, match="a sealed secret of more"):
        keying.service.keying.offer(OPENERS[0], record, public, (bytes(1 << 20), *sealed[1:]))

    assert stored(keying) == []


def test_an_openers_secret_is_handed_to_that_opener(keying):
    keying.offer_key()
    _, _, sealed = key_offer(keying.settings, keying.roster, 1, OPENERS[0])

    handed = [keying.service.keying.sealed_secret(1, opener) for opener in OPENERS]

    assert handed == list(sealed)
    assert keying.service.keying.sealed_secret(1, SITES[3]) == b""


def test_a_signature_on_the_key_by_another_key_is_refused(keying):
    keying.offer_key()
    record, _ = keying.service.keying.key(1)
    forged = sign(signing_key(OPENERS[2]), Purpose.KEY_RECORD, record.body)

    with pytest.raises(InvalidSignature):
        keying.service.keying.sign(OPENERS[1], 1, forged)

    assert keying.round().phase is Phase.KEYING


def test_a_refused_key_passes_the_turn(keying):
    keying.offer_key()

    keying.service.refuse(OPENERS[1], 1, "malformed_message")

    assert keying.round().whose_turn() == OPENERS[1]
    with pytest.raises(NotYet):
        keying.service.keying.key(1)


@pytest.mark.parametrize("code", ["", "A", "a b", "x" * 65, "line\nbreak", "\x1b[31m", "naïve"])
def test_a_refusal_without_an_error_code_is_not_taken_and_not_logged(keying, code, capsys):
    """What a peer writes ends up in the operator's log: nothing but a code may."""
    keying.offer_key()

    with pytest.raises(MalformedMessage) as refused:
        keying.service.refuse(OPENERS[1], 1, code)

    assert keying.round().whose_turn() == OPENERS[0]
    assert not code or code not in str(refused.value) or len(code) < 4
    assert "round_refused" not in capsys.readouterr().out


def test_nobody_can_refuse_a_key_that_is_not_there(keying):
    """Otherwise one opener could pass every turn, and halt the programme by itself."""
    with pytest.raises(IllegalEvent):
        keying.service.refuse(OPENERS[2], 1, "malformed_message")
