"""The formats are final: the page, the vectors and the code say the same bytes."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from participant.opening import agree, keying
from participant.sending import masking
from privacy import canonical, plan, signing
from privacy.errors import MalformedMessage
from privacy.ledger import LedgerState, Row, follow
from privacy.limbs import Layout, decode_chunk, encode_chunk
from privacy.mechanism import events_of
from privacy.merkle import chunk_root, leaf_digest, piece_root
from privacy.records import Recollection, SealedModel, SealedSecret, Wrap, digest_of
from privacy.schemes import fields
from privacy.schemes.masks import Mask
from privacy.schemes.shares.opening import sum_root
from privacy.sealing import HpkeKeyPair, Sealed, ciphertext_digest, seal, seal_context, seal_stream
from privacy.signing import transcript
from privacy.vectors import ModelDigest, model_digest
from tests import formats_by_hand as hand
from tests.privacy import example_round as example
from tests.privacy import example_shares as shares

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "formats_v1.json").read_text())
LAYOUT = Layout(256, (hand.PRIME,))
SHAPES = (("a", (2, 1)), ("b", (1,)))
PAIR = HpkeKeyPair(sha256(b"sealing birch").digest())


def words(chunk: int) -> np.ndarray:
    """The example's ciphertexts, shape (2, 2, 1, 256)."""
    return np.array(hand.words(chunk), np.uint64).reshape(2, 2, 1, 256)


def root(chunk: int) -> bytes:
    """The root of one chunk, by the product."""
    return chunk_root(chunk, words(chunk).reshape(-1, 1, 256))


def test_the_file_is_what_the_page_alone_says() -> None:
    """Computed by code that shares nothing with the product."""
    assert hand.vectors() == VECTORS


def test_a_transcript_is_that_of_the_file() -> None:
    """Purposes, signatures, digests and seals are all built on it."""
    assert transcript("veilsum/plan/1", b"", b"ab").hex() == VECTORS["transcript"]


def test_a_mask_is_that_of_the_file() -> None:
    """A second implementation masks, commits and seals alike."""
    of = VECTORS["mask"]
    secret, context = bytes.fromhex(of["secret"]), bytes.fromhex(example.PLAN.digest())
    mask = Mask(example.PLAN.parameters(), secret, context)

    for chunk in (0, 7):
        words = mask.words(chunk, 1)[0, :3]
        assert [str(word) for word in words] == of[f"words_of_chunk_{chunk}"]
    info = bytes.fromhex(of["info"])
    fields = (example.FEDERATION, "1", example.PLAN.digest(), "amber", "birch")
    assert seal_context(Sealed.MASK, *(each.encode() for each in fields)) == info
    header = replace(
        example.CONTRIBUTION,
        mask=of["commitment"],
        masks=(
            SealedSecret("birch", sha256(sealed := seal(PAIR.public, info, secret)).hexdigest()),
        ),
    )
    opened = masking.open_masks(example.PLAN, [header], {"amber": sealed}, "birch", PAIR)
    assert opened == (secret,)


def test_leaves_and_roots_are_those_of_the_file() -> None:
    """Whoever adds words can check a leaf."""
    of, roots = VECTORS["merkle"], [root(chunk) for chunk in range(3)]
    first = words(1).reshape(-1)[:256].astype("<u8").tobytes()

    assert leaf_digest(1, 0, 0, first).hex() == of["leaf_0_of_chunk_1"]
    assert [each.hex() for each in roots] == of["chunk_roots"]
    assert piece_root(roots).hex() == of["piece_root"]


def test_a_container_is_that_of_the_file() -> None:
    """Header and packing, to the bit."""
    of, packed = VECTORS["container"], encode_chunk(LAYOUT, 1, words(1))

    assert packed[:32].hex() == of["header_of_chunk_1"]
    assert len(packed) == of["length"]
    assert sha256(packed).hexdigest() == of["sha256_of_chunk_1"]
    assert packed == hand.container(1)
    assert np.array_equal(decode_chunk(LAYOUT, 1, 2, hand.container(1)), words(1))


def test_values_side_by_side_are_those_of_the_file() -> None:
    """Width and carries: a negative value borrows from the one above it, and gets it back."""
    of = VECTORS["packing"]
    low, high, joined = ([_numbers(row) for row in of[name]] for name in ("low", "high", "joined"))
    largest = 2 ** (of["value_bits"] - 1) - 1

    assert fields.width_of(largest, of["cohort_max"]) == of["width"]
    for rows in zip(low, high, joined, strict=True):
        assert np.array_equal(fields.join(np.stack(rows[:2]), of["width"]), rows[2])
    assert np.array_equal(np.array(of["times"]) @ np.stack(joined), _numbers(of["sum_of_joined"]))
    assert np.array_equal(
        fields.split(_numbers(of["sum_of_joined"]), of["width"], 2),
        np.stack([_numbers(row) for row in of["sums"]]),
    )


def _numbers(row: str) -> np.ndarray:
    return np.array(row.split(), np.int64)


def test_a_plan_is_that_of_the_file() -> None:
    """Both parts and the digest that everything names."""
    of = VECTORS["plan"]

    read = plan.decode(bytes.fromhex(of["arithmetic"]), of["terms"].encode())

    assert read == example.PLAN
    assert read.digest() == of["digest"]


def test_a_plan_under_shares_is_that_of_the_file() -> None:
    """The kind of its terms is written in them; no field of one scheme passes for the other's."""
    of = VECTORS["shares_plan"]

    read = plan.decode(bytes.fromhex(of["arithmetic"]), of["terms"].encode())

    assert read == shares.SHARES_PLAN
    assert read.digest() == of["digest"]
    assert shares.shares_roster().digest() == of["roster"]


def test_a_plan_of_mechanism_distributed_is_that_of_the_file() -> None:
    """The kind of its training is written in it, and what a round costs in both views."""
    of = VECTORS["distributed_plan"]

    read = plan.decode(bytes.fromhex(VECTORS["plan"]["arithmetic"]), of["terms"].encode())

    assert read == example.DISTRIBUTED_PLAN
    assert read.digest() == of["digest"]
    claim = events_of(read.terms.privacy.training)
    assert canonical.encode(claim).decode() == of["claim"]


def test_the_root_of_a_sum_in_shares_is_that_of_the_file() -> None:
    """One root in the manifest stands for three components."""
    roots = [sha256(f"root of sum {component}".encode()).digest() for component in range(3)]

    assert sum_root(roots).hex() == VECTORS["shares_sum_root"]


def test_a_recollection_is_that_of_the_file() -> None:
    """It belongs to no round, so it is no record; it is signed like one."""
    of = VECTORS["documents"]["recollection"]
    said = Recollection("oncology", "elm", sha256(b"nonce").hexdigest(), "amber", 7)

    assert canonical.encode(said).decode() == of["body"]
    assert signing.digest(signing.Purpose.RECOLLECTION, canonical.encode(said)) == of["digest"]


@pytest.mark.parametrize(
    "record", [*example.RECORDS, *shares.RECORDS], ids=lambda each: type(each).__name__
)
def test_a_record_is_that_of_the_file(record: Any) -> None:
    """Bytes and digest."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(record).__name__)[1:]
    of = VECTORS["documents"][name]

    assert canonical.encode(record).decode() == of["body"]
    assert digest_of(record) == of["digest"]


def test_a_roster_is_that_of_the_file() -> None:
    """Its digest is the fingerprint that members compare."""
    of = VECTORS["documents"]["roster"]

    assert canonical.encode(example.roster()).decode() == of["body"]
    assert example.roster().digest() == of["digest"]


def test_a_sealed_stream_is_that_of_the_file() -> None:
    """Key, nonce, associated data and order, against another library."""
    of, context = VECTORS["seals"], bytes.fromhex(VECTORS["seals"]["model_context"])

    chunks = list(seal_stream(hand.CONTENT_KEY, context, hand.PLAIN_CHUNKS))

    assert [chunk.hex() for chunk in chunks] == of["chunks"]
    assert ciphertext_digest(chunks) == of["ciphertext"]


@pytest.mark.parametrize("kind", list(Sealed))
def test_a_context_is_a_transcript_of_its_kind(kind: Sealed) -> None:
    """No seal opens as another."""
    assert seal_context(kind, b"a", b"b") == transcript(kind.value, b"a", b"b")


def test_a_cohort_key_opens_under_the_context_of_the_page_only() -> None:
    """Federation, round, public key and opener are bound."""
    info = bytes.fromhex(VECTORS["seals"]["cohort_key_info"])
    for context, check in ((info, _opens), (info + b"\0", _is_refused)):
        sealed = seal(PAIR.public, context, b"the secret")
        secret = SealedSecret("birch", sha256(sealed).hexdigest())
        record = replace(example.KEY_RECORD, secrets=(secret,))

        check(lambda r=record, s=sealed: keying.unseal(r, s, "birch", PAIR, example.roster()))


def test_a_model_opens_under_the_contexts_of_the_page_only() -> None:
    """The content key's seal and the chunks' context both name model, plan and round."""
    model = VECTORS["model"]["digest"]
    info, context = hand.content_key_info(model, "birch"), hand.model_context(model)
    body = np.array([1.5, 0.0, -2.0]).astype("<f8").tobytes()
    for key_info, chunk_context, check in (
        (info, context, _opens),
        (info + b"\0", context, _is_refused),
        (info, context + b"\0", _is_refused),
    ):
        chunks = hand.sealed_stream(chunk_context, (body[:8], body[8:]))
        envelope = replace(
            example.SEALED_MODEL,
            model=model,
            chunks=2,
            ciphertext=ciphertext_digest(chunks),
            wraps=(Wrap("birch", seal(PAIR.public, key_info, hand.CONTENT_KEY)),),
        )

        check(lambda e=envelope, c=chunks: _open_model(e, c))


def _open_model(envelope: SealedModel, chunks: list[bytes]) -> None:
    unsealing = agree.Unsealing(envelope, "birch", PAIR, ModelDigest(SHAPES))
    for chunk in chunks:
        unsealing.take(chunk)
    unsealing.finish()


def _opens(act: Callable[[], object]) -> None:
    act()


def _is_refused(act: Callable[[], object]) -> None:
    with pytest.raises(MalformedMessage):
        act()


def test_a_model_digest_is_that_of_the_file() -> None:
    """Names, shapes, and values with one zero."""
    of = VECTORS["model"]

    assert model_digest(SHAPES, np.array(of["values"])) == of["digest"]


def test_a_ledger_row_is_that_of_the_file() -> None:
    """Absent members are absent; the head is the row's hash."""
    of = VECTORS["ledger"]

    state = follow(LedgerState(), of["row"].encode())

    assert state.head == of["head"]
    assert canonical.encode(msgspec.json.decode(of["row"], type=Row)).decode() == of["row"]
