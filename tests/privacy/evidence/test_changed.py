"""Where a bundle was changed is told from its bytes, and is told the same as by reading it."""

from collections import Counter
from functools import cache
from random import Random

import pytest
from msgspec.structs import replace as changed

from privacy import canonical, signing
from privacy.evidence import trust as trusting
from privacy.evidence import verify as verifying
from privacy.evidence.bundle import (
    Document,
    RowLine,
    decode_entry,
    encode_entry,
    key_hex,
    lines_of,
)
from privacy.evidence.changed import find_changed
from privacy.evidence.finding import Outcome
from privacy.evidence.trust import trust_in
from privacy.evidence.verify import check_whole, read_bundle, verify
from privacy.identifiers import COORDINATOR, sha256_hex
from privacy.ledger import read_row, sign_row
from privacy.records import PURPOSES
from privacy.signing import Purpose
from privacy.signing import verify as verify_signature
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made

PAPERS = {Purpose.PLAN, *PURPOSES.values()}


@cache
def run():
    """A run's bundle: documents, and no ledger."""
    papers = made.documents(1, 2)
    return made.sealed(made.head(COORDINATOR, "run"), *papers, by=COORDINATOR)


BUNDLES = {
    "a site's, one round": lambda: made.bundle(rounds=1),
    "a site's, three rounds": lambda: made.bundle(rounds=3),
    "another site's": lambda: made.bundle("birch"),
    "one that has seen a peer": lambda: made.bundle(seen=made.witness_of(made.rows("birch"))),
    "a run's": run,
}


def flipped(text, at, bit):
    return text[:at] + bytes([text[at] ^ bit]) + text[at + 1 :]


def joined(lines):
    return b"".join(line + b"\n" for line in lines)


def named(verdict):
    return (verdict.outcome, verdict.findings[0].entry)


def by_reading(text):
    """The outcome and first entry when every row is read and followed, as for a whole bundle."""
    bundle, found = read_bundle(text)
    if bundle is not None:
        found = check_whole(text, bundle, made.KEYS).findings
    return (Outcome.TAMPERED, found[0].entry)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_changed_byte_is_named_as_by_reading_every_row(name):
    """It is found sooner, and it is the same entry: the one that the byte is in, if that is told.

    One bit, so that most changes leave a form that can be read.
    """
    text, draw = BUNDLES[name](), Random(name)
    texts = [flipped(text, draw.randrange(len(text)), 1 << draw.randrange(3)) for _ in range(50)]

    told = [named(verify(each, keys=made.KEYS)) for each in texts]

    assert told == [by_reading(each) for each in texts]


@pytest.mark.parametrize("name", BUNDLES)
def test_every_signature_that_is_changed_is_named(name):
    """No hash covers these digits: each is found by trying the signatures."""
    lines = list(lines_of(BUNDLES[name]()))
    signed = [
        number
        for number, line in enumerate(lines, 1)
        if isinstance(decode_entry(line), RowLine | Document)
    ]

    told = {number: verify(joined(_signed_otherwise(lines, number))) for number in signed}

    roster = {number for number in signed if b"veilsum/roster/1" in lines[number - 1]}
    for number in set(signed) - roster:
        assert named(told[number]) == (Outcome.TAMPERED, number)


def _signed_otherwise(lines, number):
    """The lines with one digit of one entry's signature changed."""
    line = lines[number - 1]
    signed = line.index(b'"signature":' if b'"kind":"row"' in line else b'"signatures":{')
    at = line.index(b'"', line.index(b':"', signed)) + 10
    digit = b"0" if line[at : at + 1] != b"0" else b"1"
    return [*lines[: number - 1], line[:at] + digit + line[at + 1 :], *lines[number:]]


def test_of_several_rows_that_were_changed_the_first_is_named():
    """Also where only the later one breaks the chain."""
    lines = list(lines_of(made.bundle(rounds=3)))
    lines = _signed_otherwise(lines, 6)
    lines[11] = lines[11].replace(b'"v":1}', b'"v":1,"w":1}')

    verdict = verify(joined(lines))

    assert named(verdict) == (Outcome.TAMPERED, 6)


def test_a_changed_last_row_comes_before_the_documents():
    """No row after it names it: it is held against its signature before anything else is tried."""
    lines = list(lines_of(made.bundle()))
    last = max(at for at, line in enumerate(lines) if b'"kind":"row"' in line)
    lines[last] = lines[last].replace(b'"v":1}', b'"v":1,"w":1}')
    lines = _signed_otherwise(lines, last + 3)

    verdict = verify(joined(lines))

    assert named(verdict) == (Outcome.TAMPERED, last + 1)


@pytest.mark.parametrize("at", [3, 7, 10])
def test_where_a_row_was_taken_out_the_next_is_named(at):
    """As it is where two have changed places: the first that does not follow."""
    lines = list(lines_of(made.bundle()))
    swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]

    verdicts = [verify(joined(each)) for each in (lines[:at] + lines[at + 1 :], swapped)]

    assert [named(each) for each in verdicts] == [(Outcome.TAMPERED, at + 1)] * 2
    assert all(f"row {at - 1} is expected" in each.findings[0].message for each in verdicts)


def test_a_last_row_under_a_strangers_key_is_named():
    """Chained and signed, but by nobody whose keys count; and put in after the end was signed."""
    lines = list(lines_of(made.bundle()))
    at = max(at for at, line in enumerate(lines) if b'"kind":"row"' in line)
    key = example.signing_key("birch")
    body = canonical.encode(changed(read_row(decode_entry(lines[at]).body), key=key_hex(key)))
    lines[at] = encode_entry(RowLine(body, sign_row(key, body)))

    verdict = verify(joined(lines))

    assert named(verdict) == (Outcome.TAMPERED, at + 1)
    assert "a key not known here" in verdict.findings[0].message


def test_every_document_whose_signatures_were_changed_is_named():
    """Which of them a disk has damaged is worth knowing together."""
    lines = list(lines_of(made.bundle(rounds=3)))
    documents = [at for at, line in enumerate(lines, 1) if b'"kind":"document"' in line][1:]
    documents = [at for at in documents if b"veilsum/receipt/1" not in lines[at - 1]]
    for number in documents[::4]:
        lines = _signed_otherwise(lines, number)

    verdict = verify(joined(lines), keys=made.KEYS)

    assert [each.entry for each in verdict.findings] == documents[::4]


def test_of_documents_that_were_changed_those_that_nothing_names_are_named():
    """The bytes of one that something else names are what they were: its digits are tried later."""
    lines = list(lines_of(made.bundle(rounds=3)))
    receipt, other = (
        next(at for at, line in enumerate(lines, 1) if b"veilsum/" + kind in line)
        for kind in (b"receipt/1", b"plan/1")
    )

    verdict = verify(joined(_signed_otherwise(_signed_otherwise(lines, other), receipt)))

    assert named(verdict) == (Outcome.TAMPERED, receipt)


@pytest.mark.parametrize("kind", [b'"kind":"config"', b'"kind":"document"', b'"kind":"row"'])
def test_an_entry_that_was_taken_out_is_tampered(kind):
    """The last document and the last row are named by nothing after them but the end."""
    lines = list(lines_of(made.bundle()))
    last = max(at for at, line in enumerate(lines) if kind in line)

    verdict = verify(joined(lines[:last] + lines[last + 1 :]))

    assert named(verdict) == (Outcome.TAMPERED, len(lines) - 1)


@pytest.mark.parametrize("broken", [True, False])
def test_a_ledger_that_lies_is_told_from_a_bundle_that_was_damaged(broken):
    """A row of its own site, signed and chained, that no ledger has: the row, by a whole bundle.

    With a head that was changed as well, the bundle is damaged, and says nothing about its site.
    """
    text = made.sealed(made.head(), made.CONFIG, *_with_a_second_sent(), made.roster_document())
    if broken:
        text = text.replace(b"amber hospital", b"amber hospitam")

    verdict = verify(text)

    (finding, *_) = verdict.findings
    last = text.count(b"\n")
    assert finding.outcome is Outcome.TAMPERED
    assert finding.entry == (last if broken else last - 2)
    assert ("look at head" in finding.message) == broken
    assert ("a second SENT" in finding.message) != broken


def _with_a_second_sent():
    """The rows of one round up to SENT, and that once more."""
    rows = made.rows(rounds=1)[:5]
    again = read_row(rows[-1].body)
    body = canonical.encode(changed(again, seq=again.seq + 1, prev=sha256_hex(rows[-1].body)))
    return (*rows, RowLine(body, sign_row(example.signing_key(made.SITE), body)))


def test_where_the_seal_is_broken_no_row_is_read(monkeypatch):
    """Reading and following thousands of rows is what takes seconds."""

    def read(*_, **__):
        raise AssertionError("a row was read")

    monkeypatch.setattr(verifying, "replay", read)
    text = made.bundle(rounds=3)
    at = text.index(b'"kind":"row"', len(text) // 3) - 200

    assert verify(flipped(text, at, 1)).outcome is Outcome.TAMPERED
    with pytest.raises(AssertionError, match="a row was read"):
        verify(text)


def test_no_signature_is_tried_twice_where_all_are(monkeypatch):
    """With the head changed every one is tried, which is most of the time that it takes."""
    tried = Counter()

    def check(key, purpose, body, signature):
        tried[purpose, signature] += 1
        verify_signature(key, purpose, body, signature)

    monkeypatch.setattr(trusting, "verify", check)
    monkeypatch.setattr(signing, "verify", check)
    text = made.bundle(rounds=3).replace(b"amber hospital", b"amber hospitam")

    verdict = verify(text)

    lines = [decode_entry(line) for line in lines_of(text)]
    rows = [(Purpose.LEDGER_ROW, one.signature) for one in lines if isinstance(one, RowLine)]
    assert verdict.outcome is Outcome.TAMPERED
    assert [tried[row] for row in rows] == [1] * (len(rows) - 1) + [2]  # once for the chain
    assert {count for (purpose, _), count in tried.items() if purpose in PAPERS} == {1}


def test_a_bundle_whose_seal_is_broken_is_tampered_whatever_is_found(monkeypatch):
    """That nothing is named is no word for the bundle."""
    nothing = find_changed(*_whole())
    monkeypatch.setattr(verifying, "find_changed", lambda *_: nothing)
    text = made.bundle()

    found = [verify(flipped(text, at, 1)) for at in range(40, len(text), len(text) // 60)]

    assert {each.outcome for each in found} == {Outcome.TAMPERED}


def _whole():
    bundle, _ = read_bundle(made.bundle())
    return bundle, trust_in(bundle, made.KEYS)


def test_nothing_is_found_in_a_whole_bundle():
    """The control; and its tree is the one that its end states."""
    bundle, trust = _whole()

    found = find_changed(bundle, trust)

    assert found.findings == ()
    assert found.replayed.roots == {bundle.end.size: bundle.end.root}
    assert len(found.papers.plans) == 2


@pytest.mark.parametrize("body", [b"{}", b"[]", b"\xff", b'{"seq":1}', b"[" * 100_000])
def test_what_is_no_row_is_named(body):
    """Whatever stands in a row's line."""
    lines = list(lines_of(made.bundle()))
    odd = encode_entry(RowLine(body, bytes(64)))

    verdict = verify(joined([*lines[:4], odd, *lines[5:]]))

    assert named(verdict) == (Outcome.TAMPERED, 5)
