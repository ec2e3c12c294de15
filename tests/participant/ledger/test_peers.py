"""What a trainer has seen of its peers' ledgers outlives its process, and stands in its own."""

import msgspec
import pytest

from participant.ledger.peers import own_header
from participant.memory import Memory
from privacy.documents import Signed
from privacy.errors import InvalidSignature, WrongContext
from privacy.growth import seen_in
from privacy.ledger import Witness
from privacy.signing import public_bytes
from tests.fakes import signing_key
from tests.participant import kept_ledger
from tests.participant import shared_round as shares
from tests.participant import signed_round as made

ROUND = made.Round(made.plan(), made.TRAINERS)
HEADER = made.header_of(ROUND.plan, "amber")


def witnessed(peers):
    return [row.witness for row in peers.ledger.rows() if row.witness is not None]


async def test_peers_are_remembered_over_a_restart(tmp_path):
    """All of a cohort, this site included: its own ledger might be an old copy, too."""
    memory = Memory(tmp_path)
    await kept_ledger.peers(tmp_path, memory).record(ROUND.headers)
    memory.close()

    again = kept_ledger.peers(tmp_path, Memory(tmp_path))

    assert again.seen()["birch"] == seen_in(made.header_of(ROUND.plan, "birch"))
    assert set(again.seen()) == set(made.TRAINERS)


async def test_others_are_witnessed_once_in_this_sites_ledger(tmp_path):
    """Not itself, and not again when a round is looked at again."""
    peers = kept_ledger.peers(tmp_path, Memory(tmp_path))

    await peers.record(ROUND.headers)
    await peers.record(ROUND.headers)

    headers = [made.header_of(ROUND.plan, name) for name in made.TRAINERS[1:]]
    seen = [(each.participant, seen_in(each)) for each in headers]
    assert witnessed(peers) == [
        Witness(name, said.ledger.size, said.ledger.root, said.out) for name, said in seen
    ]


async def test_an_earlier_round_takes_nothing_back(tmp_path):
    """A round may be looked at after the next one."""
    peers = kept_ledger.peers(tmp_path, Memory(tmp_path))
    second = made.Round(made.plan(round=2), made.TRAINERS)
    await peers.record(second.headers)

    await peers.record(ROUND.headers)

    assert {each.round for each in peers.seen().values()} == {2}


@pytest.mark.parametrize("header", [HEADER, shares.Round().updates["amber"].header])
def test_a_site_reads_its_own_newest_header(header):
    """Under either scheme."""
    found = own_header(made.signed_by(header, "amber"), "amber", [made.roster()])

    assert found == header


def test_a_key_that_the_site_had_before_counts():
    """Its newest header may be older than its key."""
    newer = made.roster_with()
    member = msgspec.structs.replace(
        newer.members[0], signing_key=public_bytes(signing_key("cedar's next"))
    )
    newer = msgspec.structs.replace(newer, members=(member, *newer.members[1:]))
    signed = made.signed_by(HEADER, "amber")

    assert own_header(signed, "amber", [made.roster(), newer]) == HEADER
    with pytest.raises(InvalidSignature):
        own_header(signed, "amber", [newer])


@pytest.mark.parametrize("signatures", [{}, {"amber": bytes(64)}, {"birch": bytes(64)}], ids=str)
def test_a_header_that_the_site_has_not_signed_is_no_evidence(signatures):
    """A coordinator cannot stop a site with a ledger that it has made up."""
    signed = Signed(made.encoded(HEADER), signatures)

    with pytest.raises(InvalidSignature, match="amber has not signed"):
        own_header(signed, "amber", [made.roster()])


@pytest.mark.parametrize("changes", [{"participant": "birch"}, {"federation": "cardiology"}])
def test_a_header_of_elsewhere_is_refused(changes):
    """Signed as it may be."""
    header = msgspec.structs.replace(HEADER, **changes)

    with pytest.raises(WrongContext):
        own_header(made.signed_by(header, "amber"), "amber", [made.roster()])
