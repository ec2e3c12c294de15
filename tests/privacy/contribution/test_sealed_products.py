"""Products reach the openers of one round and nobody else; what does not add up voids scores."""

from functools import cache
from hashlib import sha256

import msgspec
import pytest

from privacy import canonical
from privacy.contribution.products import OpenedSum
from privacy.contribution.sealed_products import (
    NUMBER_BYTES,
    SALT_BYTES,
    SEALED_BYTES,
    Scored,
    SealedProduct,
    check_seals,
    check_stated,
    judge,
    open_product,
    seal_product,
)
from privacy.documents import Signed
from privacy.errors import (
    FalseProduct,
    InvalidSignature,
    MalformedMessage,
    UnsafeParameters,
    WrongContext,
)
from privacy.plan import Plan
from privacy.records import Cohort, Entry, Scores, StatedProduct, digest_of
from privacy.sealing import SEAL_OVERHEAD, HpkeKeyPair, Sealed, seal, seal_context
from privacy.signing import Purpose, sign
from tests.privacy import example_round as example

SITES = ("amber", "birch", "cedar", "delta")
OPENERS = example.OPENERS
STEP_LOG2 = 4


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


def planned(**changes) -> Plan:
    scheme = msgspec.structs.replace(example.TERMS.scheme, score_step_log2=STEP_LOG2)
    releases = ("participation", "alignment")
    privacy = msgspec.structs.replace(example.PRIVACY, releases=releases)
    terms = {"scheme": scheme, "privacy": privacy, **changes}
    return Plan(example.ARITHMETIC, msgspec.structs.replace(example.TERMS, **terms))


PLAN = planned()
COHORT = Cohort(
    federation=example.FEDERATION,
    round=1,
    plan=PLAN.digest(),
    entries=tuple(
        Entry(site, example.filler(f"of {site}"), (example.filler(f"root {site}"),))
        for site in SITES
    ),
)
RELEASE = msgspec.structs.replace(example.RELEASE, plan=PLAN.digest(), cohort=digest_of(COHORT))
SCORED = Scored(PLAN, COHORT, RELEASE)

PRODUCTS = {"amber": 10_000, "birch": -300, "cedar": 7, "delta": 1 << 40}
OPENED = OpenedSum(sum(PRODUCTS.values()), 1 << 40)
"""Norms are bounded by 20 · 2^18 and a little more: a step of 2^20 allows for products of 2^42."""


def scored(**release) -> Scored:
    return Scored(PLAN, COHORT, msgspec.structs.replace(RELEASE, **release))


def signed(sealed: SealedProduct, by: str) -> Signed:
    body = canonical.encode(sealed.stated)
    return Signed(body, {by: sign(example.signing_key(by), Purpose.PRODUCT, body)})


def sent(site: str, product: int | None = None, of: Scored = SCORED) -> tuple:
    """What a site states, and its seals by opener."""
    stated = PRODUCTS[site] if product is None else product
    made = seal_product(of, roster(), site, stated, salt)
    return signed(made, site), dict(zip(OPENERS, made.seals, strict=True))


@cache
def honest(site: str) -> tuple:
    return sent(site)


def judged(opener: str = OPENERS[0], *, without: tuple[str, ...] = (), **others) -> Scores:
    """What an opener makes of all sites' products; `others` in the place of their own."""
    all_sent = {site: others.get(site) or honest(site) for site in SITES if site not in without}
    handed = {site: (stated, seals[opener]) for site, (stated, seals) in all_sent.items()}
    return judge(SCORED, roster(), opener, pair(opener), handed, OPENED)


def test_every_opener_signs_the_same_scores_of_the_whole_cohort() -> None:
    """Each from its own seal; scores count only where their bytes are the same."""
    found = [judged(opener) for opener in OPENERS]

    assert len({canonical.encode(each) for each in found}) == 1
    assert not found[0].void
    assert tuple(each.participant for each in found[0].scores) == SITES
    assert found[0].cohort == digest_of(COHORT)


def test_scores_are_products_rounded_and_say_nothing_of_norms() -> None:
    """To multiples of sixteen: 10,000 is one; of -300 and 7 the nearest are -304 and 0."""
    found = judged()

    assert [each.alignment for each in found.scores] == ["10000", "-304", "0", str(1 << 40)]
    assert {each.squared_norm for each in found.scores} == {""}


@pytest.mark.parametrize("by", [1, -1, 1 << 30])
@pytest.mark.parametrize("liar", SITES)
def test_a_single_site_that_lies_voids_the_scores(liar: str, by: int) -> None:
    """However little it adds; nobody earns by them, itself included."""
    found = judged(**{liar: sent(liar, PRODUCTS[liar] + by)})

    assert found.scores == ()
    assert "do not add up" in found.void


def test_two_colluders_shift_only_between_themselves() -> None:
    """What is not prevented: the pair's products add up to what they did."""
    by = 1 << 20
    lies = {"amber": PRODUCTS["amber"] + by, "birch": PRODUCTS["birch"] - by}

    found = judged(**{site: sent(site, product) for site, product in lies.items()})

    now = {each.participant: int(each.alignment) for each in found.scores}
    assert not found.void
    assert now["amber"] + now["birch"] == pytest.approx(sum(lies.values()), abs=1 << STEP_LOG2)
    assert (now["cedar"], now["delta"]) == (0, 1 << 40)


def test_a_shift_beyond_a_clipped_update_voids_the_scores_and_names_its_site() -> None:
    """Without a bound a pair could take nearly all that is paid."""
    far = 1 << 44
    lies = {"amber": PRODUCTS["amber"] + far, "birch": PRODUCTS["birch"] - far}

    found = judged(**{site: sent(site, product) for site, product in lies.items()})

    assert found.scores == ()
    assert "amber belongs to no update" in found.void


def test_a_product_that_is_left_out_voids_the_scores_and_names_who_is_away() -> None:
    """Whether the site was away or the coordinator dropped it cannot be told."""
    found = judged(without=("birch", "delta"))

    assert found.scores == ()
    assert found.void == "no product of birch, delta"


def test_a_product_swapped_for_another_sites_is_refused() -> None:
    """The coordinator's doing: nothing is signed over it."""
    with pytest.raises(InvalidSignature):
        judged(amber=honest("birch"))


def test_a_seal_swapped_under_a_statement_is_refused() -> None:
    """The statement names each seal by its digest, and each seal has its own opener."""
    stated, mine = honest("amber")
    _, others = honest("birch")
    turned = {opener: mine[OPENERS[at - 1]] for at, opener in enumerate(OPENERS)}

    for seals in (others, turned):
        with pytest.raises(MalformedMessage, match="not the product that amber has signed"):
            judged(amber=(stated, seals))


@pytest.mark.parametrize("change", ["model", "sealed_model", "previous"])
def test_a_product_replayed_from_another_release_is_refused(change: str) -> None:
    """It is with another step, even where the cohort is the same."""
    old = sent("amber", of=scored(**{change: example.filler("another")}))

    with pytest.raises(WrongContext, match="of another site, round, cohort or release"):
        judged(amber=old)


def test_a_product_of_a_trainer_outside_the_cohort_is_refused() -> None:
    """Its update is not in the sum, and its product would be in the scores."""
    smaller = msgspec.structs.replace(COHORT, entries=COHORT.entries[:3])
    release = msgspec.structs.replace(RELEASE, cohort=digest_of(smaller))
    of = Scored(PLAN, smaller, release)
    stated, seals = sent("delta", of=of)

    with pytest.raises(WrongContext, match="not in the cohort"):
        judge(of, roster(), "amber", pair("amber"), {"delta": (stated, seals["amber"])}, OPENED)


def test_a_statement_that_leaves_an_opener_out_is_refused() -> None:
    """Openers count only together, and the plan says who they are."""
    made = seal_product(SCORED, roster(), "amber", 1, salt)
    fewer = msgspec.structs.replace(made.stated, seals=made.stated.seals[:2])

    with pytest.raises(MalformedMessage, match="others than the plan's openers"):
        check_stated(SCORED, roster(), "amber", signed(SealedProduct(fewer, ()), "amber"))


def test_seals_are_those_of_the_statement_and_of_one_length() -> None:
    """What the coordinator stores for a site is bounded, whatever it sends."""
    made = seal_product(SCORED, roster(), "amber", 1, salt)
    check_seals(made.stated, made.seals)

    first, second, third = made.seals
    for seals in ((second, first, third), (first, second), (*made.seals, first), ()):
        with pytest.raises(MalformedMessage, match="amber: other seals"):
            check_seals(made.stated, seals)
    longer = first + b"x"
    named = msgspec.structs.replace(made.stated.seals[0], sealed=sha256(longer).hexdigest())
    stated = msgspec.structs.replace(made.stated, seals=(named, *made.stated.seals[1:]))
    with pytest.raises(MalformedMessage, match="other seals"):
        check_seals(stated, (longer, second, third))


@pytest.mark.parametrize("change", ["round", "plan", "cohort"])
def test_a_release_of_another_round_or_cohort_has_no_scores(change: str) -> None:
    changed = {"round": 2, "plan": example.filler("x"), "cohort": example.filler("y")}

    with pytest.raises(WrongContext, match="of another cohort"):
        scored(**{change: changed[change]})


def test_a_plan_that_asks_for_none_has_no_scores() -> None:
    """Nobody states anything that the site's policy has not seen listed."""
    release = msgspec.structs.replace(example.RELEASE, cohort=digest_of(example.COHORT))

    with pytest.raises(UnsafeParameters, match="asks for no scores"):
        Scored(example.PLAN, example.COHORT, release)


def two_faced(inside: bytes) -> tuple:
    """A statement of amber's with another secret sealed to every opener than it commits to."""
    made = seal_product(SCORED, roster(), "amber", PRODUCTS["amber"], salt)
    seals = {}
    for opener in OPENERS:
        here = (example.FEDERATION, "1", PLAN.digest(), digest_of(COHORT), digest_of(RELEASE))
        info = seal_context(Sealed.PRODUCT, *(t.encode() for t in (*here, "amber", opener)))
        seals[opener] = seal(pair(opener).public, info, inside)
    named = tuple(
        msgspec.structs.replace(each, sealed=sha256(seals[each.opener]).hexdigest())
        for each in made.stated.seals
    )
    stated = msgspec.structs.replace(made.stated, seals=named)
    return signed(SealedProduct(stated, ()), "amber"), seals


@pytest.mark.parametrize("opener", OPENERS)
def test_a_seal_is_that_of_the_protocols_page(opener: str) -> None:
    """Made here from its words: whoever it is for is part of what it is bound to."""
    number = PRODUCTS["amber"].to_bytes(16, "big", signed=True)

    found = judged(opener, amber=two_faced(salt(SALT_BYTES) + number))

    assert found == judged(opener)
    assert not found.void


@pytest.mark.parametrize(
    "inside",
    [b"", bytes(SALT_BYTES), bytes(SALT_BYTES + NUMBER_BYTES), bytes(SALT_BYTES + 17)],
    ids=["nothing", "no number", "another number", "a byte too many"],
)
def test_a_site_that_seals_another_product_than_it_commits_to_voids_the_scores(
    inside: bytes,
) -> None:
    """Every opener says so in the same words, so that the void counts."""
    found = [judged(opener, amber=two_faced(inside)) for opener in OPENERS]

    assert len({canonical.encode(each) for each in found}) == 1
    assert found[0].void == "amber sealed no product that it committed to"


def test_who_carries_a_product_sees_its_length_and_no_number() -> None:
    """All seals are as long as each other, whatever the update; a commitment is salted."""
    nothing = seal_product(SCORED, roster(), "amber", 0, salt)
    much = seal_product(SCORED, roster(), "amber", -(1 << 120), salt)
    other_salt = seal_product(SCORED, roster(), "amber", 0, bytes)

    lengths = {len(each) for each in (*nothing.seals, *much.seals)}

    assert lengths == {SEALED_BYTES} == {SEAL_OVERHEAD + SALT_BYTES + NUMBER_BYTES}
    assert nothing.stated.commitment != other_salt.stated.commitment
    assert "seals=" not in repr(nothing).replace(repr(nothing.stated), "")


def test_another_key_opens_nothing() -> None:
    """A trainer that is no opener, and holds the seal and the statement."""
    stated, seals = honest("amber")
    record = canonical.decode(stated.body, StatedProduct)

    assert open_product(SCORED, record, "birch", pair("birch"), seals["birch"]) == 10_000
    with pytest.raises(FalseProduct, match="sealed no product"):
        open_product(SCORED, record, "birch", pair("delta"), seals["birch"])


def test_a_number_that_no_update_has_is_never_sealed() -> None:
    """128 bits hold the product of every update on any grid."""
    with pytest.raises(UnsafeParameters, match="128 bits"):
        seal_product(SCORED, roster(), "amber", 1 << 127, salt)
