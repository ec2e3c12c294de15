"""The ABI encoding is the one that other people's tools make."""

import eth_abi
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.settlement.abi import array, blob, encode, struct, uint

WORDS = st.lists(st.binary(min_size=32, max_size=32), max_size=4)


@settings(deadline=None, max_examples=40)
@given(number=st.integers(0, 2**256 - 1), body=st.binary(max_size=70), words=WORDS)
def test_a_struct_is_encoded_as_eth_abi_encodes_it(
    number: int, body: bytes, words: list[bytes]
) -> None:
    """Heads, tails and a struct within a struct. Source: eth-abi 6.0.0."""
    inner = struct(uint(number), array(words))

    made = encode(struct(uint(1), blob(body), inner, uint(number)))

    value = (1, body, (number, words), number)
    assert made == eth_abi.encode(["(uint8,bytes,(uint256,bytes32[]),uint256)"], [value])


def test_an_array_of_structs_of_one_length_has_no_heads_of_its_own() -> None:
    """As the slots of a proof are."""
    rows = [(3, b"\x07" * 32), (9, b"\x08" * 32)]

    made = encode(struct(array([uint(first) + second for first, second in rows])))

    assert made == eth_abi.encode(["((uint32,bytes32)[])"], [(rows,)])
