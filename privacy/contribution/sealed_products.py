"""Products of a round on their way: sealed by each site to the openers, and added up by them.

*What it guarantees.* Whoever carries a product sees sealed bytes of one length. A seal opens in
one place only: one federation, round, plan, cohort, release, site and opener. Openers who find
what was committed to sign the same scores, word for word, or the same reason for none.
*What it does not.* An opener learns the product of every site exactly, before it is rounded. A
site that is away, or states a false one, leaves the round without scores; the coordinator can do
so to any round, as it can drop what it carries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import FalseProduct, MalformedMessage, UnsafeParameters, WrongContext
from privacy.identifiers import Digest, ParticipantId, sha256_hex
from privacy.plan import Plan
from privacy.records import Cohort, Release, Score, Scores, SealedSecret, StatedProduct, digest_of
from privacy.roster import Roster
from privacy.sealing import (
    SEAL_OVERHEAD,
    Entropy,
    HpkeKeyPair,
    Sealed,
    open_sealed,
    seal,
    seal_context,
)
from privacy.signing import Purpose, transcript

from .products import OpenedSum, measured

_COMMITMENT: Final = "veilsum/product-commitment/1"

SALT_BYTES: Final = 32
NUMBER_BYTES: Final = 16
"""A product travels as a signed integer of 128 bits, big-endian: no length tells of its size."""

SEALED_BYTES: Final = SEAL_OVERHEAD + SALT_BYTES + NUMBER_BYTES

_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Scored:
    """The round that products belong to: its plan, its cohort and its release.

    Raises:
        WrongContext: they are not of one round and cohort.
        UnsafeParameters: the plan asks for no products.
    """

    plan: Plan
    cohort: Cohort
    release: Release

    def __post_init__(self) -> None:
        number = self.plan.terms.round
        here = (self.plan.terms.federation, number, self.plan.digest())
        records: tuple[Cohort | Release, ...] = (self.cohort, self.release)
        of_round = all((each.federation, each.round, each.plan) == here for each in records)
        if not of_round or self.release.cohort != digest_of(self.cohort):
            raise WrongContext(f"round {number}: the release is of another cohort")
        if self.plan.terms.scheme.score_step_log2 is None:
            raise UnsafeParameters(f"round {number}: its plan asks for no scores")

    def openers(self) -> tuple[ParticipantId, ...]:
        """Return to whom products are sealed, in order."""
        return self.plan.terms.openers

    def sites(self) -> tuple[ParticipantId, ...]:
        """Return whose products make the scores, in the order of the cohort."""
        return tuple(entry.participant for entry in self.cohort.entries)

    def step_log2(self) -> int:
        """Return to multiples of which power of two scores are rounded."""
        found = self.plan.terms.scheme.score_step_log2
        assert found is not None  # looked at when this was made
        return found


@dataclass(frozen=True, slots=True)
class SealedProduct:
    """A site's product as it travels: what the site signs, and a seal for each opener in order."""

    stated: StatedProduct
    seals: tuple[bytes, ...] = field(repr=False)


def seal_product(
    scored: Scored, roster: Roster, site: ParticipantId, product: int, entropy: Entropy
) -> SealedProduct:
    """Return a site's product, sealed to each opener of the round.

    Raises:
        UnsafeParameters: a number that no update on the grid has.
    """
    secret = entropy(SALT_BYTES) + _encode(product)
    seals = tuple(
        seal(roster.member(opener).sealing_key, _info(scored, site, opener), secret)
        for opener in scored.openers()
    )
    named = tuple(
        SealedSecret(opener, sha256_hex(sealed))
        for opener, sealed in zip(scored.openers(), seals, strict=True)
    )
    stated = StatedProduct(
        federation=scored.cohort.federation,
        round=scored.cohort.round,
        plan=scored.cohort.plan,
        cohort=digest_of(scored.cohort),
        release=digest_of(scored.release),
        participant=site,
        commitment=_commitment(secret),
        seals=named,
    )
    return SealedProduct(stated, seals)


def check_stated(
    scored: Scored, roster: Roster, site: ParticipantId, signed: Signed
) -> StatedProduct:
    """Return what a site states, if it is of this round and signed by that site.

    Raises:
        InvalidSignature: the site has not signed it.
        WrongContext: of another site, round, cohort or release, or of none of the cohort.
        MalformedMessage: sealed to others than the openers.
    """
    check_signer(signed, Purpose.PRODUCT, site, roster.member(site).signing_key)
    stated = canonical.decode(signed.body, StatedProduct)
    here = (scored.cohort.federation, scored.cohort.round, scored.cohort.plan)
    names = (digest_of(scored.cohort), digest_of(scored.release))
    found = (stated.federation, stated.round, stated.plan)
    if found != here or (stated.cohort, stated.release) != names or stated.participant != site:
        raise WrongContext(f"{site} states a product of another site, round, cohort or release")
    if site not in scored.sites():
        raise WrongContext(f"{site} states a product, and is not in the cohort")
    if tuple(each.opener for each in stated.seals) != scored.openers():
        raise MalformedMessage(f"{site} sealed its product to others than the plan's openers")
    return stated


def check_seals(stated: StatedProduct, seals: Sequence[bytes]) -> None:
    """Return if these are the seals that a site names, each of the one length they have.

    Raises:
        MalformedMessage: they are not.
    """
    fitting = all(len(sealed) == SEALED_BYTES for sealed in seals)
    if not fitting or [sha256_hex(sealed) for sealed in seals] != [
        each.sealed for each in stated.seals
    ]:
        raise MalformedMessage(f"{stated.participant}: other seals than its statement names")


def open_product(
    scored: Scored, stated: StatedProduct, opener: ParticipantId, pair: HpkeKeyPair, sealed: bytes
) -> int:
    """Return the product that a site has sealed to an opener.

    Args:
        stated: checked.

    Raises:
        MalformedMessage: not the seal that the site has signed; who carries it has changed it.
        FalseProduct: the site sealed something else than a product that it committed to.
    """
    site = stated.participant
    named = {each.opener: each.sealed for each in stated.seals}
    if named.get(opener) != sha256_hex(sealed):
        raise MalformedMessage(
            f"not the product that {site} has signed for {opener}; the coordinator must hand out "
            "what the site has sent"
        )
    # Whichever opener says so uses the same words, or two of them would sign different scores.
    false = FalseProduct(f"{site} sealed no product that it committed to")
    try:
        secret = open_sealed(pair, _info(scored, site, opener), sealed)
    except MalformedMessage:
        raise false from None
    if len(secret) != SALT_BYTES + NUMBER_BYTES or _commitment(secret) != stated.commitment:
        raise false
    return int.from_bytes(secret[SALT_BYTES:], "big", signed=True)


def judge(
    scored: Scored,
    roster: Roster,
    opener: ParticipantId,
    pair: HpkeKeyPair,
    sent: Mapping[ParticipantId, tuple[Signed, bytes]],
    opened: OpenedSum,
) -> Scores:
    """Return what an opener signs as the round's scores: one for each site, or why there is none.

    Without every product there is no sum to hold against the opened one: a site that is away
    leaves nobody's product checked, and nobody with a score. So does a false one.

    Args:
        sent: by site, as far as they came in time: what it states, and its seal to this opener.
        opened: what this opener has computed of the sum that it has opened.

    Raises:
        InvalidSignature, WrongContext, MalformedMessage: something that whoever carries products
            has changed, or should never have taken; nothing is signed over it.
    """
    away = [site for site in scored.sites() if site not in sent]
    stated = {site: check_stated(scored, roster, site, sent[site][0]) for site in sent}
    if away:
        return _scores(scored, (), f"no product of {', '.join(away)}")
    try:
        products = {
            site: open_product(scored, stated[site], opener, pair, sent[site][1])
            for site in scored.sites()
        }
        norm = scored.plan.largest_norm()
        found = measured(products, opened, step_log2=scored.step_log2(), norm=norm)
    except FalseProduct as error:
        return _scores(scored, (), str(error))
    return _scores(scored, found)


def _scores(scored: Scored, scores: Sequence[Score], void: str = "") -> Scores:
    return Scores(
        federation=scored.cohort.federation,
        round=scored.cohort.round,
        plan=scored.cohort.plan,
        cohort=digest_of(scored.cohort),
        step_log2=scored.step_log2(),
        scores=tuple(scores),
        void=void[:_LONGEST_REASON],
    )


def _encode(product: int) -> bytes:
    try:
        return product.to_bytes(NUMBER_BYTES, "big", signed=True)
    except OverflowError:
        raise UnsafeParameters(f"a product beyond {8 * NUMBER_BYTES} bits") from None


def _commitment(secret: bytes) -> Digest:
    return sha256_hex(transcript(_COMMITMENT, secret))


def _info(scored: Scored, site: ParticipantId, opener: ParticipantId) -> bytes:
    cohort = scored.cohort
    here = (cohort.federation, str(cohort.round), cohort.plan)
    names = (digest_of(cohort), digest_of(scored.release), site, opener)
    return seal_context(Sealed.PRODUCT, *(each.encode() for each in (*here, *names)))
