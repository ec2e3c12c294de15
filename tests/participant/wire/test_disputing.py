"""Letters of a dispute: signed by who writes, opened by who is meant, about one case."""

import msgspec
import pytest

from participant.wire.disputing import (
    Case,
    Shown,
    Wanted,
    ask,
    check_statement,
    component_between,
    join,
    read_ask,
    read_shown,
    show,
    split,
)
from participant.wire.letters import LONGEST_BODY
from privacy import canonical
from privacy.documents import Signed, pack, unpack
from privacy.errors import InvalidSignature, MalformedMessage, WrongContext
from privacy.records import digest_of
from privacy.schemes.shares.evidence import MOST_CHUNKS, ChunkRoots, LeafHashes
from privacy.sealing import HpkeKeyPair
from privacy.signing import Purpose, sign
from tests.participant import at_dispute as at
from tests.participant import shared_round as shared
from tests.participant import signed_round as made

LIED = at.lied_about(1)
CASE = Case(
    federation=made.FEDERATION,
    round=1,
    plan=LIED.plan.digest(),
    cohort=digest_of(LIED.cohort),
    component=1,
    seat=at.ELM,
    auditor=made.WATCH,
)
NODES = tuple(bytes([each]) * 32 for each in range(3))
ROOTS, HASHES = ChunkRoots(NODES), LeafHashes(NODES)


def member(name):
    return shared.roster().member(name)


def shown(case=CASE, wanted=None, site=None, shows=ROOTS, key=at.ELM):
    key = made.keys(key).signing
    return show(case, wanted or Wanted(), site, shows, member(made.WATCH), key)


def opened(body, case=CASE):
    return read_shown(body, case, made.keys(made.WATCH).sealing, member(at.ELM))


@pytest.mark.parametrize("wanted", [Wanted(), Wanted(3), Wanted(3, 0)])
def test_a_question_is_read_as_it_was_asked(wanted):
    letter = ask(CASE, wanted, made.keys(made.WATCH).signing)

    assert read_ask(letter, CASE, member(made.WATCH)) == wanted
    assert ask(CASE, wanted, made.keys(made.WATCH).signing) == letter


def test_a_leaf_of_no_chunk_cannot_be_wanted():
    """Its place would be two at once."""
    with pytest.raises(MalformedMessage, match="leaf 3 of no chunk"):
        Wanted(None, 3)


def test_an_answer_is_opened_by_the_auditor_and_says_of_whom_it_is():
    assert opened(shown()) == (Wanted(), None, ROOTS)
    assert opened(shown(wanted=Wanted(2), site="amber", shows=HASHES)) == (
        Wanted(2),
        "amber",
        HASHES,
    )


@pytest.mark.parametrize("change", ["round", "cohort", "plan", "component", "seat", "auditor"])
def test_what_is_shown_of_one_case_is_nothing_in_another(change):
    """Signature and seal are bound to all of it."""
    other = {"round": 2, "component": 2, "seat": at.FERN, "auditor": "amber"}.get(change, "ab" * 32)
    elsewhere = msgspec.structs.replace(CASE, **{change: other})

    with pytest.raises((WrongContext, InvalidSignature)):
        opened(shown(), elsewhere)


def test_a_seal_does_not_open_at_another_place():
    """Who relays letters cannot put one answer in the place of another, nor can another seat."""
    body, sealed = split(shown(wanted=Wanted(2), shows=HASHES))
    claims = canonical.encode(
        msgspec.structs.replace(canonical.decode(body.body, Shown), site="amber")
    )
    moved = Signed(claims, {at.ELM: sign(made.keys(at.ELM).signing, Purpose.DISPUTE, claims)})

    with pytest.raises(MalformedMessage, match="does not open"):
        opened(join(moved, sealed))


def test_another_seal_than_the_signed_one_is_refused():
    """A seal can be made by anybody; who made this one is said by the signature."""
    signed, _ = split(shown())
    _, another = split(shown())

    with pytest.raises(MalformedMessage, match="another seal"):
        opened(join(signed, another))


def test_only_the_auditor_opens_what_is_shown():
    with pytest.raises(MalformedMessage, match="does not open"):
        read_shown(shown(), CASE, HpkeKeyPair(b"s" * 32), member(at.ELM))


def test_an_answer_that_another_signed_is_refused():
    with pytest.raises(InvalidSignature):
        opened(shown(key=at.FERN))


def test_an_answer_of_another_kind_than_was_wanted_is_refused():
    """Roots where hashes were wanted would be read as something they are not."""
    with pytest.raises(MalformedMessage):
        opened(shown(wanted=Wanted(2), shows=ROOTS))


def test_a_question_is_no_answer_and_an_answer_no_question():
    """Both are signed for a dispute; what they are is part of what is signed."""
    same = msgspec.structs.replace(CASE, auditor=at.ELM)
    letter = ask(same, Wanted(), made.keys(at.ELM).signing)
    signed, _ = split(shown(same))

    with pytest.raises(MalformedMessage):
        opened(join(unpack(letter), b""), same)
    with pytest.raises(MalformedMessage):
        read_ask(pack(signed), same, member(at.ELM))


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x09short"])
def test_a_letter_that_is_cut_is_refused(body):
    with pytest.raises(MalformedMessage):
        split(body)


def test_the_longest_list_of_roots_fits_into_a_letter():
    """A plan of more chunks is refused: its disputes could not be settled."""
    roots = ChunkRoots(tuple(each.to_bytes(32, "big") for each in range(MOST_CHUNKS)))

    letter = shown(shows=roots)

    assert len(letter) <= LONGEST_BODY
    assert opened(letter)[2] == roots


def test_a_statement_of_what_a_seat_does_not_hold_is_refused():
    """Its root would be taken for that of another component."""
    statement = LIED.stated[0].statement
    first, second = statement.sums
    swapped = msgspec.structs.replace(statement, sums=(second, first))

    with pytest.raises(MalformedMessage, match="does not hold"):
        check_statement(
            LIED.plan, shared.roster(), at.ELM, CASE.cohort, made.signed_by(swapped, at.ELM)
        )


def test_two_seats_share_one_component():
    assert component_between(LIED.plan, (at.FERN, at.ELM)) == 1
    for others in ((), (at.ELM,), (at.ELM, at.ELM), (at.ELM, "amber"), shared.SEATS):
        with pytest.raises(WrongContext):
            component_between(LIED.plan, others)
