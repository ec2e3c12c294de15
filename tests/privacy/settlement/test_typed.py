"""What is signed is described once: our digest and a signer's, of the same JSON, are the same."""

import json
from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.errors import MalformedMessage
from privacy.settlement.commitment import Slot, typed_receipt, typed_seat_sum, typed_verdict
from privacy.settlement.payouts import Domain
from privacy.settlement.typed import Member, Struct, TypedData, domain_struct, number, text, word

WORDS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda found: "0x" + found.hex())
DOMAINS = st.builds(
    Domain, st.integers(1, 2**53 - 1), ADDRESSES, WORDS.map(lambda found: found.hex())
)
ROUNDS = st.integers(1, 2**53 - 1)
SIGNED = st.one_of(
    st.builds(typed_receipt, DOMAINS, ROUNDS, st.builds(Slot, st.integers(0, 2**32 - 1), WORDS)),
    st.builds(typed_seat_sum, DOMAINS, ROUNDS, st.integers(0, 2), WORDS),
    st.builds(typed_verdict, DOMAINS, ROUNDS, ADDRESSES, WORDS),
)
HERE = Domain(31337, "0x" + "5e" * 20, "70" * 32)


def as_others_read_it(document: dict[str, Any]) -> bytes:
    """The digest that eth-account makes of typed data."""
    return bytes(_hash_eip191_message(encode_typed_data(full_message=document)))


@settings(deadline=None, max_examples=60)
@given(said=SIGNED)
def test_a_signer_makes_of_the_json_the_digest_that_we_check(said: TypedData) -> None:
    """After it has travelled as text. Source: eth-account 0.14.0, EIP-712."""
    document = json.loads(json.dumps(said.document()))

    assert as_others_read_it(document) == said.digest()


@settings(deadline=None, max_examples=30)
@given(said=SIGNED, other=SIGNED)
def test_two_things_that_are_said_have_two_digests(said: TypedData, other: TypedData) -> None:
    """And the same thing has one."""
    assert (said.digest() == other.digest()) == (said.document() == other.document())


def test_the_example_of_the_standard_has_its_digest() -> None:
    """Source: EIP-712, "Example.js", of which these members have our types; here the domain."""
    domain = Domain(1, "0x" + "cc" * 20, "00" * 32)
    ours = domain_struct(domain)
    named = (text("name", "Ether Mail"), *ours.members[1:])

    separator = Struct("EIP712Domain", named).hash()

    assert separator.hex() == "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f"


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (typed_receipt(HERE, 7, Slot(13, b"\x22" * 32)), {"slotId": "13"}),
        (typed_seat_sum(HERE, 7, 2, b"\x22" * 32), {"component": "2"}),
        (typed_verdict(HERE, 7, "0x" + "aB" * 20, b"\x22" * 32), {"accused": "0x" + "ab" * 20}),
    ],
    ids=lambda said: getattr(getattr(said, "message", None), "name", ""),
)
def test_numbers_travel_in_decimal_text(said: TypedData, says: dict[str, str]) -> None:
    """As JSON numbers a signer in Go or JavaScript reads them as floats; some read text alone."""
    document = said.document()

    assert says.items() <= document["message"].items()
    assert document["message"]["round"] == "7"
    assert document["domain"]["chainId"] == "31337"
    assert document["primaryType"] == said.message.name
    assert set(document["types"]) == {"EIP712Domain", said.message.name}


@pytest.mark.parametrize(
    "member",
    [
        lambda: number(8, "component", 256),
        lambda: number(64, "round", -1),
        lambda: word("root", bytes(31)),
        lambda: word("root", bytes(33)),
    ],
)
def test_what_does_not_fit_its_type_is_described_by_nothing(member: Any) -> None:
    """A contract would hash something else."""
    with pytest.raises(MalformedMessage):
        member()


def test_a_member_is_hashed_as_it_is_shown() -> None:
    """Else a signer would be shown one thing, and sign another."""
    assert number(64, "round", 7) == Member("uint64", "round", bytes(31) + b"\x07", "7")
    assert word("root", b"\x22" * 32).shown == "0x" + "22" * 32
