"""Members admit; the coordinator cannot."""

from base64 import b64encode
from typing import Any

import pytest
from msgspec.structs import replace

from privacy.canonical import encode
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    RosterRefused,
    WrongContext,
    WrongIdentity,
)
from privacy.identifiers import COORDINATOR
from privacy.roster import (
    Role,
    Roster,
    SignedRoster,
    admit,
    check_next,
    check_operators,
    check_sealing_key,
    decode_roster,
    is_founded,
    organisations_of,
)
from privacy.signing import Purpose, sign
from tests.privacy.example_round import (
    NAMES,
    member,
    public_bytes,
    roster,
    signed_roster,
    signing_key,
)

FIRST = roster()
FOUNDED = signed_roster(FIRST, *NAMES)
MAJORITY = NAMES[:3]


def next_roster(**changes: Any) -> Roster:
    """Version 1, the same members unless changed."""
    return replace(FIRST, **{"version": 1, "previous": FIRST.digest(), **changes})


def admitted(*later: SignedRoster) -> Roster:
    """The newest roster after `later` versions."""
    return admit((FOUNDED, *later), FIRST.digest())


def with_member(*more: Any) -> tuple[Any, ...]:
    """The members and some more, sorted."""
    return tuple(sorted((*FIRST.members, *more), key=lambda each: each.participant))


def with_changed(name: str, **changes: Any) -> tuple[Any, ...]:
    """The members, with one entry changed."""
    return tuple(replace(m, **changes) if m.participant == name else m for m in FIRST.members)


def test_all_founding_members_make_version_0() -> None:
    """Everyone has compared the fingerprint and signed."""
    assert admitted() == FIRST
    assert is_founded(FOUNDED)


@pytest.mark.parametrize("missing", NAMES)
def test_without_one_founding_member_there_is_no_federation(missing: str) -> None:
    """A member that never agreed is not a member."""
    signed = signed_roster(FIRST, *(name for name in NAMES if name != missing))

    assert not is_founded(signed)
    with pytest.raises(InvalidSignature):
        admit((signed,), FIRST.digest())


def test_the_coordinators_signature_founds_nothing() -> None:
    """It enrols; its word is not enough."""
    body = encode(FIRST)
    by_coordinator = sign(signing_key(COORDINATOR), Purpose.ROSTER, body)
    signed = SignedRoster(FIRST, dict.fromkeys(NAMES, by_coordinator))

    with pytest.raises(InvalidSignature):
        admit((signed,), FIRST.digest())


def test_another_fingerprint_is_refused() -> None:
    """A coordinator that shows each site another federation is found out by telephone."""
    other = roster(federation="cardiology")

    with pytest.raises(WrongContext, match="compare it"):
        admit((signed_roster(other, *NAMES),), FIRST.digest())
    with pytest.raises(WrongContext):
        admit((), FIRST.digest())


@pytest.mark.parametrize(
    "changed",
    [
        {"coordinator_key": public_bytes(signing_key("mallory"))},
        {"federation": "cardiology"},
        {"members": FIRST.members[:-1]},
        {"members": with_changed("amber", organisation="another")},
        {"members": with_changed("amber", roles=(Role.TRAINER, Role.AUDITOR))},
        {"members": with_changed("amber", sealing_key=b"another")},
        {"members": with_changed("amber", signing_key=b"another")},
        {"members": with_changed("amber", payout_address="0x" + "0" * 40)},
    ],
)
def test_the_fingerprint_is_of_every_field(changed: dict[str, Any]) -> None:
    """What the telephone call compares leaves nothing out."""
    assert roster(**changed).digest() != FIRST.digest()


@pytest.mark.parametrize("signers", [MAJORITY, NAMES, ("birch", "cedar", "delta")])
def test_more_than_half_of_the_trainers_admit_a_member(signers: tuple[str, ...]) -> None:
    """Three of four; which three does not matter."""
    version = next_roster(members=with_member(member("elder")))

    newest = admitted(signed_roster(version, *signers))

    assert newest.member("elder").organisation == "elder hospital"


@pytest.mark.parametrize("signers", [(), NAMES[:1], NAMES[:2]])
def test_half_of_the_trainers_admit_nobody(signers: tuple[str, ...]) -> None:
    """Two of four could be the coordinator's friends on both sides."""
    version = next_roster(members=with_member(member("elder")))

    with pytest.raises(InvalidSignature, match=f"signed by {len(signers)} of 4"):
        admitted(signed_roster(version, *signers))


def test_a_coordinator_cannot_vote_with_sites_that_it_adds() -> None:
    """Sybil sites count only after those before them have admitted them."""
    sybils = [f"sybil-{at}" for at in range(9)]
    version = next_roster(members=with_member(*(member(name) for name in sybils)))

    with pytest.raises(InvalidSignature, match="signed by 1 of 4"):
        admitted(signed_roster(version, "amber", *sybils, COORDINATOR))


def test_a_sybil_that_signs_in_members_names_is_refused() -> None:
    """The name beside a signature proves nothing."""
    version = next_roster(members=with_member(member("sybil")))
    forged = sign(signing_key(COORDINATOR), Purpose.ROSTER, encode(version))

    with pytest.raises(InvalidSignature):
        admitted(SignedRoster(version, dict.fromkeys(NAMES, forged)))


def test_a_new_key_in_a_version_does_not_vouch_for_that_version() -> None:
    """The keys that count are those of the version before."""
    new = {name: signing_key(f"mallory as {name}") for name in NAMES}
    stolen = tuple(replace(m, signing_key=public_bytes(new[m.participant])) for m in FIRST.members)
    version = next_roster(members=stolen)
    by_mallory = {n: sign(key, Purpose.ROSTER, encode(version)) for n, key in new.items()}

    with pytest.raises(InvalidSignature):
        admitted(SignedRoster(version, by_mallory))


def test_no_two_members_have_one_key() -> None:
    """Its holder would have two voices where voices are counted, or read what is another's."""
    for key in ("signing_key", "sealing_key"):
        of_birch = {key: getattr(FIRST.member("birch"), key)}

        with pytest.raises(MalformedMessage, match="amber and birch have one key"):
            roster(members=with_changed("amber", **of_birch))


def test_no_member_signs_with_the_coordinators_key() -> None:
    """It would be a seat, an opener or an auditor of its own rounds."""
    key = FIRST.coordinator_key

    with pytest.raises(MalformedMessage, match="coordinator and cedar have one key"):
        roster(members=with_changed("cedar", signing_key=key))


def test_a_roster_with_one_key_twice_is_not_even_read() -> None:
    """Whoever signed it: the check is the type's."""
    honest, key = FIRST.member("amber").signing_key, FIRST.member("birch").signing_key
    twice = encode(FIRST).replace(b64encode(honest), b64encode(key))

    assert twice != encode(FIRST)
    with pytest.raises(MalformedMessage, match="one key"):
        decode_roster(twice)


@pytest.mark.parametrize(
    "members",
    [
        with_changed("amber", sealing_key=b"the coordinator's own"),
        with_changed("amber", signing_key=b"the coordinator's own"),
        with_changed("amber", roles=(Role.AUDITOR,)),
        with_changed("amber", organisation="birch hospital"),
        with_changed("amber", payout_address="0x" + "1" * 40),
        with_member(member("watch", Role.AUDITOR)),
        with_member(member("seat", Role.AGGREGATOR)),
        FIRST.members[1:],
    ],
)
def test_no_change_to_an_entry_counts_without_signatures(members: tuple[Any, ...]) -> None:
    """A changed HPKE key would hand the next model to whoever holds it."""
    version = next_roster(members=members)

    with pytest.raises(InvalidSignature):
        admitted(signed_roster(version))
    assert admitted(signed_roster(version, *MAJORITY)) == version


def test_members_that_do_not_train_have_no_vote() -> None:
    """An auditor admits nobody, and is not counted among those who must."""
    auditors = tuple(member(name, Role.AUDITOR) for name in ("umber", "viola", "white"))
    second = next_roster(members=with_member(*auditors))
    third = replace(second, version=2, previous=second.digest())
    history = (FOUNDED, signed_roster(second, *MAJORITY))

    with pytest.raises(InvalidSignature, match="signed by 2 of 4"):
        admit(
            (*history, signed_roster(third, "amber", "birch", "umber", "viola", "white")),
            FIRST.digest(),
        )
    assert admit((*history, signed_roster(third, *MAJORITY)), FIRST.digest()) == third


def test_a_revoked_trainer_has_no_vote_and_is_no_member() -> None:
    """Its signature stops counting with the version that leaves it out."""
    second = next_roster(members=FIRST.members[1:])
    third = replace(second, version=2, previous=second.digest())
    history = (FOUNDED, signed_roster(second, *NAMES[1:]))

    with pytest.raises(InvalidSignature, match="signed by 1 of 3"):
        admit((*history, signed_roster(third, "amber", "birch")), FIRST.digest())
    with pytest.raises(WrongIdentity, match="amber is not in roster version 1"):
        admit(history, FIRST.digest()).member("amber")


def test_without_trainers_nobody_admits_anybody() -> None:
    """More than half of none is not nothing."""
    lone = roster(members=(member("watch", Role.AUDITOR),))
    later = replace(lone, version=1, previous=lone.digest())

    with pytest.raises(InvalidSignature, match="0 of 0"):
        admit((signed_roster(lone, "watch"), signed_roster(later, "watch")), lone.digest())


def test_a_wrong_signature_is_refused_even_beside_enough_good_ones() -> None:
    """Whoever passed it on did not check it."""
    good = signed_roster(next_roster(), *MAJORITY)

    with pytest.raises(InvalidSignature):
        admitted(SignedRoster(good.roster, {**good.signatures, "delta": bytes(64)}))


def test_signatures_on_one_version_do_not_count_for_another() -> None:
    """Consent is to the bytes."""
    consented = signed_roster(next_roster(), *NAMES)
    other = next_roster(members=with_member(member("elder")))

    with pytest.raises(InvalidSignature):
        admitted(SignedRoster(other, consented.signatures))


@pytest.mark.parametrize(
    "version",
    [
        next_roster(version=2),
        next_roster(previous="0" * 64),
        next_roster(federation="cardiology"),
    ],
    ids=["a gap", "another version before it", "another federation"],
)
def test_a_version_that_does_not_follow_is_refused(version: Roster) -> None:
    """Signed by everybody, and still not the next one."""
    with pytest.raises(WrongContext):
        admitted(signed_roster(version, *NAMES))


def test_an_older_version_cannot_come_again() -> None:
    """A revoked member would be back."""
    second = next_roster(members=FIRST.members[1:])

    with pytest.raises(WrongContext):
        admitted(signed_roster(second, *MAJORITY), FOUNDED)
    with pytest.raises(WrongContext):
        admitted(FOUNDED)
    with pytest.raises(WrongContext):
        admitted(signed_roster(second, *MAJORITY), signed_roster(second, *MAJORITY))


def test_a_history_cannot_begin_in_the_middle() -> None:
    """Whoever compared the fingerprint of a later version has not seen who founded."""
    second = next_roster()

    with pytest.raises(WrongContext, match="version 0 was expected"):
        admit((signed_roster(second, *NAMES),), second.digest())


def test_no_member_is_called_coordinator() -> None:
    """Its signature would stand in the place of the coordinator's own."""
    with pytest.raises(MalformedMessage, match="coordinator"):
        roster(members=(member("amber"), member("coordinator")))


@pytest.mark.parametrize(
    "members",
    [
        tuple(reversed(FIRST.members)),
        (*FIRST.members, FIRST.members[-1]),
        (FIRST.members[0], *FIRST.members),
    ],
)
def test_members_stand_once_and_in_order(members: tuple[Any, ...]) -> None:
    """The same members have one digest; one site has one entry."""
    with pytest.raises(MalformedMessage, match="sorted"):
        roster(members=members)


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"previous": "0" * 64}, {"version": -1}], ids=str
)
def test_only_version_0_has_nothing_before_it(changes: dict[str, Any]) -> None:
    """A later version without its predecessor is no chain."""
    with pytest.raises(MalformedMessage, match="previous"):
        roster(**changes)


def test_a_roster_is_read_in_its_one_form_only() -> None:
    """Names are checked on the way in."""
    body = encode(FIRST)

    assert decode_roster(body) == FIRST
    for bad in (body + b" ", body.replace(b"amber", b"Amber"), body.replace(b"trainer", b"owner")):
        with pytest.raises(MalformedMessage):
            decode_roster(bad)
    unsorted = body.replace(b'"participant":"amber"', b'"participant":"zebra"')
    with pytest.raises(MalformedMessage):
        decode_roster(unsorted)


def test_trainers_are_those_that_train() -> None:
    """In order of their names."""
    mixed = roster(members=with_member(member("watch", Role.AUDITOR)))

    assert [each.participant for each in mixed.trainers()] == list(NAMES)


# -- operators ---------------------------------------------------------------------------


def operator(organisation: str = "The office", *roles: Role) -> Any:
    """A member that operates, and has other roles too."""
    made = replace(member("desk"), roles=(Role.OPERATOR, *roles))
    return replace(made, organisation=organisation)


@pytest.mark.parametrize("role", [Role.TRAINER, Role.AGGREGATOR, Role.AUDITOR])
def test_an_operator_has_no_part_in_rounds(role: Role) -> None:
    """The message says who, and what to do instead."""
    check_operators(with_member(operator()))

    with pytest.raises(RosterRefused, match=f"desk would be operator and {role}.*enrol two"):
        check_operators(with_member(operator("The office", role)))


def test_an_operators_organisation_opens_nothing_and_may_train() -> None:
    """Through the coordinator it has every ciphertext; an opener has the key."""
    trainer = FIRST.trainers()[0]
    members = with_member(operator(trainer.organisation))

    check_operators(members)
    check_operators(members, [FIRST.trainers()[1].participant])
    with pytest.raises(RosterRefused, match=f"{trainer.participant} is an opener"):
        check_operators(members, [trainer.participant])


def test_an_operators_organisation_audits_nothing_and_may_hold_a_seat() -> None:
    """An auditor would vouch for itself; of seats it takes two to open anything."""
    outsider = replace(member("outsider"), organisation="The office")

    check_operators(with_member(operator(), replace(outsider, roles=(Role.AGGREGATOR,))))
    with pytest.raises(RosterRefused, match="outsider is an auditor"):
        check_operators(with_member(operator(), replace(outsider, roles=(Role.AUDITOR,))))


# -- what an entry may say -------------------------------------------------------------------

PRIME = 2**255 - 19
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def times_8(x: int, y: int) -> tuple[int, int]:
    """Eight times a point of edwards25519. Source: RFC 8032, section 5.1.4."""
    for _ in range(3):
        shared = CURVE * x * x * y * y
        x, y = (
            2 * x * y * pow(1 + shared, -1, PRIME) % PRIME,
            (y * y + x * x) * pow(1 - shared, -1, PRIME) % PRIME,
        )
    return x, y


def x_of(y: int) -> int:
    """An x of a point with this y. Source: RFC 8032, section 5.1.3."""
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    return x if x * x % PRIME == square else x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME


SMALL = [
    bytes.fromhex(each)
    for each in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
]
"""Source: libsodium, crypto_core/ed25519/ref10, `ge25519_has_small_order`."""


@pytest.mark.parametrize("sign_bit", [0, 0x80])
@pytest.mark.parametrize("key", SMALL)
def test_a_signing_key_of_small_order_is_nobodys(key: bytes, sign_bit: int) -> None:
    """Under the identity any message has a signature that anybody writes down."""
    y = int.from_bytes(key, "little") % PRIME
    assert times_8(x_of(y), y) == (0, 1)
    small = key[:-1] + bytes([key[-1] | sign_bit])

    with pytest.raises(MalformedMessage, match="small order"):
        replace(FIRST, members=with_changed("amber", signing_key=small))
    with pytest.raises(MalformedMessage, match="small order"):
        replace(FIRST, coordinator_key=small)


def with_bytes(old: str, new: str) -> bytes:
    """The first version's bytes with something else in them: what a peer may send."""
    body = encode(FIRST).decode()
    assert old in body
    return body.replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"amber hospital"', r'"amber\u001b[8m"'),
        ('"amber hospital"', '""'),
        ('"amber hospital"', '"amber hospital "'),
        ('"amber hospital"', '"\u0430mber hospital"'),
        ('["trainer"]', '["trainer","trainer"]'),
    ],
    ids=["escape", "empty", "space", "look-alike", "role-twice"],
)
def test_an_entry_that_people_cannot_compare_is_no_entry(old: str, new: str) -> None:
    """It is refused where it is read, before anything of it is on a screen."""
    assert decode_roster(encode(FIRST)) == FIRST

    with pytest.raises(MalformedMessage):
        decode_roster(with_bytes(old, new))


def test_one_organisation_is_counted_once_however_it_is_written() -> None:
    """What cohorts, openers, seats and auditors are counted by."""
    members = with_changed("birch", organisation="AMBER Hospital.")

    assert len(organisations_of(members)) == len(NAMES) - 1
    assert members[0].is_of(members[1])


def test_an_operator_of_an_organisation_that_audits_is_found_however_it_is_written() -> None:
    """A dot makes nobody independent."""
    office = replace(member("desk", Role.OPERATOR), organisation="The Office")
    watch = replace(member("watch", Role.AUDITOR), organisation="the-office")

    with pytest.raises(RosterRefused, match="watch is an auditor"):
        check_operators((office, watch))


def test_a_later_version_is_no_beginning() -> None:
    """What is compared, and signed by all, is called version 0 in what is signed."""
    seven = replace(FIRST, version=7, previous="ab" * 32)

    with pytest.raises(WrongContext, match="version 7 where version 0"):
        check_next(None, SignedRoster(seven, {}), seven.digest())
    check_next(None, SignedRoster(FIRST, {}), FIRST.digest())


def test_a_sealing_key_that_is_none_is_found_by_sealing_to_it() -> None:
    """Its length says nothing: one of ff bytes holds no key of ML-KEM."""
    with pytest.raises(MalformedMessage, match="sealing key of amber is none"):
        check_sealing_key(replace(member("amber"), sealing_key=b"\xff" * 1216))
