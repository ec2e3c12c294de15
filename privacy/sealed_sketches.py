"""Sketches of a round on their way: sealed by each site to the openers, and added up by them.

    seed = SHA-256(transcript("veilsum/sketch-seed/1", release digest, cohort digest))

A release names the model that the opened sum gave, and no site knew that sum before the cohort
froze: nobody could shape an update by the seed. Who seals the model draws its content key, and
so may try one seed after another; it chooses among estimates that are all of the frozen updates,
t tries being worth about sqrt(2·ln t) standard errors to whom it favours.

*What it guarantees.* Whoever carries a sketch sees sealed bytes of one length. A seal opens in
one place only: one federation, round, plan, cohort, release, site and opener. Openers who find
what was committed to sign the same scores, word for word, or the same reason for none.
*What it does not.* An opener learns every row of every site's sketch. A site that is away, or
states a false sketch, leaves the round without scores; the coordinator can do so to any round,
as it can drop what it carries.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from . import canonical
from .documents import Signed, check_signer
from .errors import FalseSketch, MalformedMessage, UnsafeParameters, WrongContext
from .identifiers import Digest, ParticipantId, sha256_hex
from .records import Cohort, Release, Score, Scores, SealedSecret, StatedSketch, digest_of
from .roster import Roster
from .sealing import Entropy, HpkeKeyPair, Sealed, open_sealed, seal, seal_context
from .signing import Purpose, transcript
from .sketches import Sketch, measured

_SEED: Final = "veilsum/sketch-seed/1"
_COMMITMENT: Final = "veilsum/sketch-commitment/1"

SALT_BYTES: Final = 32
ROW_BYTES: Final = 16
"""A row travels as a signed integer of 128 bits, big-endian: no length tells of its size."""

_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Scored:
    """The round that sketches belong to: its cohort, its release, who opens and how it scores.

    Attributes:
        rows: of each sketch; see `sketches.rows_of`.
        norm_bound: see `sketches.largest_norm`.

    Raises:
        WrongContext: the release is of another round or cohort.
    """

    cohort: Cohort
    release: Release
    openers: tuple[ParticipantId, ...]
    rows: int
    step_log2: int
    norm_bound: int

    def __post_init__(self) -> None:
        of_cohort = (self.cohort.federation, self.cohort.round, self.cohort.plan)
        of_release = (self.release.federation, self.release.round, self.release.plan)
        if of_cohort != of_release or self.release.cohort != digest_of(self.cohort):
            raise WrongContext(f"round {self.cohort.round}: the release is of another cohort")

    def seed(self) -> bytes:
        """Return the seed of the round's sketches: 32 bytes that follow from its release."""
        names = (digest_of(self.release), digest_of(self.cohort))
        return hashlib.sha256(transcript(_SEED, *map(bytes.fromhex, names))).digest()

    def sites(self) -> tuple[ParticipantId, ...]:
        """Return whose sketches make the scores, in the order of the cohort."""
        return tuple(entry.participant for entry in self.cohort.entries)


@dataclass(frozen=True, slots=True)
class SealedSketch:
    """A site's sketch as it travels: what the site signs, and a seal for each opener in order."""

    stated: StatedSketch
    seals: tuple[bytes, ...] = field(repr=False)


def seal_sketch(
    scored: Scored, roster: Roster, site: ParticipantId, sketch: Sketch, entropy: Entropy
) -> SealedSketch:
    """Return a site's sketch, sealed to each opener of the round.

    Raises:
        UnsafeParameters: a row that no update on the grid has.
    """
    secret = entropy(SALT_BYTES) + _encode(sketch)
    seals = tuple(
        seal(roster.member(opener).sealing_key, _info(scored, site, opener), secret)
        for opener in scored.openers
    )
    named = tuple(
        SealedSecret(opener, sha256_hex(sealed))
        for opener, sealed in zip(scored.openers, seals, strict=True)
    )
    stated = StatedSketch(
        federation=scored.cohort.federation,
        round=scored.cohort.round,
        plan=scored.cohort.plan,
        cohort=digest_of(scored.cohort),
        release=digest_of(scored.release),
        participant=site,
        commitment=_commitment(secret),
        seals=named,
    )
    return SealedSketch(stated, seals)


def check_stated(
    scored: Scored, roster: Roster, site: ParticipantId, signed: Signed
) -> StatedSketch:
    """Return what a site states, if it is of this round and signed by that site.

    Raises:
        InvalidSignature: the site has not signed it.
        WrongContext: of another site, round, cohort or release, or of none of the cohort.
        MalformedMessage: sealed to others than the openers.
    """
    check_signer(signed, Purpose.SKETCH, site, roster.member(site).signing_key)
    stated = canonical.decode(signed.body, StatedSketch)
    here = (scored.cohort.federation, scored.cohort.round, scored.cohort.plan)
    names = (digest_of(scored.cohort), digest_of(scored.release))
    found = (stated.federation, stated.round, stated.plan)
    if found != here or (stated.cohort, stated.release) != names or stated.participant != site:
        raise WrongContext(f"{site} states a sketch of another site, round, cohort or release")
    if site not in scored.sites():
        raise WrongContext(f"{site} states a sketch, and is not in the cohort")
    if tuple(each.opener for each in stated.seals) != scored.openers:
        raise MalformedMessage(f"{site} sealed its sketch to others than the plan's openers")
    return stated


def open_sketch(
    scored: Scored, stated: StatedSketch, opener: ParticipantId, pair: HpkeKeyPair, sealed: bytes
) -> Sketch:
    """Return the sketch that a site has sealed to an opener.

    Args:
        stated: checked.

    Raises:
        MalformedMessage: not the seal that the site has signed; who carries it has changed it.
        FalseSketch: the site sealed something else than a sketch that it committed to.
    """
    site = stated.participant
    named = {each.opener: each.sealed for each in stated.seals}
    if named.get(opener) != sha256_hex(sealed):
        raise MalformedMessage(
            f"not the sketch that {site} has signed for {opener}; the coordinator must hand out "
            "what the site has sent"
        )
    # Whichever opener says so uses the same words, or two of them would sign different scores.
    false = FalseSketch(f"{site} sealed no sketch that it committed to")
    try:
        secret = open_sealed(pair, _info(scored, site, opener), sealed)
    except MalformedMessage:
        raise false from None
    whole = len(secret) == SALT_BYTES + scored.rows * ROW_BYTES
    if not whole or _commitment(secret) != stated.commitment:
        raise false
    return _decode(secret[SALT_BYTES:])


def judge(
    scored: Scored,
    roster: Roster,
    opener: ParticipantId,
    pair: HpkeKeyPair,
    sent: Mapping[ParticipantId, tuple[Signed, bytes]],
    of_sum: Sketch,
) -> Scores:
    """Return what an opener signs as the round's scores: one for each site, or why there is none.

    Without every sketch there is no sum to hold against the opened one: a site that is away
    leaves nobody's sketch checked, and nobody with a score. So does a false one.

    Args:
        sent: by site, as far as they came in time: what it states, and its seal to this opener.
        of_sum: the sketch of the sum that this opener has opened.

    Raises:
        InvalidSignature, WrongContext, MalformedMessage: something that whoever carries sketches
            has changed, or should never have taken; nothing is signed over it.
    """
    away = [site for site in scored.sites() if site not in sent]
    stated = {site: check_stated(scored, roster, site, sent[site][0]) for site in sent}
    if away:
        return _scores(scored, (), f"no sketch of {', '.join(away)}")
    step_log2, norm_bound = scored.step_log2, scored.norm_bound
    try:
        sketches = {
            site: open_sketch(scored, stated[site], opener, pair, sent[site][1])
            for site in scored.sites()
        }
        found = measured(sketches, of_sum, step_log2=step_log2, norm_bound=norm_bound)
    except FalseSketch as error:
        return _scores(scored, (), str(error))
    return _scores(scored, found)


def _scores(scored: Scored, scores: Sequence[Score], void: str = "") -> Scores:
    return Scores(
        federation=scored.cohort.federation,
        round=scored.cohort.round,
        plan=scored.cohort.plan,
        cohort=digest_of(scored.cohort),
        step_log2=scored.step_log2,
        scores=tuple(scores),
        void=void[:_LONGEST_REASON],
    )


def _encode(sketch: Sketch) -> bytes:
    try:
        return b"".join(row.to_bytes(ROW_BYTES, "big", signed=True) for row in sketch)
    except OverflowError:
        raise UnsafeParameters(f"a sketch with a row beyond {8 * ROW_BYTES} bits") from None


def _decode(rows: bytes) -> Sketch:
    starts = range(0, len(rows), ROW_BYTES)
    return tuple(int.from_bytes(rows[at : at + ROW_BYTES], "big", signed=True) for at in starts)


def _commitment(secret: bytes) -> Digest:
    return sha256_hex(transcript(_COMMITMENT, secret))


def _info(scored: Scored, site: ParticipantId, opener: ParticipantId) -> bytes:
    cohort = scored.cohort
    here = (cohort.federation, str(cohort.round), cohort.plan)
    names = (digest_of(cohort), digest_of(scored.release), site, opener)
    return seal_context(Sealed.SKETCH, *(each.encode() for each in (*here, *names)))
