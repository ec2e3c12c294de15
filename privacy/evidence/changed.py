"""What of a bundle is not as it was signed, by its bytes alone, and soon.

    chain of the rows ─▶ documents ─▶ signatures of the rows

For a bundle whose seal is broken: somebody changed it, and the question is where. No row is read,
so that what the ledger states, true or not, is not asked about. Rows are signed and chained as
bytes: a changed one breaks the chain after it, or its signature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

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
from privacy.ledger import START, LedgerState
from privacy.log_tree import log_of
from privacy.signing import Purpose

from .bundle import Bundle, Count, Hex32, RowLine
from .finding import Finding, Outcome, outcome_of
from .papers import Papers, read_papers
from .replay import Replayed
from .trust import Trust


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
        findings: the first row that was changed, or else each document; nothing of both is found
            where head, configuration, chain or end was changed, or the last rows are missing.
    """

    replayed: Replayed
    papers: Papers
    findings: tuple[Finding, ...]


def find_changed(bundle: Bundle, trust: Trust) -> Changed:
    """Return what of `bundle` is not as it was signed."""
    ledger = _Lines(bundle, trust)
    papers, found = Papers(), ()
    if ledger.is_chained():
        # Nothing but a signature of a row may have been changed in the ledger, and to try them
        # all takes longer than to look at the documents first.
        found = tuple(read_papers(bundle, trust, papers))
        if outcome_of(found) is Outcome.TAMPERED:
            return Changed(ledger.up_to(len(ledger.lines)), papers, found)
    whole, why = ledger.first_changed()
    return Changed(ledger.up_to(whole), papers, (*found, *why))


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

    def first_changed(self) -> tuple[int, tuple[Finding, ...]]:
        """Return how many rows are whole, and what is wrong with the next, if there is one."""
        for index, (at, _) in enumerate(self.lines):
            try:
                self._check_signature(index, self._linked(index))
            except VeilsumError as error:
                return index, (Finding(Outcome.TAMPERED, at, str(error)),)
        return len(self.lines), ()

    def up_to(self, count: int) -> Replayed:
        """Return the tree over the first `count` rows, and nothing that they say."""
        log = log_of(line.body for _, line in self.lines[:count])
        state = LedgerState(seq=count, head=self._head(count), log=log)
        return Replayed(state, (), {count: log.root().hex()}, ())

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
        return msgspec.json.decode(body, type=_Link)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("not a row: no JSON object that says which row it is") from None
