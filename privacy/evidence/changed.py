"""What of a bundle is not as it was signed, by its bytes alone, and soon.

    chain of the rows ─▶ documents that nothing names ─▶ all documents ─▶ signatures of the rows

For a bundle whose seal is broken: somebody changed it, and the question is where. No row is read,
so that what the ledger states, true or not, is not asked about. Rows are signed and chained as
bytes: a changed one breaks the chain after it, or its signature.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import Final

import msgspec

from privacy import signing
from privacy.errors import (
    InvalidSignature,
    MalformedMessage,
    RootMismatch,
    VeilsumError,
    WrongIdentity,
)
from privacy.identifiers import Digest, ParticipantId
from privacy.learned import learned
from privacy.ledger import START, LedgerState
from privacy.log_tree import log_of
from privacy.signing import Purpose

from .ahead import Ahead
from .bundle import Bundle, Count, Document, Hex32, RowLine
from .finding import Check, Finding, Outcome, outcome_of
from .papers import Papers, check_signatures, name_of, read_papers
from .replay import Replayed
from .trust import Trust

_NAME: Final = re.compile(rb'"([0-9a-f]{64})"')
"""A digest, as rows and documents name each other by."""


class _Link(msgspec.Struct, frozen=True):
    """What of a row says where it belongs; its other members are passed over."""

    seq: Count
    prev: Digest
    ledger: ParticipantId
    key: Hex32


@dataclass(frozen=True)
class Changed:
    """What is not as it was signed.

    Attributes:
        replayed: the rows before the first that was changed, as a tree; nothing in them is read.
        papers: the documents, where the rows before them hold.
        findings: the first row that was changed, or else documents: of these the ones that nothing
            names, or each. None where something else was changed, or taken out behind the rows.
    """

    replayed: Replayed
    papers: Papers
    findings: tuple[Finding, ...]


def find_changed(bundle: Bundle, trust: Trust) -> Changed:
    """Return what of `bundle` is not as it was signed."""
    with Ahead() as ahead:
        return _find_changed(bundle, trust, ahead)


def _find_changed(bundle: Bundle, trust: Trust, ahead: Ahead) -> Changed:
    ledger = _Lines(bundle, trust)
    papers = Papers()
    found: tuple[Finding, ...] = ()
    if ledger.is_chained():
        # Nothing but a row's signature may have been changed in the ledger. What something else
        # names by its digest has its bytes. So both of these come later.
        unnamed = _unnamed(bundle, trust)
        found = tuple(chain.from_iterable(ahead.run(unnamed)))
        if not found:
            tried = frozenset(each.entry for each in unnamed)
            found = tuple(read_papers(bundle, trust, papers, tried))
        if outcome_of(found) is Outcome.TAMPERED:
            return Changed(ledger.up_to(len(ledger.lines)), papers, found)
    whole, why = ledger.first_changed(ahead)
    return Changed(ledger.up_to(whole), papers, (*found, *why))


def _unnamed(bundle: Bundle, trust: Trust) -> list[Check]:
    """Return the checks of who signed the documents that no row and no document names."""
    if not trust.versions:
        return []
    documents = [one for one in bundle.only(Document) if one[1].purpose is not Purpose.ROSTER]
    bodies = chain(
        (row.body for _, row in bundle.only(RowLine)), (one.body for _, one in documents)
    )
    named = {name.decode() for body in bodies for name in _NAME.findall(body)}
    return [
        Check(at, partial(check_signatures, one, trust))
        for at, one in documents
        if name_of(one) not in named
    ]


class _Lines:
    """The rows of a bundle as bytes, and who may have signed them."""

    def __init__(self, bundle: Bundle, trust: Trust) -> None:
        self.lines: Sequence[tuple[int, RowLine]] = bundle.only(RowLine)
        self._owner = bundle.head.participant
        self._keys = {key.hex() for key in trust.keys_of(self._owner)}

    def is_chained(self) -> bool:
        """Return whether each row names the one before, and the last one, so all, are signed."""
        try:
            links = [self._linked(index) for index in range(len(self.lines))]
            if links:
                self._check_signature(len(links) - 1, links[-1])
        except VeilsumError:
            return False
        return True

    def first_changed(self, ahead: Ahead) -> tuple[int, tuple[Finding, ...]]:
        """Return how many rows are whole, and what is wrong with the next, if there is one."""
        checks = [
            Check(at, partial(self._check_row, index)) for index, (at, _) in enumerate(self.lines)
        ]
        for index, why in enumerate(ahead.run(checks)):
            if why:
                return index, why
        return len(self.lines), ()

    def up_to(self, count: int) -> Replayed:
        """Return the tree over the first `count` rows, and nothing that they say."""
        log = log_of(line.body for _, line in self.lines[:count])
        state = LedgerState(seq=count, head=self._head(count), log=log)
        return Replayed(state, (), {count: log.root().hex()}, ())

    def _check_row(self, index: int) -> None:
        self._check_signature(index, self._linked(index))

    def _linked(self, index: int) -> _Link:
        link, head = _link_of(self.lines[index][1].body), self._head(index)
        if (link.seq, link.prev) != (index + 1, head):
            raise RootMismatch(
                f"row {link.seq} after {link.prev[:16]}…: row {index + 1} is expected after "
                f"{head[:16]}…"
            )
        if link.ledger != self._owner:
            raise WrongIdentity(
                f"row {link.seq}: of the ledger of {link.ledger}, not of {self._owner}"
            )
        return link

    def _head(self, count: int) -> str:
        return sha256(self.lines[count - 1][1].body).hexdigest() if count else START

    def _check_signature(self, index: int, link: _Link) -> None:
        line = self.lines[index][1]
        if link.key not in self._keys:
            raise InvalidSignature(
                f"row {index + 1}: signed by {link.key[:16]}…, a key not known here"
            )
        signing.verify(bytes.fromhex(link.key), Purpose.LEDGER_ROW, line.body, line.signature)


def _link_of(body: bytes) -> _Link:
    try:
        return msgspec.json.decode(body, type=learned(_Link))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("not a row: no JSON object that says which row it is") from None
