"""Every decoder of bytes that a peer, or a store, hands over, and the law that all of them keep.

The law: whatever bytes come, a decoder returns a value that encodes to these bytes again, or
raises one of `VeilsumError`. Nothing else is raised, and no two encodings have one value.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace

from participant.wire import disputing
from privacy import arithmetic, canonical, documents, limbs, plan, records
from privacy.errors import MalformedMessage, VeilsumError
from privacy.evidence import bundle
from privacy.identifiers import parse_uri
from privacy.limbs import Layout
from privacy.roster import Roster
from privacy.schemes import ckks
from privacy.schemes.ckks_parameters import MODULUS_4096, CkksParameters
from privacy.schemes.shares.evidence import ChunkRoots, LeafHashes, ShownLeaf
from privacy.schemes.shares.layout import WORDS_PER_LEAF
from privacy.schemes.shares.seat_total import SeatTotal, decode_totals
from privacy.settlement import accusation, verdict
from privacy.settlement.commitment import NO_COMMIT, Commit
from privacy.settlement.payouts import Domain, Entitlement
from privacy.settlement.pledge import Pledge, SignedRoot
from privacy.settlement.verdict import SignedVerdict
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as evidence


@dataclass(frozen=True)
class Decoder:
    """One decoder: bytes that it reads, how, and how what it read is written."""

    seeds: tuple[bytes, ...]
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    hostile: tuple[bytes, ...] = ()
    """Short inputs that speak of much: counts and lengths with nothing behind them."""

    ends: bool = True
    """Whether a value says where it ends, so that no part of it from the start is one."""


def check(decoder: Decoder, body: bytes) -> bool:
    """Return whether `body` was read, and fail if the law does not hold for it."""
    try:
        value = decoder.decode(body)
    except VeilsumError:
        return False
    assert decoder.encode(value) == body, "two encodings of one value"
    return True


def _record(kind: type, *examples: Any) -> Decoder:
    seeds = tuple(canonical.encode(each) for each in examples)
    return Decoder(seeds, lambda body: canonical.decode(body, kind), canonical.encode, _MUCH_JSON)


_MUCH_JSON = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"claim":{"sums":' + b'{"class":"Composed","events":[' * 5000,
    b'{"round":1e999999999}',
    b'{"round":' + b"9" * 100_000 + b"}",
    b'{"federation":"' + b"\\" * 100_000,
    b'"' * 100_000,
)

# -- containers of ciphertexts ------------------------------------------------------------

_SMALL = Layout(degree=16, moduli=(0xFFFFFFFFFFFC001, 97))
_COUNT, _CHUNK = 3, 7
_PARAMETERS = CkksParameters(28, 24, 100)


def _words(layout: Layout, count: int) -> limbs.Words:
    draw = np.random.default_rng(count)
    shape = (count, layout.polynomials, layout.degree)
    return np.stack([draw.integers(0, q, shape, np.uint64) for q in layout.moduli], axis=2)


def _container(layout: Layout, count: int) -> Decoder:
    extremes = np.stack([np.zeros_like(_words(layout, 1)[0])] * count)
    largest = extremes + np.array(layout.moduli, np.uint64)[:, np.newaxis] - np.uint64(1)
    seeds = tuple(
        limbs.encode_chunk(layout, _CHUNK, each)
        for each in (_words(layout, count), extremes, largest)
    )
    return Decoder(
        seeds,
        lambda body: limbs.decode_chunk(layout, _CHUNK, count, body),
        lambda words: limbs.encode_chunk(layout, _CHUNK, words),
        _much(seeds[0][: layout.header_bytes]),
    )


def _much(header: bytes) -> tuple[bytes, ...]:
    # Each field of the header, of 1, 2 or 4 bytes, at its largest, with nothing behind it.
    fields = ((6, 4), (10, 1), (11, 1), (12, 2), (14, 4), (18, 4))
    full = [header[:at] + b"\xff" * size + header[at + size :] for at, size in fields]
    return (*full, *(each + bytes(1 << 16) for each in full), header[:6] + b"\xff" * 64)


def _packed() -> Decoder:
    # Width and number of the words stand in front, as the plan would say them.
    def decode(body: bytes) -> tuple[int, int, limbs.Words]:
        if len(body) < 2:
            raise MalformedMessage("no width")
        width, count = 1 + body[0] % 63, body[1]
        return body[0], count, limbs.unpack(body[2:], count, width)

    def encode(value: tuple[int, int, limbs.Words]) -> bytes:
        first, count, words = value
        return bytes([first, count]) + limbs.pack(words, 1 + first % 63)

    seeds = []
    for width, count in ((60, 16), (59, 255), (5, 3), (63, 9), (1, 0), (7, 131), (8, 64)):
        full = np.full(count, (1 << width) - 1, np.uint64)
        seeds.append(encode((width - 1, count, full)))
    return Decoder(tuple(seeds), decode, encode)


# -- keys of CKKS -------------------------------------------------------------------------


def _public_key() -> Decoder:
    layout = ckks._public_layout(_PARAMETERS)
    seed = limbs.encode_chunk(layout, 0, _words(layout, 1))
    return Decoder(
        (seed,),
        lambda body: ckks._decode_public(_PARAMETERS, body),
        lambda words: ckks._encode_public(_PARAMETERS, words),
        _much(seed[: layout.header_bytes]),
    )


def _secret() -> Decoder:
    ternary = np.random.default_rng(1).integers(-1, 2, _PARAMETERS.degree)
    seed = ckks._encode_secret(_PARAMETERS, ternary)
    return Decoder(
        (seed,),
        lambda body: ckks._decode_secret(_PARAMETERS, body),
        lambda secret: ckks._encode_secret(_PARAMETERS, secret),
        (seed[:6] + b"\xff" * 12, seed[:18], seed[:6] + b"\xff" * 12 + bytes(1 << 16)),
    )


# -- what seats state and show --------------------------------------------------------------


_NODES = tuple(bytes.fromhex(example.filler(text)) for text in ("left", "right", "top"))
_LEAF = bytes(range(256)) * (8 * WORDS_PER_LEAF // 256)
_SHOWN = ShownLeaf(_LEAF, _NODES[:2], _NODES[2], _NODES[:1])


def _seat_totals() -> Decoder:
    draw = np.random.default_rng(1)
    blocks = {each: draw.integers(0, 1 << 64, (2, WORDS_PER_LEAF), np.uint64) for each in (2, 0)}
    whole = SeatTotal(2, _CHUNK, _NODES[:2], blocks)
    both = (whole, SeatTotal(1, _CHUNK, _NODES[1:], {}))
    seeds = tuple(b"".join(each.encode() for each in said) for said in (both, (whole.only(0),)))
    header = whole.only().encode()
    fields = ((4, 1), (5, 1), (6, 1), (8, 4), (12, 4))
    return Decoder(
        seeds,
        lambda body: decode_totals(body, _CHUNK, 2),
        lambda said: b"".join(each.encode() for each in said),
        tuple(header[:at] + b"\xff" * size + header[at + size :] for at, size in fields),
        ends=False,
    )


# -- documents ----------------------------------------------------------------------------

_WRAPS = records.Wraps(
    federation=example.FEDERATION,
    round=1,
    sealed_model=records.digest_of(example.SEALED_MODEL),
    roster=example.roster().digest(),
    maker="amber",
    wraps=example.SEALED_MODEL.wraps[:2],
)

_AUDIT_REPORT = records.AuditReport(
    federation=example.FEDERATION,
    round=1,
    auditor="watch",
    code="false_sum",
    reason="chunk 1 is not the sum of the contributions",
    plan=example.PLAN.digest(),
    contributions=2,
    chunks=4,
    length=245_880,
    seconds="1.5",
    fault=records.Fault("", 1, 0, 1, 0, 17, "5", "6"),
    manifest=canonical.encode(example.SUM),
    manifest_signature=bytes(64),
)

_SEATS = ("elm", "fern", "gorse")
_ABOUT = {"federation": example.FEDERATION, "round": 1, "plan": example.PLAN.digest()}
_ROOTS = tuple(example.filler(f"component {at}") for at in range(3))

_SHARED_CONTRIBUTION = records.SharedContribution(
    **_ABOUT,
    participant="amber",
    pieces=(records.Piece(records.SEATS, plan.SHARES, example.filler("root"), 4, 245_880),),
    claim=example.CONTRIBUTION.claim,
    ledger=example.CONTRIBUTION.ledger,
    roots=_ROOTS,
    seals=tuple(records.SealedParts(seat, example.filler(seat)) for seat in _SEATS),
)

_CANDIDATES = records.Candidates(**_ABOUT, entries=example.COHORT.entries)

_VERDICT = records.Verdict(
    **_ABOUT,
    candidates=records.digest_of(_CANDIDATES),
    seat="elm",
    refused=(records.Refused("birch", "root_mismatch", "component 1 is another one"),),
    unasked="seat gorse has said nothing for 3 seconds",
)

_SEAT_SUM = records.SeatSum(
    **_ABOUT,
    cohort=records.digest_of(example.COHORT),
    seat="gorse",
    roster=example.roster().digest(),
    chunks=4,
    sums=tuple(
        records.SealedWords(at, _ROOTS[at], example.filler(f"sealed {at}"), 327_680)
        for at in (2, 0)
    ),
    wraps=example.SEALED_MODEL.wraps[:2],
)

_SCORES = records.Scores(
    **_ABOUT,
    cohort=records.digest_of(example.COHORT),
    step_log2=4,
    scores=(
        records.Score("amber", "1024", "-18446744073709551615"),
        records.Score("birch", "0", "7"),
    ),
)

_VOID = replace(_SCORES, scores=(), void="seat gorse has said nothing for 3 seconds")

_PRODUCT = records.StatedProduct(
    **_ABOUT,
    cohort=records.digest_of(example.COHORT),
    release=records.digest_of(example.RELEASE),
    participant="amber",
    commitment=example.filler("product of amber"),
    seals=tuple(records.SealedSecret(n, example.filler(f"to {n}")) for n in example.OPENERS),
)

_RECOLLECTION = records.Recollection(example.FEDERATION, "elm", "ab" * 32, "amber", 7)

_DISPUTE_REPORT = records.DisputeReport(
    **_ABOUT,
    auditor="watch",
    code="seat_lied",
    reason="round 1: elm and fern state different sums",
    component=1,
    seats=("elm", "fern"),
    cohort=records.digest_of(example.COHORT),
    chunk=3,
    leaf=127,
    liars=("fern",),
    withheld=("elm",),
    exhibits=(records.Exhibit("fern", canonical.encode(_SEAT_SUM), bytes(64)),),
)

_CASE = disputing.Case(**_ABOUT, cohort=_SEAT_SUM.cohort, component=1, seat="elm", auditor="watch")
_ASKS = tuple(disputing.Ask(_CASE, disputing.Wanted(*place)) for place in ((), (3,), (3, 127)))
_SHOWNS = tuple(
    disputing.Shown(_CASE, disputing.Wanted(3, 127), site, example.filler("sealed"))
    for site in (None, "amber")
)

_EXAMPLES: Mapping[type, Sequence[Any]] = {type(each): (each,) for each in example.RECORDS} | {
    records.Wraps: (_WRAPS,),
    records.AuditReport: (_AUDIT_REPORT,),
    records.SharedContribution: (_SHARED_CONTRIBUTION,),
    records.Candidates: (_CANDIDATES,),
    records.Verdict: (_VERDICT, replace(_VERDICT, refused=(), unasked="")),
    records.SeatSum: (_SEAT_SUM,),
    records.Scores: (_SCORES, _VOID),
    records.StatedProduct: (_PRODUCT,),
    records.DisputeReport: (_DISPUTE_REPORT,),
}

_ENTITLEMENT = Entitlement(
    domain=Domain(1337, "0x" + "a1" * 20, example.filler("programme")),
    round=3,
    payee="0x" + "b2" * 20,
    cumulative="1000000000000000000",
    salt=example.filler("salt"),
    score="12",
    earned="1000",
    entry_salt=example.filler("entry"),
    proof=(example.filler("left"), example.filler("right")),
)

_COMMIT = Commit(
    programme=example.filler("programme"),
    round=3,
    parent=NO_COMMIT,
    slots=2,
    plan=example.filler("plan"),
    cohort=example.filler("cohort"),
    sum_trees=example.filler("sum-trees"),
    sum=example.filler("sum"),
    model=example.filler("model"),
    payouts=example.filler("payouts"),
    total="1000000000000000000",
    budget="1000",
    scores="12",
)


def _accusation() -> Decoder:
    made = accusation.Accusation(_COMMIT, "bad_top", "00ff" * 40)
    seeds = (accusation.encode(made),)
    return Decoder(seeds, accusation.decode, accusation.encode, _MUCH_JSON)


_PLEDGE = Pledge(
    **_ABOUT,
    cohort=_SEAT_SUM.cohort,
    seat="fern",
    domain=_ENTITLEMENT.domain,
    account="0x" + "c3" * 20,
    roots=(
        SignedRoot(1, example.filler("one"), "ab" * 65),
        SignedRoot(2, example.filler("two"), "cd" * 65),
    ),
)

_JUDGED = SignedVerdict(
    domain=_ENTITLEMENT.domain,
    round=3,
    accused=_PLEDGE.account,
    evidence=example.filler("evidence"),
    judge="0x" + "d4" * 20,
    signature="ef" * 65,
)


def _seat_evidence() -> Decoder:
    body = canonical.encode(_PLEDGE)
    made = verdict.Evidence(_DISPUTE_REPORT, bytes(64), body, bytes(64))
    return Decoder((canonical.encode(made),), verdict.decode, canonical.encode, _MUCH_JSON)


def _document() -> Decoder:
    body = canonical.encode(example.RELEASE)
    signed = [
        documents.Signed(body, {name: bytes(64) for name in names})
        for names in (("amber", "birch"), (), ("cedar",))
    ]
    much = (b"\x82\xa4body\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff")
    deep = b"\x82\xa4body\xc4\x01x\xaasignatures" + b"\x81\xa1a" * 100_000
    return Decoder(
        tuple(map(documents.pack, signed)), documents.unpack, documents.pack, (*much, deep)
    )


def _letter() -> Decoder:
    signed = documents.Signed(canonical.encode(_SHOWNS[1]), {"elm": bytes(64)})
    seed = disputing.join(signed, bytes(range(256)))
    return Decoder(
        (seed,),
        disputing.split,
        lambda letter: disputing.join(*letter),
        (b"\xff" * 4, b"\xff" * 4 + bytes(1 << 16), bytes(4), b""),
        ends=False,
    )


def _evidence() -> Decoder:
    # A row's line is among them; what stands in it as a row, `follow` reads.
    domain = Domain(1337, "0x" + "a1" * 20, example.filler("programme"))
    paid = bundle.Paid(domain, "0x" + "b2" * 20, "100", 2, 7)
    lines = list(bundle.lines_of(evidence.sealed(evidence.head(), evidence.CONFIG, paid)))
    row = bundle.RowLine(b'{"actor":"agent"}', bytes(64))
    contribution = evidence.document(example.CONTRIBUTION, "amber")
    papers = (evidence.plan_document(example.PLAN), contribution)
    lines += [bundle.encode_entry(each) for each in (row, *papers)]
    return Decoder(tuple(lines), bundle.decode_entry, bundle.encode_entry, _MUCH_JSON)


def _plan() -> Decoder:
    doubled = plan.Plan(
        arithmetic.Arithmetic(
            plan.CKKS, 16_353, 8192, 9, 16, (arithmetic.ModulusRange(0, 2, 0, MODULUS_4096),)
        ),
        replace(
            example.TERMS,
            scheme=plan.CkksTerms(
                4096, scale_log2=23, values_per_half=2, ciphertexts_per_chunk=1, cohort_max=4
            ),
            auditor="watch",
        ),
    )
    packed = plan.pack(example.PLAN)
    much = (b"\xff" * 4 + packed[4:], b"\0" * 4 + packed[4:], b"\xff" * 4, packed[:4])
    seeds = (packed, plan.pack(doubled), plan.pack(example.DISTRIBUTED_PLAN))
    return Decoder(seeds, plan.unpack, plan.pack, much)


def _arithmetic() -> Decoder:
    several = arithmetic.Arithmetic(
        "ckks/1",
        16_353,
        4096,
        18,
        24,
        tuple(
            arithmetic.ModulusRange(first, end, index, 2**60 - index)
            for first, end in ((0, 3), (3, 4))
            for index in range(2)
        ),
    )
    seed = example.ARITHMETIC.encode()
    much = tuple(
        seed[: 32 * at] + b"\xff" * 32 + seed[32 * (at + 1) :] for at in range(len(seed) // 32)
    )
    return Decoder((seed, several.encode()), arithmetic.decode, lambda value: value.encode(), much)


def _uri() -> Decoder:
    uris = (b"spiffe://oncology/participant/amber", b"spiffe://oncology/coordinator")
    return Decoder(
        uris,
        lambda body: parse_uri(body.decode("utf-8", "surrogateescape")),
        lambda identity: identity.uri.encode(),
        (b"/" * 100_000, b"spiffe://" + b"a" * 100_000 + b"/coordinator"),
        ends=False,
    )


DECODERS: Mapping[str, Decoder] = {
    "container": _container(_SMALL, _COUNT),
    "container-4096": _container(_PARAMETERS.layout, 1),
    "packed-words": _packed(),
    "public-key": _public_key(),
    "secret": _secret(),
    "document": _document(),
    "plan": _plan(),
    "arithmetic": _arithmetic(),
    "uri": _uri(),
    "evidence-entry": _evidence(),
    "terms": _record(plan.Terms, example.TERMS),
    "roster": _record(Roster, example.roster()),
    "key-specification": _record(records.KeySpecification, example.SPECIFICATION),
    "entitlement": _record(Entitlement, _ENTITLEMENT),
    "commit": _record(Commit, _COMMIT),
    "accusation": _accusation(),
    "pledge": _record(Pledge, _PLEDGE),
    "seat-evidence": _seat_evidence(),
    "judges-verdict": _record(SignedVerdict, _JUDGED),
    "seat-totals": _seat_totals(),
    "chunk-roots": _record(ChunkRoots, ChunkRoots(_NODES)),
    "leaf-hashes": _record(LeafHashes, LeafHashes(_NODES[:2])),
    "shown-leaf": _record(ShownLeaf, _SHOWN),
    "recollection": _record(records.Recollection, _RECOLLECTION),
    "dispute-ask": _record(disputing.Ask, *_ASKS),
    "dispute-shown": _record(disputing.Shown, *_SHOWNS),
    "dispute-letter": _letter(),
} | {
    purpose.value.split("/")[1]: _record(kind, *_EXAMPLES.get(kind, ()))
    for kind, purpose in records.PURPOSES.items()
}
"""By name; all records that can be signed are among them by themselves."""
