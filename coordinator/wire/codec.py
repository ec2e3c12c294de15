"""Wire to values and back: the only file, with the servicer, that knows both."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from coordinator.rounds import programme
from coordinator.rounds.scoring import MOST_SCORED
from coordinator.rounds.state import LeftOut, Phase, Round, Scoring
from coordinator.settling.shown import OwnSlot, Receipt, SumPath
from privacy import canonical
from privacy.documents import Signed
from privacy.enrolment import Proven
from privacy.errors import MalformedMessage
from privacy.roster import SignedRoster
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Domain, Entitlement
from veilsum.v1 import document_pb2, enrolment_pb2, round_pb2, settlement_pb2

MOST_LEFT_OUT: Final = 200
"""What seats left out, as far as one status tells it: one seat's reasons fill no message."""

MOST_SAID_BYTES: Final = 1 << 18
"""Names and reasons of those left out that one answer tells of, over all its rounds."""

MOST_ABORTED: Final = 5
"""Aborted rounds that are shown: months without a release fill no message."""

MOST_AT_ONCE: Final = 1 << 20
"""Bytes of documents in one answer."""

_FIELD_BYTES: Final = 8  # a tag and a length

Document: TypeAlias = document_pb2.SignedDocument
Message = TypeVar("Message", document_pb2.SignedDocument, enrolment_pb2.EntryProof)
SecondsLeft: TypeAlias = Callable[[int, Sequence[str]], float]

_PHASES: Mapping[Phase, round_pb2.Phase.ValueType] = {
    phase: round_pb2.Phase.Value(f"PHASE_{phase.name}") for phase in Phase
}

_SCORINGS: Mapping[Scoring, round_pb2.Scoring.ValueType] = {
    Scoring.NONE: round_pb2.SCORING_UNSPECIFIED,
    Scoring.STATING: round_pb2.SCORING_STATING,
    Scoring.JUDGING: round_pb2.SCORING_JUDGING,
    Scoring.OVER: round_pb2.SCORING_OVER,
}


def signed_from_wire(document: document_pb2.SignedDocument) -> Signed:
    """Return a signed document.

    Raises:
        MalformedMessage: a signer stands twice.
    """
    signatures = {each.signer: each.value for each in document.signatures}
    if len(signatures) != len(document.signatures):
        raise MalformedMessage("a document is signed twice by one signer")
    return Signed(document.body, signatures)


def signed_to_wire(signed: Signed) -> document_pb2.SignedDocument:
    """Return a signed document as it travels."""
    return document_pb2.SignedDocument(body=signed.body, signatures=_signatures(signed.signatures))


def pem_from_wire(body: bytes) -> str:
    """Return what is sent as PEM, as text.

    Raises:
        MalformedMessage: it is none.
    """
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise MalformedMessage("not a certificate request in PEM") from None


def rosters_to_wire(versions: Iterable[SignedRoster]) -> list[document_pb2.SignedDocument]:
    """Return the roster's versions as they travel."""
    return [
        document_pb2.SignedDocument(
            body=canonical.encode(each.roster), signatures=_signatures(each.signatures)
        )
        for each in versions
    ]


def proofs_to_wire(proofs: Iterable[Proven]) -> list[enrolment_pb2.EntryProof]:
    """Return what members have asked for themselves, as it travels."""
    return [enrolment_pb2.EntryProof(asked=each.asked.body(), proof=each.proof) for each in proofs]


def fitting(documents: Sequence[Message], room: int) -> list[Message]:
    """Return the first of these messages that have room together, and one at least."""
    found = list(documents[:1])
    room -= sum(each.ByteSize() + _FIELD_BYTES for each in found)
    for each in documents[1:]:
        room -= each.ByteSize() + _FIELD_BYTES
        if room < 0:
            break
        found.append(each)
    return found


def statuses_to_wire(
    rounds: Mapping[int, Round], seconds_left: SecondsLeft | None = None
) -> list[round_pb2.RoundStatus]:
    """Return the rounds that members still have something to do with.

    Every round that is not over, the last that released a model, of those whose scores are waited
    for the newest and the oldest, and of those that were aborted since the last few, for people to
    read why. Openers that are behind judge the oldest, and are shown the next one then.

    Args:
        seconds_left: when the uploads of a round but those of its sites that are named are there.
    """
    last = programme.last_released(rounds)
    scored = [number for number in sorted(rounds) if _has_scoring(rounds[number])]
    shown = {number for number, each in rounds.items() if number == last or not each.is_over()}
    shown |= {*scored[:1], *scored[-MOST_SCORED:]}
    aborted = [n for n in sorted(rounds) if n > last and rounds[n].phase is Phase.ABORTED]
    found = [
        _status_to_wire(rounds[number]) for number in sorted({*shown, *aborted[-MOST_ABORTED:]})
    ]
    for each in found:
        if seconds_left is not None and each.phase == _PHASES[Phase.OPEN]:
            each.seconds_left = seconds_left(each.number, each.committed)
    _shorten(found)
    return found


def payout_to_wire(
    entitlement: Entitlement | None, commit: Commit, contract: str, rounds: int
) -> settlement_pb2.GetPayoutResponse:
    """Return a payee's entitlement as it travels."""
    return settlement_pb2.GetPayoutResponse(
        entitlement=canonical.encode(entitlement) if entitlement else b"",
        contract=contract,
        rounds=rounds,
        commit=canonical.encode(commit),
    )


def receipt_to_wire(domain: Domain, receipt: Receipt) -> settlement_pb2.GetReceiptResponse:
    """Return a receipt as it travels, with where it counts."""
    return settlement_pb2.GetReceiptResponse(
        slot_id=receipt.slot.slot_id,
        contribution=receipt.slot.contribution,
        signature=receipt.signature,
        programme=bytes.fromhex(domain.programme),
        contract=domain.contract,
        chain_id=domain.chain_id,
    )


def sum_paths_to_wire(
    own: OwnSlot, paths: Iterable[SumPath]
) -> Iterator[settlement_pb2.GetSumPathsResponse]:
    """Yield a slot, and the way of each of its leaves, as they travel."""
    slot = settlement_pb2.OwnSlot(
        slot=own.index, slot_id=own.slot_id, cohort_path=b"".join(own.path)
    )
    yield settlement_pb2.GetSumPathsResponse(own=slot)
    for each in paths:
        leaf = settlement_pb2.SumPath(digest=each.digest, steps=b"".join(each.steps))
        yield settlement_pb2.GetSumPathsResponse(leaf=leaf)


def hashes_to_wire(hashes: bytes) -> Iterator[settlement_pb2.GetSumTreeResponse]:
    """Yield hashes as they travel, as many at once as a message holds."""
    for at in range(0, len(hashes), MOST_AT_ONCE):
        yield settlement_pb2.GetSumTreeResponse(hashes=hashes[at : at + MOST_AT_ONCE])


def _status_to_wire(current: Round) -> round_pb2.RoundStatus:
    scored = _has_scoring(current)
    return round_pb2.RoundStatus(
        number=current.number,
        phase=_PHASES[current.phase],
        turn=current.whose_turn(),
        openers=current.rules.openers,
        key_record=current.key_record,
        key_signers=current.key_signers,
        plan=current.plan,
        committed=[entry.participant for entry in current.committed],
        cohort=current.cohort,
        sum=current.sum,
        sealed_model=current.sealed_model,
        agreed=current.agreed,
        reason=current.reason,
        auditor=current.rules.auditor,
        seats=current.rules.seats,
        candidates=current.candidates,
        judged=[each.seat for each in current.judged],
        certified=current.certified,
        summed=[each.seat for each in current.stated],
        left_out=[_left_out_to_wire(each) for each in current.left_out[:MOST_LEFT_OUT]],
        disputed=current.disputed.seats if current.disputed else (),
        liars=current.liars,
        stragglers=[
            round_pb2.Straggler(participant=each.participant, reason=each.reason)
            for each in current.stragglers
        ],
        scoring=_SCORINGS[Scoring.NONE if current.rules.seats else current.scoring],
        stated=current.products if scored else (),
        scored=[each.signer for each in current.scored] if scored else (),
    )


def _has_scoring(current: Round) -> bool:
    # What openers have to do. Seats are asked for nothing: theirs was theirs to do before.
    return current.is_scored() and not current.rules.seats


def _shorten(statuses: Iterable[round_pb2.RoundStatus]) -> None:
    """Leave out what is said of those left out, of older rounds first, beyond what has room."""
    room = MOST_SAID_BYTES
    for status in sorted(statuses, key=lambda each: -each.number):
        for said in (status.stragglers, status.left_out):
            kept = 0
            while kept < len(said) and room >= said[kept].ByteSize():
                room -= said[kept].ByteSize()
                kept += 1
            del said[kept:]


def _left_out_to_wire(each: LeftOut) -> round_pb2.LeftOut:
    return round_pb2.LeftOut(
        participant=each.participant, seat=each.seat, code=each.code, reason=each.reason
    )


def _signatures(signatures: Mapping[str, bytes]) -> list[document_pb2.Signature]:
    return [
        document_pb2.Signature(signer=signer, value=value)
        for signer, value in sorted(signatures.items())
    ]
