"""The form of an evidence bundle: one text file, one canonical JSON object a line.

    {"kind":"head",…}                   what it is evidence of, and whose key signs it
    {"kind":"config",…}                 a site's policy as it stands; not of a run
    {"kind":"row","row":{…},…}          a site's ledger, all rows in order; not of a run
    {"kind":"document",…}               what was signed in rounds, in order of round and purpose
    {"kind":"chain",…}                  what a chain says was paid; may be absent
    {"kind":"end",…}                    size and root of the ledger, SHA-256 of all bytes before

After each object comes one line feed, and nothing else. A value has one encoding, so that a
changed byte is either another value, which a signature covers, or no bundle at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, ClassVar, Final, Literal, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.errors import ConfigError, InvalidSignature, MalformedMessage
from privacy.events import DecimalText
from privacy.identifiers import Digest, FederationId, ParticipantId
from privacy.learned import learned
from privacy.settlement.payouts import Address, Amount, Domain
from privacy.signing import Purpose, public_bytes, sign, verify

LARGEST_BUNDLE: Final = 1 << 28
"""Bytes; a larger one is refused unread."""

Hex32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Signature = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]

_ROW: Final = (b'{"kind":"row","row":', b',"signature":"', b'"}')
_SIGNATURE_DIGITS: Final = 128


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="head"):
    """What the bundle is evidence of, and who says so under which key.

    `made` is a time by the maker's own clock; nothing rests on it.
    """

    v: Literal[1]
    evidence: Literal["site", "run"]
    federation: FederationId
    participant: ParticipantId
    organisation: Text
    key: Hex32
    made: Annotated[str, msgspec.Meta(max_length=40)]
    software: dict[Text, Text]


class Config(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="config"
):
    """The site's own policy as it stood when the bundle was made. It says of no one how many."""

    delta: DecimalText
    epsilon_for_life: DecimalText
    epsilon_per_round: DecimalText
    vector_epsilon_for_life: DecimalText
    vector_epsilon_per_round: DecimalText
    unit: UnitOfPrivacy
    neighbouring: NeighbouringRelation
    mechanisms: tuple[Text, ...]
    schemes: tuple[Text, ...]
    releases: tuple[Text, ...]
    smallest_cohort: Count
    without_auditor: bool


class Document(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="document"
):
    """What was signed in a round, byte for byte, and the signatures on it, by signer.

    `round` is 0 for a roster, whose version stands in it.
    """

    purpose: Purpose
    round: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    body: bytes
    signatures: dict[ParticipantId, Signature]

    def order(self) -> tuple[int, str, bytes]:
        """Return what documents of a bundle are sorted by."""
        return (self.round, self.purpose, self.body)


class Paid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="chain"):
    """What the contract had paid to a participant when it was asked, and for how many rounds.

    `claimed` is the contract's word; `rounds` is the coordinator's, from the settlement.
    """

    domain: Domain
    payee: Address
    claimed: Amount
    rounds: Count
    block: Count


class Sealing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the maker signs at the end: the ledger's tree head, and SHA-256 of all lines before."""

    size: Count
    root: Digest
    lines: Digest


class End(Sealing, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="end"):
    """The last line."""

    signature: Signature

    def sealing(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical.encode(Sealing(self.size, self.root, self.lines))


@dataclass(frozen=True, slots=True)
class RowLine:
    """A row of the ledger: canonical JSON as it was signed, and the signature, 64 bytes."""

    kind: ClassVar[str] = "row"
    body: bytes
    signature: bytes


Entry = Head | Config | RowLine | Document | Paid | End

_KINDS: Final[dict[str, type[Head | Config | Document | Paid | End]]] = {
    "head": Head,
    "config": Config,
    "document": Document,
    "chain": Paid,
    "end": End,
}
_PLACES: Final = (Head, Config, RowLine, Document, Paid, End)
_Placed = TypeVar("_Placed", Head, Config, RowLine, Document, Paid, End)

EMPTY_ROOT: Final = sha256(b"").hexdigest()
"""The root of a tree without leaves, for a bundle without a ledger (RFC 6962, section 2.1)."""


@dataclass(frozen=True)
class Bundle:
    """The entries of a bundle in order, each with its number from 1; nothing in it is checked."""

    entries: tuple[Entry, ...]

    @property
    def head(self) -> Head:
        """The first entry."""
        first = self.entries[0]
        assert isinstance(first, Head)  # `check_order` has seen to it, and to the end
        return first

    @property
    def end(self) -> End:
        """The last entry."""
        last = self.entries[-1]
        assert isinstance(last, End)  # as above
        return last

    def only(self, kind: type[_Placed]) -> list[tuple[int, _Placed]]:
        """Return the entries of one kind, each behind its number."""
        return [(at, one) for at, one in enumerate(self.entries, 1) if isinstance(one, kind)]

    def documents(self, *purposes: Purpose) -> list[tuple[int, Document]]:
        """Return the documents signed for one of some purposes, each behind its number."""
        return [(at, one) for at, one in self.only(Document) if one.purpose in purposes]


def is_bundle(text: bytes) -> bool:
    """Return whether bytes were ever meant as a bundle, whatever became of them since."""
    return any(b'"kind":"' + kind in text for kind in (b"head", b"row", b"document", b"end"))


def check_transit(text: bytes) -> None:
    """Return if nothing was done to a bundle that editors and mail programs do to texts.

    Raises:
        MalformedMessage: something was, in words for whoever received it.
    """
    again = "ask for it again as a binary file"
    if text.startswith(b"\xef\xbb\xbf"):
        raise MalformedMessage(f"a byte order mark was put before it in transit; {again}")
    if b"\r" in text:
        raise MalformedMessage(f"line endings were changed in transit; {again}")
    if text.endswith((b"\n\n", b"\n ", b"\n\t")):
        raise MalformedMessage(f"empty lines were put behind it in transit; {again}")


class _Kind(msgspec.Struct, frozen=True):
    kind: str


def lines_of(text: bytes) -> Iterator[bytes]:
    """Yield the lines of a bundle, each without the line feed that must end it.

    Raises:
        MalformedMessage: too large, or the last line has no end.
    """
    if len(text) > LARGEST_BUNDLE:
        raise MalformedMessage(f"a bundle of {len(text)} bytes, more than {LARGEST_BUNDLE}")
    start = 0
    while start < len(text):
        stop = text.find(b"\n", start)
        if stop < 0:
            raise MalformedMessage("the file ends within a line; its end is missing")
        yield text[start:stop]
        start = stop + 1


def decode_entry(line: bytes) -> Entry:
    """Return the entry that a line encodes, if it is the one encoding of it.

    The row in a row's line is canonical JSON; that it is one of a ledger, `follow` sees to.

    Raises:
        MalformedMessage: it is none.
    """
    if line.startswith(_ROW[0]):
        return _row_line(line)
    if len(line) > canonical.LARGEST_DOCUMENT:
        raise MalformedMessage(f"{len(line)} bytes in a line, more than any entry has")
    try:
        kind = msgspec.json.decode(line, type=learned(_Kind)).kind
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedMessage("not a JSON object that says its kind") from None
    if kind not in _KINDS:
        raise MalformedMessage(f"no entry of a bundle is of kind {kind[:40]!r}")
    entry: Entry = canonical.decode(line, _KINDS[kind])
    return entry


def encode_entry(entry: Entry) -> bytes:
    """Return the line of an entry, without its line feed."""
    if isinstance(entry, RowLine):
        return b"".join((_ROW[0], entry.body, _ROW[1], entry.signature.hex().encode(), _ROW[2]))
    return canonical.encode(entry)


def check_order(before: Entry | None, entry: Entry) -> None:
    """Return if `entry` may come right after `before`; None stands for the start of the file.

    Raises:
        MalformedMessage: it may not.
    """
    if (before is None) != isinstance(entry, Head) or isinstance(before, End):
        raise MalformedMessage("a bundle is one head, what it holds, and one end")
    if before is None:
        return
    place, last = _PLACES.index(type(entry)), _PLACES.index(type(before))
    repeated = isinstance(entry, RowLine | Document) and place == last
    if not (place > last or repeated):
        raise MalformedMessage(f"a {_PLACES[place].__name__} after a {_PLACES[last].__name__}")
    if isinstance(entry, Document) and isinstance(before, Document):
        _check_documents(before, entry)


def seal(entries: Iterator[Entry], size: int, root: Digest, key: Ed25519PrivateKey) -> bytes:
    """Return a whole bundle: all `entries`, the head first, and an end that `key` signs.

    Args:
        size, root: of the ledger's tree; 0 and `EMPTY_ROOT` without a ledger.

    Raises:
        ConfigError: it would be larger than any verifier reads.
    """
    text = b"".join(encode_entry(entry) + b"\n" for entry in entries)
    sealing = Sealing(size, root, sha256(text).hexdigest())
    signature = sign(key, Purpose.EVIDENCE, canonical.encode(sealing)).hex()
    end = End(sealing.size, sealing.root, sealing.lines, signature)
    whole = text + encode_entry(end) + b"\n"
    if len(whole) > LARGEST_BUNDLE:
        raise ConfigError(
            f"a bundle of {len(whole)} bytes, more than {LARGEST_BUNDLE}, which is the most that "
            "is verified; nothing is lost: keep the state folder, and ask the developers of "
            "Veilsum for a version that reads more"
        )
    return whole


def check_sealed(text: bytes, bundle: Bundle) -> None:
    """Return if the last line is signed by the head's key, over all bytes before it.

    Raises:
        InvalidSignature: it is not; somebody else has written it, or changed what it seals.
    """
    end = bundle.end
    verify(
        bytes.fromhex(bundle.head.key),
        Purpose.EVIDENCE,
        end.sealing(),
        bytes.fromhex(end.signature),
    )
    before = text[: text.rindex(b"\n", 0, len(text) - 1) + 1]
    if sha256(before).hexdigest() != end.lines:
        raise InvalidSignature("not the bytes that the last line was signed over")


def key_hex(key: Ed25519PrivateKey) -> str:
    """Return the public key of `key` as heads and rows spell it."""
    return public_bytes(key).hex()


def _row_line(line: bytes) -> RowLine:
    before, after = len(_ROW[0]), len(_ROW[1]) + _SIGNATURE_DIGITS + len(_ROW[2])
    digits = line[-_SIGNATURE_DIGITS - len(_ROW[2]) : -len(_ROW[2])]
    if set(digits) - set(b"0123456789abcdef"):
        raise MalformedMessage("a row without its signature")
    found = RowLine(line[before : len(line) - after], bytes.fromhex(digits.decode()))
    if encode_entry(found) != line:
        raise MalformedMessage("not a row with its signature")
    return found


def _check_documents(before: Document, entry: Document) -> None:
    if not before.order() < entry.order():
        raise MalformedMessage(
            f"{entry.purpose} of round {entry.round}: documents are not in order, or one is twice"
        )
