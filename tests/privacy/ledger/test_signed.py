"""A row is its site's: signed, for this purpose, by the key that it names."""

import pytest

from privacy import canonical, signing
from privacy.errors import InvalidSignature
from privacy.ledger import LedgerState, check_signature, sign_row
from privacy.signing import Purpose
from tests.privacy.ledger.rows import REGISTER, key_of, public, row

ROW = row(LedgerState(), **REGISTER)
BODY = canonical.encode(ROW)
SIGNATURE = sign_row(key_of("amber"), BODY)


def test_a_row_is_signed_by_the_key_that_it_names() -> None:
    """And that key is one of those the reader knows, where it knows any."""
    check_signature(ROW, BODY, SIGNATURE)
    check_signature(ROW, BODY, SIGNATURE, {public("amber")})

    assert len(SIGNATURE) == 64


def test_a_signature_of_anything_else_is_refused() -> None:
    """Another key, another purpose, another row, a bit flipped, nothing."""
    flipped = bytes([SIGNATURE[0] ^ 1]) + SIGNATURE[1:]
    for wrong in (
        sign_row(key_of("birch"), BODY),
        signing.sign(key_of("amber"), Purpose.RECEIPT, BODY),
        sign_row(key_of("amber"), BODY + b" "),
        flipped,
        b"",
    ):
        with pytest.raises(InvalidSignature):
            check_signature(ROW, BODY, wrong)


def test_a_key_that_the_reader_does_not_know_is_refused() -> None:
    """A row cannot introduce itself."""
    with pytest.raises(InvalidSignature, match="not known here"):
        check_signature(ROW, BODY, SIGNATURE, {public("birch")})
