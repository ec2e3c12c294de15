"""No message of the protocol is larger than a channel lets through, at the federation's limits.

Every method states the largest of its requests and answers here, so a new one must as well.
A stream is bounded message by message.
"""

import pytest
from msgspec.structs import replace

from coordinator.members import capacity, enrolment
from coordinator.rounds import verify
from coordinator.rounds.scoring import MOST_SCORED
from coordinator.rounds.state import (
    LeftOut,
    Phase,
    Round,
    Rules,
    Scored,
    Scoring,
    Stated,
    Straggler,
)
from coordinator.server import _OPTIONS, PROTOS
from coordinator.wire import codec
from participant.wire.channel import LARGEST_MESSAGE
from privacy import canonical
from privacy.contribution.sealed_products import SEALED_BYTES
from privacy.documents import Signed
from privacy.errors import ConfigError, MalformedMessage
from privacy.records import Entry, Refused, Score, Scores, SealedModel, Verdict, Wrap, Wraps
from privacy.roster import Member, Role
from privacy.sealing import CONTENT_KEY_BYTES, SEAL_OVERHEAD
from privacy.settlement.commitment import Commit
from privacy.settlement.payouts import Entitlement
from privacy.settlement.pledge import LARGEST_PLEDGE
from tests import fakes
from tests.coordinator.members.test_capacity import key_of, most
from tests.coordinator.seated_round import make_roster
from veilsum.v1 import (
    cohort_pb2,
    contribution_pb2,
    document_pb2,
    enrolment_pb2,
    model_pb2,
    operator_pb2,
    round_pb2,
    score_pb2,
    seat_pb2,
    settlement_pb2,
)

MIB = 1 << 20
DIGEST = "f" * 64
NAME = "hospital-with-the-longest-name-that-a-certificate-may-carry"


def name_of(at):
    """Return one of many names, each as long as a name may be."""
    return f"{NAME}{at:04d}"


def member(at):
    name = name_of(at)
    return Member(name, name, (Role.TRAINER,), key_of(f"s{name}", 32), key_of(f"k{name}", 1216))


def federation(count):
    return replace(make_roster(), members=tuple(member(at) for at in range(count)))


MEMBERS = most(capacity.check_members, 1, 1_000)
ROLES = ("trainer", "participant", "aggregator", "auditor", "operator")
NAMES = tuple(name_of(at) for at in range(MEMBERS))


def document(body, signers=()):
    """Return a document as it travels, with signatures of as many."""
    size = body if isinstance(body, bytes) else canonical.encode(body)
    return codec.signed_to_wire(Signed(size, {name: bytes(64) for name in signers}))


def longest():
    """Return a document as long as one may be."""
    return document(bytes(MIB), [NAMES[0], "coordinator"])


def wraps():
    return tuple(Wrap(name, bytes(CONTENT_KEY_BYTES + SEAL_OVERHEAD)) for name in NAMES)


def envelope():
    made = SealedModel(
        "f" * 63, 100_000, DIGEST, DIGEST, DIGEST, DIGEST, NAMES[0], 1 << 50, 1 << 50, DIGEST,
        wraps(),
    )  # fmt: skip
    return document(made, NAMES[:1])


def header():
    return document(bytes(verify.LONGEST_HEADER), NAMES[:1])


def cohort():
    """Return as many headers as fit beside the largest cohort, signed by all."""
    entries = tuple(Entry(name, DIGEST, (DIGEST,) * 3) for name in NAMES)
    signed = document(canonical.encode(entries), [*NAMES, "coordinator"])
    room = codec.MOST_AT_ONCE - signed.ByteSize()
    fit = codec.fitting([header()] * MEMBERS, room)
    return cohort_pb2.GetCohortResponse(cohort=signed, contributions=fit, count=MEMBERS)


def current(number, phase, scored=False):
    """Return a round in which everybody is named wherever it can be.

    Scores of openers are waited for under ckks, where there are no seats to say anything.
    """
    rules = Rules(NAMES[:4], NAMES, 2, 2, 1.0, 1.0, NAMES[0], NAMES[:3], products=scored)
    if scored:
        return Round(
            number,
            replace(rules, seats=()),
            phase,
            committed=tuple(Entry(name, DIGEST, (DIGEST,)) for name in NAMES),
            key_record=DIGEST,
            stragglers=tuple(Straggler(name, "ä" * 100) for name in NAMES),
            scoring=Scoring.STATING,
            products=NAMES,
            scored=tuple(Scored(name, DIGEST) for name in NAMES[:4]),
        )
    return Round(
        number,
        rules,
        phase,
        committed=tuple(Entry(name, DIGEST, (DIGEST,) * 3) for name in NAMES),
        left_out=tuple(LeftOut(name, NAMES[0], "e" * 64, "ä" * 300) for name in NAMES),
        certified=NAMES,
        key_record=DIGEST,
        stated=tuple(Stated(name, DIGEST, (DIGEST,) * 3) for name in NAMES[:3]),
        stragglers=tuple(Straggler(name, "ä" * 100) for name in NAMES),
        reason="ä" * 300,
    )


def watched():
    phases = [Phase.DONE, *[Phase.ABORTED] * 7, Phase.OPEN, Phase.KEYING, Phase.KEYING]
    scored = range(len(phases) + 1, len(phases) + 1 + 3 * MOST_SCORED)
    rounds = {at + 1: current(at + 1, phase) for at, phase in enumerate(phases)}
    rounds |= {number: current(number, Phase.DONE, scored=True) for number in scored}
    return round_pb2.WatchRoundsResponse(rounds=codec.statuses_to_wire(rounds, lambda *_: 1.0))


def invited():
    """Return a page of invitations, each with the longest entry there is."""
    longest = operator_pb2.Invitation(
        participant=NAMES[0],
        roles=ROLES[:1],
        state="approved",
        ends_at_seconds=1 << 40,
        words="w" * 40,
        organisation="o" * 100,
        decided_by=NAMES[1],
        asked=bytes(3 * enrolment._LARGEST_ENTRY),
        proof=bytes(64),
    )
    return [longest] * enrolment.PAGE


def verdict():
    refused = tuple(Refused(name, "e" * 64, "e" * 300) for name in NAMES)
    made = Verdict("f" * 63, 100_000, DIGEST, DIGEST, NAMES[0], refused, "e" * 300)
    return document(made, NAMES[:1])


def scores():
    each = tuple(Score(name, "9" * 20, "-" + "9" * 19) for name in NAMES)
    return document(Scores("f" * 63, 100_000, DIGEST, DIGEST, 62, each), NAMES[:3])


def later_wraps():
    made = Wraps("f" * 63, 100_000, DIGEST, DIGEST, NAMES[0], wraps())
    return document(made, NAMES[:1])


def payout():
    kept, said = len(Entitlement.__struct_fields__), len(Commit.__struct_fields__)
    return settlement_pb2.GetPayoutResponse(
        entitlement=bytes(64 * 64 * kept), commit=bytes(128 * said), rounds=1 << 31
    )


def chunk(kind, field):
    return kind(**{field: bytes(MIB)})


KEY = bytes(1 << 18)
"""More than a public key of the largest degree, or its secret as it is sealed."""

P = contribution_pb2
LARGEST = {
    "EnrolmentService/GetRoster": (
        enrolment_pb2.GetRosterRequest(from_version=1 << 31),
        lambda: enrolment_pb2.GetRosterResponse(
            versions=codec.fitting([document(bytes(MIB - 100_000), NAMES)] * 3, MIB)
        ),
    ),
    "EnrolmentService/SignRoster": (
        enrolment_pb2.SignRosterRequest(signature=bytes(64)),
        enrolment_pb2.SignRosterResponse,
    ),
    "RoundService/WatchRounds": (
        round_pb2.WatchRoundsRequest(working_on=[1 << 31] * 64, start=DIGEST),
        watched,
    ),
    "RoundService/GetKey": (
        round_pb2.GetKeyRequest(),
        lambda: round_pb2.GetKeyResponse(
            record=document(bytes(1 << 14), NAMES[:4]), public_key=KEY, sealed_secret=KEY
        ),
    ),
    "RoundService/OfferKey": (
        round_pb2.OfferKeyRequest(
            record=document(bytes(1 << 14), NAMES[:1]),
            public_key=KEY,
            sealed_secrets=[bytes(SEAL_OVERHEAD + 8192)] * 4,
        ),
        round_pb2.OfferKeyResponse,
    ),
    "RoundService/SignKey": (round_pb2.SignKeyRequest(), round_pb2.SignKeyResponse),
    "RoundService/RefuseRound": (round_pb2.RefuseRoundRequest(), round_pb2.RefuseRoundResponse),
    "RoundService/GetPlan": (
        round_pb2.GetPlanRequest(),
        lambda: round_pb2.GetPlanResponse(arithmetic=bytes(1 << 12), terms=bytes(1 << 16)),
    ),
    "ContributionService/BeginContribution": (
        lambda: P.BeginContributionRequest(header=header(), sealed_masks=[bytes(2048)] * 4),
        P.BeginContributionResponse(chunks=[1 << 31]),
    ),
    "ContributionService/GetOffset": (P.GetOffsetRequest(), P.GetOffsetResponse(chunks=[1])),
    "ContributionService/PutChunks": (
        lambda: P.PutChunksRequest(
            round=1 << 31, piece=1, chunk=1 << 31, payload=bytes(MIB), offset=MIB, length=MIB
        ),
        P.PutChunksResponse(),
    ),
    "ContributionService/CommitContribution": (
        P.CommitContributionRequest(),
        lambda: P.CommitContributionResponse(receipt=document(bytes(1 << 12), ["coordinator"])),
    ),
    "ContributionService/GetCheckpoint": (
        P.GetCheckpointRequest(),
        lambda: P.GetCheckpointResponse(header=header()),
    ),
    "CohortService/GetCohort": (cohort_pb2.GetCohortRequest(), cohort),
    "CohortService/GetSum": (
        cohort_pb2.GetSumRequest(),
        lambda: chunk(cohort_pb2.GetSumResponse, "chunk"),
    ),
    "CohortService/GetMasks": (
        cohort_pb2.GetMasksRequest(),
        lambda: cohort_pb2.GetMasksResponse(participant=NAMES[0], sealed=bytes(2048)),
    ),
    "CohortService/GetContributions": (
        cohort_pb2.GetContributionsRequest(),
        lambda: chunk(cohort_pb2.GetContributionsResponse, "payload"),
    ),
    "CohortService/CountersignSum": (
        cohort_pb2.CountersignSumRequest(),
        cohort_pb2.CountersignSumResponse,
    ),
    "ModelService/PutSealedModel": (
        lambda: model_pb2.PutSealedModelRequest(envelope=envelope()),
        model_pb2.PutSealedModelResponse,
    ),
    "ModelService/GetSealedModel": (
        model_pb2.GetSealedModelRequest(),
        lambda: model_pb2.GetSealedModelResponse(envelope=envelope()),
    ),
    "ModelService/PutWraps": (
        lambda: model_pb2.PutWrapsRequest(wraps=later_wraps()),
        model_pb2.PutWrapsResponse,
    ),
    "ModelService/SignRelease": (
        lambda: model_pb2.SignReleaseRequest(release=document(bytes(1 << 12), NAMES[:1])),
        model_pb2.SignReleaseResponse,
    ),
    "ModelService/GetRelease": (
        model_pb2.GetReleaseRequest(),
        lambda: model_pb2.GetReleaseResponse(release=document(bytes(1 << 12), NAMES[:4])),
    ),
    "SettlementService/GetPayout": (settlement_pb2.GetPayoutRequest(), payout),
    "SettlementService/GetCommit": (
        settlement_pb2.GetCommitRequest(round=1 << 31),
        lambda: settlement_pb2.GetCommitResponse(
            commit=bytes(128 * len(Commit.__struct_fields__)), contract=DIGEST, chain_id=1 << 53
        ),
    ),
    "SettlementService/GetReceipt": (
        settlement_pb2.GetReceiptRequest(round=1 << 31),
        lambda: settlement_pb2.GetReceiptResponse(
            slot_id=1 << 31,
            contribution=bytes(32),
            signature=bytes(65),
            programme=bytes(32),
            contract=DIGEST,
            chain_id=1 << 53,
        ),
    ),
    "SettlementService/GetSumPaths": (
        settlement_pb2.GetSumPathsRequest(round=1 << 31, chunk=1 << 31),
        # 32 levels of slots, of leaves and of chunks: more than any tree has
        lambda: settlement_pb2.GetSumPathsResponse(
            leaf=settlement_pb2.SumPath(digest=bytes(32), steps=bytes(32 * 4 * 32))
        ),
    ),
    "SettlementService/GetSumTree": (
        settlement_pb2.GetSumTreeRequest(round=1 << 31, chunk=1 << 31, leaf=1 << 31),
        lambda: next(iter(codec.hashes_to_wire(bytes(3 * MIB)))),
    ),
    "SeatService/GetPart": (
        seat_pb2.GetPartRequest(participant=NAMES[0]),
        lambda: chunk(seat_pb2.GetPartResponse, "chunk"),
    ),
    "SeatService/GetCandidates": (
        seat_pb2.GetCandidatesRequest(),
        lambda: seat_pb2.GetCandidatesResponse(contribution=header()),
    ),
    "SeatService/PutVerdict": (
        lambda: seat_pb2.PutVerdictRequest(verdict=verdict()),
        seat_pb2.PutVerdictResponse,
    ),
    "SeatService/SignCohort": (seat_pb2.SignCohortRequest(), seat_pb2.SignCohortResponse),
    "SeatService/PutSeatSum": (
        lambda: seat_pb2.PutSeatSumRequest(statement=longest()),
        seat_pb2.PutSeatSumResponse,
    ),
    "SeatService/GetSeatSums": (
        seat_pb2.GetSeatSumsRequest(),
        lambda: seat_pb2.GetSeatSumsResponse(statement=longest()),
    ),
    "SeatService/GetSealedWords": (
        seat_pb2.GetSealedWordsRequest(),
        lambda: chunk(seat_pb2.GetSealedWordsResponse, "chunk"),
    ),
    "ScoreService/PutProduct": (
        lambda: score_pb2.PutProductRequest(
            statement=document(bytes(1 << 12), NAMES[:1]), seals=[bytes(SEALED_BYTES)] * 4
        ),
        score_pb2.PutProductResponse,
    ),
    "ScoreService/GetProducts": (
        score_pb2.GetProductsRequest(round=1 << 31),
        lambda: score_pb2.GetProductsResponse(
            statement=document(bytes(1 << 12), NAMES[:1]), sealed=bytes(SEALED_BYTES)
        ),
    ),
    "SeatService/PutScores": (
        lambda: seat_pb2.PutScoresRequest(scores=scores()),
        seat_pb2.PutScoresResponse,
    ),
    "SeatService/GetScores": (
        seat_pb2.GetScoresRequest(),
        lambda: seat_pb2.GetScoresResponse(scores=scores()),
    ),
    "SeatService/PutPledge": (
        lambda: seat_pb2.PutPledgeRequest(pledge=document(bytes(LARGEST_PLEDGE), NAMES[:1])),
        seat_pb2.PutPledgeResponse,
    ),
    "SeatService/GetPledges": (
        seat_pb2.GetPledgesRequest(),
        lambda: seat_pb2.GetPledgesResponse(
            pledges=[document(bytes(LARGEST_PLEDGE), NAMES[:1])] * 3
        ),
    ),
    "SeatService/NameLiar": (
        seat_pb2.NameLiarRequest(seats=NAMES[:3]),
        seat_pb2.NameLiarResponse,
    ),
    "RelayService/PostLetter": (
        lambda: seat_pb2.PostLetterRequest(recipient=NAMES[0], topic="t" * 128, body=bytes(MIB)),
        seat_pb2.PostLetterResponse,
    ),
    "RelayService/CollectLetters": (
        seat_pb2.CollectLettersRequest(),
        lambda: seat_pb2.CollectLettersResponse(
            letters=[seat_pb2.Letter(sender=NAMES[0], topic="t" * 128, body=bytes(MIB))]
        ),
    ),
    "EnrolmentService/GetProposal": (
        enrolment_pb2.GetProposalRequest(from_proof=1 << 20),
        lambda: enrolment_pb2.GetProposalResponse(roster=longest(), proof_count=1 << 20),
    ),
    "EnrolmentService/SignProposal": (
        enrolment_pb2.SignProposalRequest(fingerprint="f" * 64, signature=bytes(64)),
        enrolment_pb2.SignProposalResponse,
    ),
    "EnrolmentService/RenewCertificate": (
        enrolment_pb2.RenewCertificateRequest(
            certificate_request=bytes(8 << 10), at_seconds=1 << 40, proof=bytes(64)
        ),
        enrolment_pb2.RenewCertificateResponse(certificate=bytes(16 << 10)),
    ),
    "OperatorService/Invite": (
        operator_pb2.InviteRequest(participant=NAMES[0], roles=ROLES),
        operator_pb2.InviteResponse(token=bytes(32), authority_fingerprint=bytes(32)),
    ),
    "OperatorService/ListInvitations": (
        operator_pb2.ListInvitationsRequest(after="p" * 160),
        lambda: operator_pb2.ListInvitationsResponse(invitations=invited(), next="n" * 160),
    ),
    "OperatorService/Decide": (
        operator_pb2.DecideRequest(participant=NAMES[0], words="w" * 40, reason="r" * 500),
        operator_pb2.DecideResponse,
    ),
    "OperatorService/CloseFounding": (
        operator_pb2.CloseFoundingRequest(),
        operator_pb2.CloseFoundingResponse(fingerprint="f" * 64),
    ),
    "OperatorService/ReopenFounding": (
        operator_pb2.ReopenFoundingRequest(fingerprint="f" * 64, reason="r" * 500),
        operator_pb2.ReopenFoundingResponse,
    ),
    "OperatorService/Propose": (
        lambda: operator_pb2.ProposeRequest(roster=bytes(MIB)),
        operator_pb2.ProposeResponse(fingerprint="f" * 64),
    ),
    "OperatorService/Revoke": (
        operator_pb2.RevokeRequest(participant=NAMES[0], reason="r" * 500),
        operator_pb2.RevokeResponse,
    ),
    "OperatorService/ListMembers": (
        operator_pb2.ListMembersRequest(),
        lambda: operator_pb2.ListMembersResponse(
            members=[
                operator_pb2.SeenMember(participant=each, organisation="o" * 200, revoked="r" * 500)
                for each in NAMES
            ]
        ),
    ),
}
"""The largest request and answer of each method, or how to make it."""


def methods():
    """Return every method that the server has, and what it is called with and answers."""
    return {
        f"{service.name}/{method.name}": (method.input_type.name, method.output_type.name)
        for module in PROTOS
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def test_every_method_states_its_largest_messages():
    """A method that nobody has thought about fails here, and not in the largest federation."""
    assert set(LARGEST) == set(methods())


@pytest.mark.parametrize("method", sorted(LARGEST))
def test_its_largest_messages_pass_both_ways(method):
    """Whoever has as many members as the roster has room for, each with the longest name."""
    messages = [each() if callable(each) else each for each in LARGEST[method]]

    names = tuple(type(each).__name__ for each in messages)
    assert names == methods()[method]
    assert max(each.ByteSize() for each in messages) <= LARGEST_MESSAGE


def test_both_sides_let_the_same_through():
    """The server's bounds are those that sites have."""
    options = dict(_OPTIONS)

    assert options["grpc.max_send_message_length"] == LARGEST_MESSAGE
    assert options["grpc.max_receive_message_length"] == LARGEST_MESSAGE


def test_as_many_members_as_are_counted_on_here_are_the_most():
    """One more is refused at the start."""
    assert MEMBERS > 400
    with pytest.raises(ConfigError):
        capacity.check_members(federation(MEMBERS + 1))


def test_a_header_that_is_too_long_is_refused():
    """A cohort's headers travel together: one of a mebibyte would keep everybody from them."""
    signed = Signed(bytes(verify.LONGEST_HEADER + 1), {"hospital-a": bytes(64)})

    with pytest.raises(MalformedMessage, match="a header of"):
        verify.contribution(signed, "hospital-a", fakes.make_plan(), fakes.make_roster())


def test_documents_that_fit_are_taken_and_one_at_least():
    """Whoever asks for the next always gets on."""
    three = [document_pb2.SignedDocument(body=bytes(100))] * 3

    assert len(codec.fitting(three, 50)) == 1
    assert len(codec.fitting(three, 250)) == 2
    assert len(codec.fitting(three, 1000)) == 3
    assert codec.fitting([], 1000) == []


def test_what_is_said_of_who_was_left_out_is_said_of_the_newest_round_first():
    """Months of refusals fill no message."""
    rounds = {at: current(at, Phase.ABORTED) for at in range(1, 7)}

    statuses = codec.statuses_to_wire(rounds)

    said = [len(each.left_out) + len(each.stragglers) for each in statuses]
    assert said == sorted(said)
    assert said[-1] > 0
    assert sum(each.ByteSize() for each in statuses) < MIB
