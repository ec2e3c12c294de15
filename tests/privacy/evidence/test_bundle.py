"""A bundle has one form: entries in their places, each in its one encoding."""

import pytest
from msgspec.structs import replace

from privacy.errors import ConfigError, InvalidSignature, MalformedMessage
from privacy.evidence.bundle import (
    LARGEST_BUNDLE,
    Bundle,
    RowLine,
    check_order,
    check_sealed,
    decode_entry,
    encode_entry,
    lines_of,
)
from privacy.evidence.verify import read_bundle
from tests.privacy.evidence import example_bundle as made

WHOLE = made.bundle(rounds=1)
HEAD, CONFIG, ROW, *_ = list(lines_of(WHOLE))
END = list(lines_of(WHOLE))[-1]


def in_order(*entries):
    """Check the places of entries, one after the other."""
    before = None
    for entry in entries:
        check_order(before, entry)
        before = entry


def test_every_entry_is_written_as_it_was_read():
    for line in lines_of(WHOLE):
        assert encode_entry(decode_entry(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        ROW.replace(b'"signature"', b'"signatury"'),
        ROW.replace(b',"signature"', b', "signature"'),
        ROW[:-3] + b'A"}',
        ROW[:-2] + b"'}",
        ROW + b" ",
        ROW[:-140] + b'"}',
        b'{"kind":"row","row":"}',
        HEAD.replace(b'"v":1', b'"v":2'),
        HEAD.replace(b'"v":1', b'"v": 1'),
        HEAD.replace(b'"v":1', b'"v":1,"x":1'),
        HEAD.replace(b'"kind":"head"', b'"kind":"heads"'),
        CONFIG.replace(b'"0.001"', b'"0.0010"'),
        CONFIG.replace(b'"0.001"', b'"-1"'),
        END.replace(b'"size":', b'"size":-'),
        b"null",
        b"[]",
        b"\xff",
        b'{"kind":1}',
        b'{"kind":"end"}',
    ],
    ids=range(19),
)
def test_what_is_not_the_one_encoding_of_an_entry_is_none(line):
    with pytest.raises(MalformedMessage):
        decode_entry(line)


def test_a_head_comes_first_and_once_and_nothing_after_the_end():
    head, end = decode_entry(HEAD), decode_entry(END)

    in_order(head, end)
    for wrong in ((end,), (head, head), (head, end, end), (head, end, head)):
        with pytest.raises(MalformedMessage):
            in_order(*wrong)


def test_every_kind_has_its_place():
    """Rows before documents, one configuration before both."""
    head, config, row = made.head(), made.CONFIG, made.rows()[0]
    paper = made.roster_document()

    in_order(head, config, row, row, paper)
    for wrong in ((head, row, config), (head, paper, row), (head, config, config)):
        with pytest.raises(MalformedMessage):
            in_order(*wrong)


def test_documents_are_in_order_and_each_once():
    """So that one state has one bundle, and a document that is there twice is noticed."""
    first, second = made.documents(1)[:2]

    in_order(made.head(), first, second)
    for wrong in ((second, first), (first, first)):
        with pytest.raises(MalformedMessage, match="order"):
            in_order(made.head(), *wrong)


def test_the_last_line_is_signed_by_the_heads_key():
    bundle, _ = read_bundle(WHOLE)
    other = replace(bundle.head, key=made.head("birch").key)

    check_sealed(WHOLE, bundle)
    with pytest.raises(InvalidSignature):
        check_sealed(WHOLE, Bundle((other, *bundle.entries[1:])))


def test_a_line_without_its_end_is_none():
    with pytest.raises(MalformedMessage, match="within a line"):
        list(lines_of(WHOLE[:-1]))


def test_more_than_the_largest_bundle_is_refused_unread():
    class Huge(bytes):
        def __len__(self):
            return LARGEST_BUNDLE + 1

    with pytest.raises(MalformedMessage, match="more than"):
        list(lines_of(Huge()))


def test_a_row_prints_no_more_than_it_must():
    """A row's line holds its bytes as they were signed."""
    row = decode_entry(ROW)

    assert isinstance(row, RowLine)
    assert made.rows(rounds=1)[0] == row


def test_a_bundle_that_nobody_would_read_is_not_made(monkeypatch):
    """Whoever exports learns of it, and not the officer who was sent it."""
    monkeypatch.setattr("privacy.evidence.bundle.LARGEST_BUNDLE", len(WHOLE) - 1)

    with pytest.raises(ConfigError, match=f"{len(WHOLE)} bytes, more than"):
        made.sealed(made.head(), made.CONFIG, *made.rows(rounds=1), *made.documents(1))
