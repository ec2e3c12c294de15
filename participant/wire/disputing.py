"""What an auditor and the two holders of a disputed component write to each other.

    dispute/ask        auditor to seat   which hashes it wants, or which leaf; signed
    dispute/shown      seat to auditor   one of what it wants, sealed to the auditor; signed
    dispute/working    seat to auditor   nothing but that the seat is at work; empty

All of them go through the coordinator, which must not read a leaf: words of a component are
uniform to everybody but the third seat, and that one may be the coordinator's own. So what is
shown is sealed with HPKE to the key that the auditor has in the roster, and bound to round,
plan, cohort, component, seat, auditor and place: under another name it does not open.
"""

from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.documents import Signed, check_signer, pack, unpack
from privacy.errors import MalformedMessage, WrongContext
from privacy.identifiers import Digest, FederationId, ParticipantId, sha256_hex
from privacy.plan import Plan
from privacy.records import Round, SeatSum
from privacy.roster import Member, Roster
from privacy.schemes.shares.evidence import ChunkRoots, LeafHashes, ShownLeaf
from privacy.schemes.shares.layout import held_by, shared_by
from privacy.sealing import HpkeKeyPair, Sealed, open_sealed, seal, seal_context
from privacy.signing import Purpose, sign

ASK: Final = "dispute/ask"
SHOWN: Final = "dispute/shown"
WORKING: Final = "dispute/working"
TOPICS: Final = "dispute/"

Shows = ChunkRoots | LeafHashes | ShownLeaf
"""What a seat shows."""

_Index = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One holder of one disputed component, before one auditor; part of every letter."""

    federation: FederationId
    round: Round
    plan: Digest
    cohort: Digest
    component: Annotated[int, msgspec.Meta(ge=0, le=2)]
    seat: ParticipantId
    auditor: ParticipantId


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an auditor wants to see: roots of all chunks, hashes of one chunk, or one leaf.

    Raises:
        MalformedMessage: a leaf of no chunk.
    """

    chunk: _Index | None = None
    leaf: _Index | None = None

    def __post_init__(self) -> None:
        if self.chunk is None and self.leaf is not None:
            raise MalformedMessage(f"leaf {self.leaf} of no chunk")

    def kind(self) -> type[Shows]:
        """Return what an answer is."""
        if self.leaf is not None:
            return ShownLeaf
        return ChunkRoots if self.chunk is None else LeafHashes


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ask"):
    """An auditor's question, signed by it."""

    case: Case
    wanted: Wanted


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="shown"):
    """That a seat shows something: of its own sum or of one site, and the digest of its seal."""

    case: Case
    wanted: Wanted
    site: ParticipantId | None
    sealed: Digest


def ask(case: Case, wanted: Wanted, key: Ed25519PrivateKey) -> bytes:
    """Return the letter in which an auditor asks; the same each time."""
    return pack(_signed(Ask(case, wanted), case.auditor, key))


def read_ask(body: bytes, case: Case, auditor: Member) -> Wanted:
    """Return what the auditor of a case wants to see of it.

    Raises:
        MalformedMessage: the letter is no question.
        InvalidSignature: the auditor has not signed it.
        WrongContext: it is about something else.
    """
    signed = unpack(body)
    check_signer(signed, Purpose.DISPUTE, case.auditor, auditor.signing_key)
    question = canonical.decode(signed.body, Ask)
    _require(question.case, case)
    return question.wanted


def show(
    case: Case,
    wanted: Wanted,
    site: str | None,
    shows: Shows,
    auditor: Member,
    key: Ed25519PrivateKey,
) -> bytes:
    """Return the letter in which a seat shows something to the auditor, and to nobody else.

    Args:
        site: whose it is; None for the seat's own sum.
    """
    sealed = seal(auditor.sealing_key, _seal_info(case, wanted, site), canonical.encode(shows))
    signed = _signed(Shown(case, wanted, site, sha256_hex(sealed)), case.seat, key)
    return join(signed, sealed)


def read_shown(
    body: bytes, case: Case, pair: HpkeKeyPair, seat: Member
) -> tuple[Wanted, str | None, Shows]:
    """Return what a seat shows: the answer to what, of whom, and what it is.

    Raises:
        MalformedMessage: the letter is no answer, or does not open with this key.
        InvalidSignature: the seat has not signed it.
        WrongContext: it is about something else.
    """
    signed, sealed = split(body)
    check_signer(signed, Purpose.DISPUTE, case.seat, seat.signing_key)
    shown = canonical.decode(signed.body, Shown)
    _require(shown.case, case)
    if sha256_hex(sealed) != shown.sealed:
        raise MalformedMessage(f"{case.seat} has signed another seal than this one")
    opened = open_sealed(pair, _seal_info(case, shown.wanted, shown.site), sealed)
    return shown.wanted, shown.site, canonical.decode(opened, shown.wanted.kind())


def check_statement(
    plan: Plan, roster: Roster, seat: str, cohort: Digest, signed: Signed
) -> SeatSum:
    """Return what a seat of the plan states as its sums over a cohort.

    Raises:
        WrongIdentity: it is not in the roster.
        InvalidSignature: it has not signed this.
        MalformedMessage: no statement, or of other components than it holds.
        WrongContext: about another round, plan or cohort, or another's.
    """
    check_signer(signed, Purpose.SEAT_SUM, seat, roster.member(seat).signing_key)
    statement = canonical.decode(signed.body, SeatSum)
    terms, stated = plan.terms, (statement.federation, statement.round, statement.plan)
    if stated != (terms.federation, terms.round, plan.digest()):
        raise WrongContext(f"round {terms.round}: {seat} states sums of another round or plan")
    if (statement.seat, statement.cohort) != (seat, cohort):
        raise WrongContext(f"round {terms.round}: {seat} states sums of another cohort")
    if tuple(each.component for each in statement.sums) != held_by(terms.seats.index(seat)):
        raise MalformedMessage(f"round {terms.round}: {seat} states what it does not hold")
    return statement


def root_in(statement: SeatSum, component: int) -> Digest:
    """Return the root that a checked statement gives to one component that its seat holds."""
    return next(each.root for each in statement.sums if each.component == component)


def component_between(plan: Plan, disputed: tuple[str, ...]) -> int:
    """Return the component that two seats of a plan share.

    Raises:
        WrongContext: they are not two seats of this plan.
    """
    seats = plan.terms.seats
    if len(set(disputed)) != 2 or len(disputed) != 2 or not set(disputed) <= set(seats):
        raise WrongContext(
            f"round {plan.terms.round}: a dispute between {', '.join(disputed)}; seats are "
            f"{', '.join(seats)}"
        )
    one, other = disputed
    return shared_by(seats.index(one), seats.index(other))


def join(signed: Signed, sealed: bytes) -> bytes:
    """Return a document and what is sealed beside it as one letter."""
    document = pack(signed)
    return len(document).to_bytes(4, "big") + document + sealed


def split(body: bytes) -> tuple[Signed, bytes]:
    """Return what `join` put together.

    Raises:
        MalformedMessage: it is no such letter.
    """
    end = 4 + int.from_bytes(body[:4], "big")
    if not 4 < end <= len(body):
        raise MalformedMessage(f"a letter of {len(body)} bytes is cut")
    return unpack(body[4:end]), body[end:]


def _signed(record: Ask | Shown, signer: str, key: Ed25519PrivateKey) -> Signed:
    body = canonical.encode(record)
    return Signed(body, {signer: sign(key, Purpose.DISPUTE, body)})


def _require(found: Case, case: Case) -> None:
    if found != case:
        raise WrongContext(
            f"round {found.round}: a letter about component {found.component} of {found.seat}, "
            f"expected round {case.round}, component {case.component} of {case.seat}, and of its "
            "plan and cohort"
        )


def _seal_info(case: Case, wanted: Wanted, site: str | None) -> bytes:
    # The case's canonical form names all that it is of; a place that is not asked for is empty.
    place = ("" if at is None else str(at) for at in (wanted.chunk, wanted.leaf))
    fields = (each.encode() for each in (*place, site or ""))
    return seal_context(Sealed.DISPUTE, canonical.encode(case), *fields)
