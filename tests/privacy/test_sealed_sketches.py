"""Sketches reach the openers of one round and nobody else; what does not add up voids scores."""

from dataclasses import replace
from functools import cache
from hashlib import sha256

import msgspec
import numpy as np
import pytest

from privacy import canonical
from privacy.documents import Signed
from privacy.errors import (
    FalseSketch,
    InvalidSignature,
    MalformedMessage,
    UnsafeParameters,
    WrongContext,
)
from privacy.records import Cohort, Entry, Scores, StatedSketch, digest_of
from privacy.sealed_sketches import (
    ROW_BYTES,
    SALT_BYTES,
    Scored,
    SealedSketch,
    judge,
    open_sketch,
    seal_sketch,
)
from privacy.sealing import SEAL_OVERHEAD, HpkeKeyPair, Sealed, seal, seal_context
from privacy.signing import Purpose, sign, transcript
from privacy.sketches import Sketch, sketch_of
from tests.privacy import example_round as example

SITES = ("amber", "birch", "cedar", "delta")
OPENERS = example.OPENERS
DIMENSION = 400
STEP_LOG2 = 4
NORM_BOUND = 1 << 14


def salt(count: int) -> bytes:
    """The same in every run; only that it reaches the commitment is looked at."""
    return bytes(range(count))


@cache
def pair(name: str) -> HpkeKeyPair:
    return HpkeKeyPair(sha256(b"sealing " + name.encode()).digest())


@cache
def roster():
    entries = tuple(
        msgspec.structs.replace(each, sealing_key=pair(each.participant).public)
        for each in example.roster().members
    )
    return example.roster(members=entries)


COHORT = Cohort(
    federation=example.FEDERATION,
    round=1,
    plan=example.PLAN.digest(),
    entries=tuple(
        Entry(site, example.filler(f"of {site}"), (example.filler(f"root {site}"),))
        for site in SITES
    ),
)
RELEASE = msgspec.structs.replace(example.RELEASE, cohort=digest_of(COHORT))
SCORED = Scored(COHORT, RELEASE, OPENERS, DIMENSION // 100, STEP_LOG2, NORM_BOUND)

UPDATES = {
    site: np.random.default_rng(at).integers(-200, 200, DIMENSION) for at, site in enumerate(SITES)
}
SKETCHES = {site: sketch_of(SCORED.seed(), update) for site, update in UPDATES.items()}
OF_SUM = sketch_of(SCORED.seed(), sum(UPDATES.values()))


def signed(sealed: SealedSketch, by: str) -> Signed:
    body = canonical.encode(sealed.stated)
    return Signed(body, {by: sign(example.signing_key(by), Purpose.SKETCH, body)})


@cache
def sent(site: str, sketch: Sketch | None = None, scored: Scored = SCORED) -> tuple:
    """What a site states, and its seals by opener."""
    made = seal_sketch(scored, roster(), site, sketch or SKETCHES[site], salt)
    return signed(made, site), dict(zip(OPENERS, made.seals, strict=True))


def judged(opener: str = OPENERS[0], *, without: tuple[str, ...] = (), **others) -> Scores:
    """What an opener makes of all sites' sketches; `others` in the place of their own."""
    all_sent = {site: others.get(site) or sent(site) for site in SITES if site not in without}
    handed = {site: (stated, seals[opener]) for site, (stated, seals) in all_sent.items()}
    return judge(SCORED, roster(), opener, pair(opener), handed, OF_SUM)


def moved(sketch: Sketch, row: int, by: int) -> Sketch:
    return (*sketch[:row], sketch[row] + by, *sketch[row + 1 :])


def test_every_opener_signs_the_same_scores_of_the_whole_cohort() -> None:
    """Each from its own seal; scores count only where their bytes are the same."""
    found = [judged(opener) for opener in OPENERS]

    assert len({canonical.encode(each) for each in found}) == 1
    assert not found[0].void
    assert tuple(each.participant for each in found[0].scores) == SITES
    assert found[0].cohort == digest_of(COHORT)


def test_scores_are_those_of_the_updates() -> None:
    """Of a vector with one value that is not 0 the estimates are exact, whatever the seed."""
    one = np.zeros(DIMENSION, np.int64)
    one[7] = 1000
    nothing = np.zeros(DIMENSION, np.int64)
    seed = SCORED.seed()
    handed = {}
    for site, update in zip(SITES, (one, nothing, nothing, nothing), strict=True):
        stated, seals = sent(site, sketch_of(seed, update))
        handed[site] = (stated, seals["birch"])

    found = judge(SCORED, roster(), "birch", pair("birch"), handed, sketch_of(seed, one))

    assert [each.squared_norm for each in found.scores] == ["1000000", "0", "0", "0"]
    assert [each.alignment for each in found.scores] == ["1000000", "0", "0", "0"]


def test_the_seed_follows_from_release_and_cohort_alone() -> None:
    """Spelt out: no site knew the release's model before the cohort froze."""
    names = (digest_of(RELEASE), digest_of(COHORT))
    framed = transcript("veilsum/sketch-seed/1", *map(bytes.fromhex, names))
    other = msgspec.structs.replace(RELEASE, model=example.filler("another model"))

    seed = SCORED.seed()

    assert seed == sha256(framed).digest()
    assert replace(SCORED, release=other).seed() != seed


@pytest.mark.parametrize("change", ["round", "plan", "cohort"])
def test_a_release_of_another_cohort_gives_no_seed(change: str) -> None:
    """Whoever shows two cohorts of one release would have two seeds of one update."""
    changed = {"round": 2, "plan": example.filler("x"), "cohort": example.filler("y")}

    with pytest.raises(WrongContext, match="of another cohort"):
        replace(SCORED, release=msgspec.structs.replace(RELEASE, **{change: changed[change]}))


@pytest.mark.parametrize("row", range(DIMENSION // 100))
def test_a_single_site_that_lies_by_one_voids_the_scores(row: int) -> None:
    """Whichever row it is; nobody earns by them, itself included."""
    lie = sent("cedar", moved(SKETCHES["cedar"], row, 1))

    found = judged(cedar=lie)

    assert found.scores == ()
    assert "do not add up" in found.void


def test_two_colluders_shift_only_between_themselves() -> None:
    """What is not prevented: the pair's alignments add up to what they did, to the rounding."""
    honest = judged()
    row = max(range(len(OF_SUM)), key=lambda at: abs(OF_SUM[at]))
    gain = 2000 if OF_SUM[row] > 0 else -2000
    pair_of_lies = {
        "amber": sent("amber", moved(SKETCHES["amber"], row, gain)),
        "birch": sent("birch", moved(SKETCHES["birch"], row, -gain)),
    }

    found = judged(**pair_of_lies)

    was = {each.participant: int(each.alignment) for each in honest.scores}
    now = {each.participant: int(each.alignment) for each in found.scores}
    assert not found.void
    assert now["amber"] > was["amber"]
    assert now["birch"] < was["birch"]
    assert abs(now["amber"] + now["birch"] - was["amber"] - was["birch"]) <= 2 << STEP_LOG2
    assert (now["cedar"], now["delta"]) == (was["cedar"], was["delta"])


def test_a_shift_beyond_a_clipped_update_voids_the_scores_and_names_its_site() -> None:
    """Without a bound on length a pair could take nearly all that is paid."""
    far = 100 * NORM_BOUND
    pair_of_lies = {
        "amber": sent("amber", moved(SKETCHES["amber"], 0, far)),
        "birch": sent("birch", moved(SKETCHES["birch"], 0, -far)),
    }

    found = judged(**pair_of_lies)

    assert found.scores == ()
    assert "amber belongs to no update" in found.void


def test_a_sketch_that_is_left_out_voids_the_scores_and_names_who_is_away() -> None:
    """Whether the site was away or the coordinator dropped it cannot be told."""
    found = judged(without=("birch", "delta"))

    assert found.scores == ()
    assert found.void == "no sketch of birch, delta"


def test_a_sketch_swapped_for_another_sites_is_refused() -> None:
    """The coordinator's doing: nothing is signed over it."""
    with pytest.raises(InvalidSignature):
        judged(amber=sent("birch"))


def test_a_seal_swapped_under_a_statement_is_refused() -> None:
    """The statement names each seal by its digest, and each seal has its own opener."""
    stated, _ = sent("amber")
    _, others = sent("birch")
    mine = sent("amber")[1]
    turned = {opener: mine[OPENERS[at - 1]] for at, opener in enumerate(OPENERS)}

    for seals in (others, turned):
        with pytest.raises(MalformedMessage, match="not the sketch that amber has signed"):
            judged(amber=(stated, seals))


@pytest.mark.parametrize("change", ["model", "sealed_model", "previous"])
def test_a_sketch_replayed_from_another_release_is_refused(change: str) -> None:
    """It is of another seed, even where the cohort is the same."""
    other = msgspec.structs.replace(RELEASE, **{change: example.filler("another")})
    old = sent("amber", None, replace(SCORED, release=other))

    with pytest.raises(WrongContext, match="of another site, round, cohort or release"):
        judged(amber=old)


def test_a_sketch_of_a_trainer_outside_the_cohort_is_refused() -> None:
    """Its update is not in the sum, and its sketch would be in the scores."""
    smaller = msgspec.structs.replace(COHORT, entries=COHORT.entries[:3])
    release = msgspec.structs.replace(RELEASE, cohort=digest_of(smaller))
    scored = replace(SCORED, cohort=smaller, release=release)
    stated, seals = sent("delta", None, scored)
    handed = {"delta": (stated, seals["amber"])}

    with pytest.raises(WrongContext, match="not in the cohort"):
        judge(scored, roster(), "amber", pair("amber"), handed, OF_SUM)


def test_a_statement_that_leaves_an_opener_out_is_refused() -> None:
    """Openers count only together, and the plan says who they are."""
    made = seal_sketch(
        replace(SCORED, openers=OPENERS[:2]), roster(), "amber", SKETCHES["amber"], salt
    )
    handed = {"amber": (signed(made, "amber"), made.seals[0])}

    with pytest.raises(MalformedMessage, match="others than the plan's openers"):
        judge(SCORED, roster(), "amber", pair("amber"), handed, OF_SUM)


def two_faced(inside: bytes) -> tuple:
    """A statement of amber's with another secret sealed to every opener than it commits to."""
    honest = seal_sketch(SCORED, roster(), "amber", SKETCHES["amber"], salt)
    seals = {}
    for opener in OPENERS:
        here = (example.FEDERATION, "1", COHORT.plan, digest_of(COHORT), digest_of(RELEASE))
        info = seal_context(Sealed.SKETCH, *(t.encode() for t in (*here, "amber", opener)))
        seals[opener] = seal(pair(opener).public, info, inside)
    named = tuple(
        msgspec.structs.replace(each, sealed=sha256(seals[each.opener]).hexdigest())
        for each in honest.stated.seals
    )
    stated = msgspec.structs.replace(honest.stated, seals=named)
    return signed(SealedSketch(stated, ()), "amber"), seals


@pytest.mark.parametrize("opener", OPENERS)
def test_a_seal_is_that_of_the_protocols_page(opener: str) -> None:
    """Made here from its words: whoever it is for is part of what it is bound to."""
    rows = b"".join(row.to_bytes(16, "big", signed=True) for row in SKETCHES["amber"])

    found = judged(opener, amber=two_faced(salt(SALT_BYTES) + rows))

    assert found == judged(opener)
    assert not found.void


@pytest.mark.parametrize(
    "inside",
    [b"", bytes(SALT_BYTES), bytes(SALT_BYTES + 4 * ROW_BYTES), bytes(SALT_BYTES + 5 * ROW_BYTES)],
    ids=["nothing", "no rows", "other rows", "a row too many"],
)
def test_a_site_that_seals_another_sketch_than_it_commits_to_voids_the_scores(
    inside: bytes,
) -> None:
    """Every opener says so in the same words, so that the void counts."""
    found = [judged(opener, amber=two_faced(inside)) for opener in OPENERS]

    assert len({canonical.encode(each) for each in found}) == 1
    assert found[0].void == "amber sealed no sketch that it committed to"


def test_who_carries_a_sketch_sees_its_length_and_no_row() -> None:
    """All seals are as long as each other, whatever the update; a commitment is salted."""
    nothing = seal_sketch(SCORED, roster(), "amber", (0,) * 4, salt)
    much = seal_sketch(SCORED, roster(), "amber", (-(1 << 100),) * 4, salt)
    other_salt = seal_sketch(SCORED, roster(), "amber", (0,) * 4, bytes)

    lengths = {len(each) for each in (*nothing.seals, *much.seals)}

    assert lengths == {SEAL_OVERHEAD + SALT_BYTES + 4 * ROW_BYTES}
    assert nothing.stated.commitment != other_salt.stated.commitment
    assert "seals=" not in repr(nothing).replace(repr(nothing.stated), "")


def test_another_key_opens_nothing() -> None:
    """A trainer that is no opener, and holds the seal and the statement."""
    stated, seals = sent("amber")
    record = canonical.decode(stated.body, StatedSketch)

    assert open_sketch(SCORED, record, "birch", pair("birch"), seals["birch"]) == SKETCHES["amber"]
    with pytest.raises(FalseSketch, match="sealed no sketch"):
        open_sketch(SCORED, record, "birch", pair("delta"), seals["birch"])


def test_a_row_that_no_update_has_is_never_sealed() -> None:
    """128 bits hold the rows of every update on any grid."""
    with pytest.raises(UnsafeParameters, match="128 bits"):
        seal_sketch(SCORED, roster(), "amber", (1 << 127,), salt)
