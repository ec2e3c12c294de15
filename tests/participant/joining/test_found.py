"""A federation is founded by its members: each compares, signs, and waits for the others."""

import msgspec
import pytest

from participant.joining import found as module
from participant.joining.own import ENTRY
from privacy.canonical import decode, encode
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    RosterRefused,
    WrongContext,
    WrongIdentity,
)
from privacy.roster import Role, Roster, SignedRoster
from privacy.signing import Purpose, sign
from tests.participant import signed_round as made
from veilsum.files import write_durably

ROSTER = made.roster()


def by(*names, of=ROSTER):
    body = encode(of)
    return {name: sign(made.keys(name).signing, Purpose.ROSTER, body) for name in names}


class Office:
    """A coordinator that shows a roster, and takes signatures."""

    def __init__(self, *histories):
        self.histories = list(histories)
        self.signed = {}

    async def roster(self, fingerprint=None):
        history = self.histories.pop(0) if len(self.histories) > 1 else self.histories[0]
        first = history[0]
        merged = SignedRoster(first.roster, {**first.signatures, **self.signed})
        return [merged, *history[1:]]

    async def sign_roster(self, version, signature):
        assert version == 0
        self.signed["amber"] = signature


def history(*names, of=ROSTER):
    return [SignedRoster(of, by(*names, of=of))]


OTHERS = ("birch", "cedar", "delta", "watch")


class Home:
    """This site's folder, with the entry that it has made for itself."""

    state = None

    def has(self, mine):
        write_durably(self.state / ENTRY, encode(mine))


home = Home()


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    monkeypatch.setattr(home, "state", tmp_path)
    home.has(ROSTER.member("amber"))


async def found(office, fingerprint=None, keys=None):
    keys = keys or made.keys("amber")
    return await module.found(office, keys, "amber", fingerprint or ROSTER.digest(), home.state)


async def test_a_member_signs_and_waits_for_the_others():
    """The last signature founds the federation, whoever it is from."""
    office = Office(history(), history("birch"), history("birch", "cedar"), history(*OTHERS))

    assert await found(office) == ROSTER
    assert office.signed["amber"] == by("amber")["amber"]


async def test_another_fingerprint_is_not_signed():
    """The roster that was compared by telephone, or none."""
    office = Office(history(*OTHERS))

    with pytest.raises(WrongContext, match="telephone"):
        await found(office, "1" * 64)
    assert office.signed == {}


async def test_no_roster_is_refused():
    """An empty history is none."""
    with pytest.raises(WrongContext):
        await found(Office([SignedRoster(ROSTER, {})]), keys=None, fingerprint="2" * 64)


@pytest.mark.parametrize("key", ["signing_key", "sealing_key"])
async def test_a_roster_with_another_key_for_this_site_is_not_signed(key):
    """The coordinator could read what is sealed to it."""
    theirs = getattr(module.entry(made.keys("mallory"), "amber", "Amber", "", ()), key)
    members = tuple(
        msgspec.structs.replace(m, **{key: theirs}) if m.participant == "amber" else m
        for m in ROSTER.members
    )
    swapped = msgspec.structs.replace(ROSTER, members=members)
    office = Office(history(*OTHERS, of=swapped))

    with pytest.raises(WrongContext, match="other keys for amber"):
        await found(office, swapped.digest())
    assert office.signed == {}


async def test_a_roster_whose_operator_has_a_part_in_rounds_is_not_signed():
    """Whatever the coordinator's own check says: it is the operator's."""
    members = tuple(
        msgspec.structs.replace(m, roles=(*m.roles, Role.OPERATOR))
        if m.participant == "birch"
        else m
        for m in ROSTER.members
    )
    swapped = msgspec.structs.replace(ROSTER, members=members)
    office = Office(history(*OTHERS, of=swapped))

    with pytest.raises(RosterRefused, match="birch would be operator and trainer"):
        await found(office, swapped.digest())
    assert office.signed == {}


async def test_a_forged_founding_signature_is_refused():
    """All names are there; one was not written by its member."""
    forged = {**by(*OTHERS), "delta": by("cedar")["cedar"]}

    with pytest.raises(InvalidSignature):
        await found(Office([SignedRoster(ROSTER, forged)]))


async def test_a_later_version_with_another_key_for_this_site_is_refused():
    """Members admitted it, by a majority that this site was not of: it cannot unseal there."""
    theirs = made.keys("mallory").sealing_public
    members = tuple(
        msgspec.structs.replace(m, sealing_key=theirs) if m.participant == "amber" else m
        for m in ROSTER.members
    )
    later = Roster(made.FEDERATION, 1, ROSTER.coordinator_key, members, ROSTER.digest())
    versions = [*history(*OTHERS), *history("birch", "cedar", "delta", of=later)]

    with pytest.raises(WrongContext, match="other keys for amber"):
        await found(Office(versions))


async def test_a_later_version_without_enough_trainers_is_refused():
    """The auditor, and half of the trainers, are not more than half of the trainers."""
    left = tuple(m for m in ROSTER.members if m.participant != "delta")
    later = Roster(made.FEDERATION, 1, ROSTER.coordinator_key, left, ROSTER.digest())
    versions = [*history(*OTHERS), *history("birch", "cedar", "watch", of=later)]

    with pytest.raises(InvalidSignature, match="2 of 4"):
        await found(Office(versions))


async def test_a_site_that_is_not_in_the_roster_is_told():
    """It has nothing to sign."""
    with pytest.raises(WrongIdentity):
        await module.found(
            Office(history(*OTHERS)), made.keys("mallory"), "mallory", ROSTER.digest(), home.state
        )


def test_an_entry_has_public_keys_only():
    """It is sent to others."""
    keys = made.keys("amber")

    entry = module.entry(keys, "amber", "Amber", "", ("trainer",))

    assert entry.roles == (Role.TRAINER,)
    body = encode(entry)
    for secret in (keys.signing.private_bytes_raw(), keys.sealing.seed):
        assert secret not in body
        assert secret.hex().encode() not in body


def with_key(of, key):
    members = tuple(
        msgspec.structs.replace(m, sealing_key=key) if m.participant == "delta" else m
        for m in of.members
    )
    return msgspec.structs.replace(of, members=members)


GARBAGE = b"\xff" * 1216
"""Of the right length; no polynomial of ML-KEM has such coefficients."""


async def test_a_sealing_key_that_is_none_is_refused_before_it_is_signed():
    """Sealing the first model would fail for everybody, after the federation was founded."""
    spoiled = with_key(ROSTER, GARBAGE)
    office = Office(history(*OTHERS, of=spoiled))

    with pytest.raises(MalformedMessage, match="sealing key of delta is none"):
        await found(office, spoiled.digest())
    assert office.signed == {}


@pytest.mark.parametrize("size", [0, 1215, 1217])
def test_a_sealing_key_of_another_length_is_not_even_read(size):
    """The roster's own form says so, in every process that reads it."""
    spoiled = with_key(ROSTER, bytes(size))

    with pytest.raises(MalformedMessage, match="sealing_key"):
        decode(encode(spoiled), Roster)


async def test_whom_the_founding_waits_for_is_said_once(monkeypatch):
    """An operator sees who is missing, and no line a second."""
    lines = []
    monkeypatch.setattr(module.log, "info", lambda event, **said: lines.append((event, said)))
    office = Office(*[history()] * 3, *[history("birch", "watch")] * 3, history(*OTHERS))

    await found(office)

    assert lines == [
        ("waiting_for_founders", {"missing": ["birch", "cedar", "delta", "watch"]}),
        ("waiting_for_founders", {"missing": ["cedar", "delta"]}),
    ]


async def admitted(office, fingerprint=None, name="amber"):
    keys = made.keys("amber")
    history = await module.admitted_history(office, keys, name, fingerprint or ROSTER.digest())
    return history[-1].roster


async def test_what_members_have_admitted_is_read_without_signing():
    """A command that looks must not found a federation in passing."""
    office = Office(history("amber", *OTHERS))

    assert await admitted(office) == ROSTER
    with pytest.raises(InvalidSignature):
        await admitted(Office(history(*OTHERS)))
    assert office.signed == {}


async def test_what_is_read_is_checked_as_what_is_joined():
    """Fingerprint, own keys, and more than half of the trainers behind each later version."""
    left = tuple(m for m in ROSTER.members if m.participant != "delta")
    later = Roster(made.FEDERATION, 1, ROSTER.coordinator_key, left, ROSTER.digest())
    founded = history("amber", *OTHERS)
    alone = [*founded, *history("birch", "watch", of=later)]
    enough = [*founded, *history("birch", "cedar", "delta", of=later)]

    assert await admitted(Office(enough)) == later
    with pytest.raises(InvalidSignature):
        await admitted(Office(alone))
    with pytest.raises(WrongContext, match="telephone"):
        await admitted(Office(founded), "1" * 64)
    with pytest.raises(WrongContext, match="other keys for birch"):
        await admitted(Office(founded), name="birch")


async def test_keys_that_a_later_version_has_changed_are_not_ones_own():
    """A member whose entry was exchanged is told."""
    theirs = made.keys("mallory").sealing_public
    members = tuple(
        msgspec.structs.replace(m, sealing_key=theirs) if m.participant == "amber" else m
        for m in ROSTER.members
    )
    later = Roster(made.FEDERATION, 1, ROSTER.coordinator_key, members, ROSTER.digest())
    versions = [*history("amber", *OTHERS), *history("birch", "cedar", "delta", of=later)]

    with pytest.raises(WrongContext, match="other keys for amber"):
        await admitted(Office(versions))


# -- who came later --------------------------------------------------------------------------


def grown(name="ember", keys=None):
    """Version 1 with one more trainer."""
    newcomer = module.entry(keys or made.keys(name), name, name, "", ("trainer",))
    members = tuple(sorted([*ROSTER.members, newcomer], key=lambda m: m.participant))
    return Roster(made.FEDERATION, 1, ROSTER.coordinator_key, members, ROSTER.digest())


async def test_who_joined_later_is_admitted_and_signs_nothing():
    """It is no founding member: there is nothing of version 0 for it to sign."""
    later = grown()
    office = Office([*history("amber", *OTHERS), *history("birch", "cedar", "delta", of=later)])
    who = (made.keys("ember"), "ember", ROSTER.digest())

    assert await module.found(office, *who, home.state) == later
    assert [each.roster for each in await module.admitted_history(office, *who)] == [ROSTER, later]
    assert office.signed == {}


async def test_who_joined_later_under_another_key_is_told():
    """Models would be sealed to somebody else."""
    later = grown(keys=made.keys("mallory"))
    office = Office([*history("amber", *OTHERS), *history("birch", "cedar", "delta", of=later)])

    with pytest.raises(WrongContext, match="other keys for ember"):
        await module.found(office, made.keys("ember"), "ember", ROSTER.digest(), home.state)


async def test_a_later_version_does_not_excuse_the_first_that_is_to_be_signed():
    """What is signed is version 0, and there this site stands under another key."""
    wrong = module.entry(made.keys("mallory"), "amber", "amber", "", ("trainer",))
    members = tuple(wrong if m.participant == "amber" else m for m in ROSTER.members)
    first = msgspec.structs.replace(ROSTER, members=members)
    right = Roster(made.FEDERATION, 1, first.coordinator_key, ROSTER.members, first.digest())
    office = Office([*history(*OTHERS, of=first), *history("birch", "cedar", of=right)])

    with pytest.raises(WrongContext, match="other keys for amber"):
        await found(office, first.digest())
    assert office.signed == {}


async def test_a_founding_member_with_new_keys_is_itself_in_the_newest_version():
    """Its old keys, with which it signed version 0, are no more; members admitted the new ones."""
    fresh = made.keys("amber again")
    moved = module.entry(fresh, "amber", "amber", "", ("trainer",))
    members = tuple(moved if m.participant == "amber" else m for m in ROSTER.members)
    later = Roster(made.FEDERATION, 1, ROSTER.coordinator_key, members, ROSTER.digest())
    office = Office([*history("amber", *OTHERS), *history("birch", "cedar", "delta", of=later)])

    assert await found(office, keys=fresh) == later
    with pytest.raises(WrongContext, match="other keys for amber"):
        await found(office)
