"""What is committed and signed has the digests that other people's tools give it."""

import eth_abi
import msgspec
import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.canonical import decode, encode
from privacy.errors import MalformedMessage, WrongContext
from privacy.merkle import verify_inclusion
from privacy.records import Entry
from privacy.settlement.commitment import (
    Cohort,
    Commit,
    Slot,
    cohort_of,
    contribution_of_components,
    domain_separator,
    receipt_digest,
    seat_sum_digest,
    verdict_digest,
)
from privacy.settlement.payouts import Domain, keccak256

HERE = Domain(31337, "0x" + "5e" * 20, "70" * 32)
ROOT = b"\x22" * 32
JUDGED = "0x" + "ab" * 20
COMMIT = Commit(
    programme="70" * 32,
    round=7,
    parent="01" * 32,
    slots=10_000,
    plan="02" * 32,
    cohort="03" * 32,
    sum_trees="04" * 32,
    sum="05" * 32,
    model="06" * 32,
    payouts="07" * 32,
    total=str(2**128 - 1),
    budget="9",
    scores="0",
)
FIELDS = "bytes32 uint64 bytes32 uint32" + " bytes32" * 6 + " uint128" * 3


def test_a_commit_hashes_to_what_its_abi_encoding_does() -> None:
    """The contract keeps nothing of it but this. Source: eth-abi 6.0.0."""
    values = [getattr(COMMIT, name) for name in COMMIT.__struct_fields__]
    plain = [
        bytes.fromhex(one) if isinstance(one, str) and len(one) == 64 else one for one in values
    ]
    body = eth_abi.encode(
        FIELDS.split(), [int(one) if isinstance(one, str) else one for one in plain]
    )

    made = COMMIT.digest()

    assert made == keccak256(body)


@pytest.mark.parametrize("name", COMMIT.__struct_fields__)
def test_every_field_is_part_of_the_digest(name: str) -> None:
    """What is not, a coordinator could change afterwards."""
    value = getattr(COMMIT, name)
    other = value + 1 if isinstance(value, int) else "ff" * 32 if len(value) == 64 else "12"

    changed = msgspec.structs.replace(COMMIT, **{name: other})

    assert changed.digest() != COMMIT.digest()


def test_a_commit_travels_as_canonical_json() -> None:
    """Whoever disputes a round brings its commit again."""
    assert decode(encode(COMMIT), Commit) == COMMIT


def typed(name: str, kinds: str, values: list[object], domain: Domain = HERE) -> bytes:
    pairs = [one.rsplit(" ", 1) for one in kinds.split(", ")]
    message = encode_typed_data(
        {
            "name": "Veilsum",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        {name: [{"type": kind, "name": field} for kind, field in pairs]},
        {field: value for (_, field), value in zip(pairs, values, strict=True)},
    )
    return bytes(_hash_eip191_message(message))


def test_a_receipt_is_signed_as_typed_data() -> None:
    """Any wallet makes and checks the same. Source: eth-account 0.14.0, EIP-712."""
    kinds = "bytes32 programme, uint64 round, uint32 slotId, bytes32 contribution"
    expected = typed("Receipt", kinds, [bytes.fromhex(HERE.programme), 7, 13, ROOT])

    assert receipt_digest(HERE, 7, Slot(13, ROOT)) == expected


def test_a_seats_sum_is_signed_as_typed_data() -> None:
    """The seat that lied is named by its signature. Source: eth-account 0.14.0, EIP-712."""
    kinds = "bytes32 programme, uint64 round, uint8 component, bytes32 root"
    expected = typed("SeatSum", kinds, [bytes.fromhex(HERE.programme), 7, 2, ROOT])

    assert seat_sum_digest(HERE, 7, 2, ROOT) == expected


def test_a_verdict_is_signed_as_typed_data() -> None:
    """Judges sign what the contract carries out. Source: eth-account 0.14.0, EIP-712."""
    kinds = "bytes32 programme, uint64 round, address accused, bytes32 evidence"
    expected = typed("Verdict", kinds, [bytes.fromhex(HERE.programme), 7, JUDGED, ROOT])

    assert verdict_digest(HERE, 7, JUDGED, ROOT) == expected


def test_a_signature_counts_on_one_chain_and_for_one_contract_only() -> None:
    """Else a receipt from a test chain would slash on the real one."""
    elsewhere = (Domain(1, HERE.contract, HERE.programme), Domain(31337, JUDGED, HERE.programme))

    found = {domain_separator(HERE), *map(domain_separator, elsewhere)}

    assert len(found) == 3


COHORT = Cohort(tuple(Slot(slot_id, bytes([slot_id]) * 32) for slot_id in (1, 4, 7, 10, 13)))


@pytest.mark.parametrize("slot", range(5))
def test_a_slots_path_leads_to_the_cohorts_root(slot: int) -> None:
    """A site checks that it was counted, and where."""
    node = COHORT.slots[slot].node()

    verify_inclusion(node, slot, 5, COHORT.path(slot), COHORT.root())


@pytest.mark.parametrize(
    ("slot_id", "around"), [(0, (0,)), (1, (0,)), (5, (1, 2)), (7, (2,)), (12, (3, 4)), (14, (4,))]
)
def test_who_is_missing_would_stand_between_its_neighbours(
    slot_id: int, around: tuple[int, ...]
) -> None:
    """These slots, shown, prove that it is not there."""
    assert COHORT.around(slot_id) == around


@settings(deadline=None, max_examples=30)
@given(ids=st.lists(st.integers(0, 50), min_size=1, max_size=9), slot_id=st.integers(0, 50))
def test_neighbours_prove_absence_and_one_slot_presence(ids: list[int], slot_id: int) -> None:
    """Whatever the cohort, one of the two can be shown."""
    cohort = Cohort(tuple(Slot(each, ROOT) for each in sorted(set(ids))))

    shown = [cohort.slots[index].slot_id for index in cohort.around(slot_id)]

    present = slot_id in ids
    assert (shown == [slot_id]) == present
    assert present or shown == sorted(
        {
            max([i for i in ids if i < slot_id], default=-1),
            min([i for i in ids if i > slot_id], default=-1),
        }
        - {-1}
    )


@pytest.mark.parametrize(
    "slots", [(), (Slot(1, ROOT), Slot(1, ROOT)), (Slot(2, ROOT), Slot(1, ROOT)), (Slot(1, b""),)]
)
def test_a_cohort_without_order_or_roots_is_refused(slots: tuple[Slot, ...]) -> None:
    """Its commit would be slashed."""
    with pytest.raises(MalformedMessage):
        Cohort(slots)


def test_a_contribution_of_components_has_one_root() -> None:
    """Under shares nobody has all three of them but the site."""
    roots = [bytes([index]) * 32 for index in range(3)]

    made = contribution_of_components(roots)

    assert made != contribution_of_components(roots[::-1])
    with pytest.raises(MalformedMessage):
        contribution_of_components(roots[:2])


def test_slots_are_trainers_places_in_the_roster() -> None:
    """So a chain learns no name, and one that is left out stands between two others."""
    entries = [Entry("west", "ee" * 32, ("22" * 32,)), Entry("east", "dd" * 32, ("11" * 32,))]

    found = cohort_of(entries, ["east", "north", "west"])

    assert found.slots == (Slot(0, b"\x11" * 32), Slot(2, b"\x22" * 32))


def test_three_components_are_one_contribution() -> None:
    """Under `shares` no word is ever shown to the chain, only what binds all three."""
    entries = [Entry("east", "dd" * 32, ("11" * 32, "22" * 32, "33" * 32))]

    (slot,) = cohort_of(entries, ["east"]).slots

    assert slot.contribution not in (b"\x11" * 32, b"\x22" * 32, b"\x33" * 32)


def test_a_contribution_of_nobody_in_the_roster_is_refused() -> None:
    with pytest.raises(WrongContext, match="no trainer"):
        cohort_of([Entry("south", "dd" * 32, ("11" * 32,))], ["east"])
