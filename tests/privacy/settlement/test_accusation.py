"""The file that a challenge takes: one commit, one proof, and one encoding."""

import pytest
from msgspec.structs import replace

from privacy.errors import MalformedMessage
from privacy.settlement.accusation import Accusation, accuse, decode, encode
from privacy.settlement.sum_proof import BadPayout, Fault, Kind, Payout
from tests.fuzz.decoders import _COMMIT

PROOF = BadPayout(Fault.FORMULA, "0x" + "ab" * 20, Payout(7, b"\x01" * 32, b"\x02" * 32, ()))


def test_what_was_written_is_read() -> None:
    """Kind and bytes are those of the proof."""
    made = accuse(_COMMIT, PROOF)

    read = decode(encode(made))

    assert read == made
    assert (read.number(), read.body()) == (Kind.BAD_PAYOUT, PROOF.encode())


@pytest.mark.parametrize(
    "change",
    [{"kind": "worst"}, {"kind": "BAD_SUM"}, {"proof": ""}, {"proof": "0"}, {"proof": "AB"}],
)
def test_what_is_no_accusation_is_refused(change: dict) -> None:
    body = encode(replace(Accusation(_COMMIT, "bad_sum", "00"), **change))

    with pytest.raises(MalformedMessage):
        decode(body)
