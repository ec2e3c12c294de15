"""Every object in the store has its digest elsewhere: nothing is used that a disk has changed."""

import pytest

from coordinator.upkeep.kept import Kind
from tests.coordinator.seated_federation import SeatedFederation
from tests.fakes import AUDITOR, OPENERS, SITES, Federation, make_settings


def expected(federation, number=1):
    """What the inventory says must be there."""
    return [*federation.service.scrub._inventory.of(federation.round(number))]


def covered(federation):
    """Return whether all objects are in the inventory, and all of it fits what is stored."""
    found = expected(federation)
    assert sorted(name for kept in found for name in kept.names) == federation.objects.names()
    assert all(kept.fits(federation.objects.get(name) for name in kept.names) for kept in found)
    return {kept.kind for kept in found}


def test_every_object_of_a_round_is_known_by_a_digest():
    federation = Federation(settings=make_settings(auditor=AUDITOR))
    federation.open_round()
    seen = [covered(federation)]
    for name in SITES:
        federation.contribute(name)
    seen.append(covered(federation))
    federation.tick()
    seen.append(covered(federation))
    federation.countersign()
    federation.put_model()

    seen.append(covered(federation))
    for opener in OPENERS[:2]:
        federation.sign_release(opener)
    federation.service.carry_out()

    assert covered(federation) == {Kind.MODEL}
    assert seen == [
        {Kind.KEY},
        {Kind.KEY, Kind.CHUNK, Kind.SEAL},
        {Kind.KEY, Kind.CHUNK, Kind.SEAL, Kind.SUM},
        {Kind.KEY, Kind.CHUNK, Kind.SEAL, Kind.SUM, Kind.MODEL},
    ]


def test_every_object_of_a_seated_round_is_known_by_a_digest():
    federation = SeatedFederation()
    federation.close()
    sent = covered(federation)
    federation.freeze()
    federation.sum_up()
    stated = covered(federation)

    federation.finish()
    federation.tick()

    assert sent == {Kind.CHUNK, Kind.SEAL}
    assert stated == {Kind.CHUNK, Kind.SEAL, Kind.SEAT_SUM}
    assert {kept.round for kept in expected(federation)} == {1}
    assert [kept.kind for kept in expected(federation)] == [Kind.MODEL]


@pytest.mark.parametrize("place", [0, 1, -1])
@pytest.mark.parametrize("change", ["flip", "cut", "grow", "empty"])
def test_no_changed_object_fits(place, change):
    federation = Federation(settings=make_settings(auditor=AUDITOR))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    federation.tick()
    federation.countersign()
    federation.put_model()

    fitting = [
        kept.names
        for kept in expected(federation)
        if kept.fits(
            changed(federation.objects.get(name), change, place) if name == kept.names[0]
            else federation.objects.get(name)
            for name in kept.names
        )
    ]  # fmt: skip

    assert fitting == []


def changed(body, how, place):
    """Return bytes as a failing disk might give them back."""
    if how == "flip":
        flipped = bytearray(body)
        flipped[place] ^= 1
        return bytes(flipped)
    return {"cut": body[:-1], "grow": body + b"\0", "empty": b""}[how]


def test_what_may_not_have_come_yet_is_not_missed():
    """The seals of an upload come after its row; whoever commits is asked for them."""
    federation = Federation()
    federation.open_round()
    federation.begin(SITES[0])
    federation.put(SITES[0], chunks=1)

    kinds = [kept.kind for kept in expected(federation)]

    assert Kind.SEAL not in kinds
    assert kinds.count(Kind.CHUNK) == 1
