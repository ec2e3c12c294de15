"""What a site's processes hold does not grow with the model, but for the one that trains."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from participant.model.models import CHUNK_VALUES, Models
from participant.opening import agree
from participant.opening.frozen import Frozen
from participant.opening.next_model import next_model
from participant.opening.spool import Spooled, sum_spool
from participant.training.workshop import Workshop
from privacy.limbs import decode_chunk, encode_chunk
from privacy.merkle import GrowingTree
from privacy.plan import pack, unpack
from privacy.records import Cohort, SealedModel, Sum
from privacy.schemes.ckks import CkksProtector, CkksRevealer
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask, put_on
from privacy.sealing import HpkeKeyPair
from tests.participant import signed_round as made
from veilsum.bench.own_process import in_own_process

SMALL, LARGE = 1_000_000, 8_000_000
"""The large one's vector of float64 alone is more than such a process takes."""

PER_CHUNK = 16 * 4096


def plan_of(dimension: int, model: str) -> made.Plan:
    chunks = -(-dimension // PER_CHUNK)
    ranges = (made.ModulusRange(0, chunks, 0, made.PARAMETERS.modulus),)
    arithmetic = made.Arithmetic(made.CKKS, dimension, PER_CHUNK, 18, 24, ranges)
    scheme = made.CkksTerms(4096, made.PARAMETERS.scale_log2, 1, 16, 4)
    terms = msgspec.structs.replace(made.plan(model=model).terms, scheme=scheme)
    return made.Plan(arithmetic, terms)


def shapes_of(dimension: int):
    return (("weight", (dimension,)),)


class Chunks:
    """The chunks of a sum of ones, each made when it is asked for: one encryption, renumbered.

    The mask of each is its own, as it would be.
    """

    def __init__(self, plan: made.Plan) -> None:
        dimension, self.parameters, self.mask = (
            plan.arithmetic.dimension,
            plan.parameters(),
            mask_of(plan),
        )
        self.layout, self.count = self.parameters.layout, plan.arithmetic.chunks
        self.left = dimension - (self.count - 1) * PER_CHUNK
        none = made.NoMask(self.parameters)
        one = CkksProtector(self.parameters, PER_CHUNK, made.cohort_key().public, none)
        payload = one.protect(0, np.ones(PER_CHUNK, np.int64))
        self.words = decode_chunk(self.layout, 0, 16, payload)

    def __iter__(self):
        for chunk in range(self.count):
            last = chunk == self.count - 1
            words = self.words[: -(-self.left // 4096) if last else None].copy()
            put_on(self.parameters, words[:, 0, 0], self.mask.words(chunk, len(words)))
            yield encode_chunk(self.layout, chunk, words)


def mask_of(plan: made.Plan) -> Mask:
    """The same in every process."""
    return Mask(plan.parameters(), bytes(32), bytes.fromhex(plan.digest()))


def prepared(folder: Path, dimension: int) -> tuple[made.Plan, Sum]:
    """A model in its folder, and the plan and manifest of a sum to go with it."""
    folder.mkdir()
    model = zeros(Models(folder / "models"), dimension)
    plan = plan_of(dimension, model)
    combiner, tree, length = CkksCombiner(plan.parameters(), dimension), GrowingTree(), 0
    (folder / "incoming").mkdir()
    for index, chunk in enumerate(Chunks(plan)):
        tree.add(combiner.check(index, chunk))
        length += len(chunk)
        (folder / "incoming" / f"{index:08d}").write_bytes(chunk)
    chunks = plan.arithmetic.chunks
    return plan, Sum("oncology", 1, plan.digest(), "0" * 64, 1, tree.root().hex(), chunks, length)


def zeros(models: Models, dimension: int) -> str:
    with models.writer(shapes_of(dimension)) as writer:
        for start in range(0, dimension, CHUNK_VALUES):
            writer.update(np.zeros(min(CHUNK_VALUES, dimension - start)))
        return writer.keep()


def receives(folder: Path, packed: bytes, total: Sum) -> int:
    """The agent's part of an opening: chunks as they come, onto the disk."""
    plan = unpack(packed)
    spool = sum_spool(folder / "opening", plan, total)
    spool.resume()
    for chunk in Spooled(folder / "incoming", plan.arithmetic.chunks):
        spool.put(chunk)
    spool.check()
    return spool.resume()


def opens(folder: Path, packed: bytes, total: Sum, secret: bytes) -> str:
    """The worker's part of an opening: from the sum to the model."""
    plan, dimension = unpack(packed), unpack(packed).arithmetic.dimension
    frozen = Frozen(Cohort("oncology", 1, plan.digest(), (None,)), total)
    revealer = CkksRevealer(plan.parameters(), dimension, secret, [mask_of(plan)])
    chunks = Spooled(folder / "incoming", plan.arithmetic.chunks)
    models = Models(folder / "models")
    return next_model(plan, frozen, revealer, chunks, models, shapes_of(dimension))


class ForDelta:
    """A roster of one trainer, whose keys do not cross to the other process."""

    def __init__(self, pair: HpkeKeyPair) -> None:
        self.sealing_key, self.participant = pair.public, "delta"

    def trainers(self):
        return (self,)

    def digest(self):
        return "0" * 64


def seals_and_unseals(folder: Path, packed: bytes, model: str) -> SealedModel:
    """The agent's part of an agreement: a model sealed from its file, and into another one."""
    plan, pair = unpack(packed), HpkeKeyPair(bytes(32))
    models = Models(folder / "models")
    envelope, chunks = agree.seal_model(
        plan, ForDelta(pair), "0" * 64, "amber", model, lambda: models.chunks(model), bytes
    )
    with Models(folder / "others").writer(shapes_of(plan.arithmetic.dimension)) as writer:
        unsealing = agree.Unsealing(envelope, "delta", pair, writer)
        for chunk in chunks:
            unsealing.take(chunk)
        unsealing.finish()
        writer.keep()
    return envelope


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """By dimension: a folder, a plan and a manifest."""
    found = {}
    for dimension in (SMALL, LARGE):
        folder = tmp_path_factory.mktemp("flat") / str(dimension)
        found[dimension] = (folder, *prepared(folder, dimension))
    return found


def peaks(role, sums, *more):
    """The most memory that each dimension took, in MiB, and what came out."""
    results = {
        dimension: in_own_process(role, folder, pack(plan), *(each(plan, total) for each in more))
        for dimension, (folder, plan, total) in sums.items()
    }
    return [peak for _, peak in results.values()], [result for result, _ in results.values()]


def manifest(plan, total):
    return total


@pytest.mark.slow
def test_receiving_a_sum_takes_the_same_memory_for_any_model(sums):
    """Eight times the model, a tenth more at most."""
    (small, large), counts = peaks(receives, sums, manifest)

    assert counts == [16, 123]
    assert large <= 1.1 * small


@pytest.mark.slow
def test_opening_a_sum_takes_the_same_memory_for_any_model(sums):
    """From ciphertexts to the new model's file; every value is half a step's worth."""
    (small, large), models = peaks(opens, sums, manifest, lambda *_: made.cohort_key().secret)

    folder = sums[LARGE][0]
    assert {value for chunk in Models(folder / "models").chunks(models[1]) for value in chunk} == {
        0.5 * 2.0**-18
    }
    assert large <= 1.1 * small


@pytest.mark.slow
def test_sealing_and_unsealing_a_model_take_the_same_memory_for_any_model(sums):
    """Twice through the file, once through the other end."""
    (small, large), envelopes = peaks(seals_and_unseals, sums, lambda plan, total: plan.terms.model)

    assert [envelope.chunks for envelope in envelopes] == [16, 123]
    assert large <= 1.1 * small


def begins(folder: Path, packed: bytes) -> str:
    """The worker's first task: the public model that everybody starts from."""
    shapes = shapes_of(unpack(packed).arithmetic.dimension)
    workshop = Workshop(None, bytes, _shapes=shapes)
    return workshop.first_model("text", folder / "first")


@pytest.mark.slow
def test_the_first_model_takes_the_same_memory_for_any_size(sums):
    """Drawn from its text part by part."""
    (small, large), digests = peaks(begins, sums)

    assert digests[0] != digests[1]
    assert large <= 1.1 * small


def a_whole_vector(folder: Path, packed: bytes) -> int:
    return Models(folder / "models").vector(unpack(packed).terms.model).size


@pytest.mark.slow
def test_a_whole_vector_would_be_seen(sums):
    """The control: one model in memory is more than a tenth."""
    (small, large), _ = peaks(a_whole_vector, sums)

    assert large > 1.5 * small
