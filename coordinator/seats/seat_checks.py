"""All that is checked of what seats state, before it counts. Pure.

Each function returns what the bytes stand for, or raises. Identity is an argument: it came
from the certificate. What seats found inside updates cannot be checked here: the coordinator
holds nothing that opens one.
"""

from typing import Final

from privacy import canonical
from privacy.documents import Signed, check_signer
from privacy.errors import MalformedMessage, WrongContext, WrongIdentity
from privacy.plan import SHARES, Plan
from privacy.records import (
    Candidates,
    Cohort,
    Scores,
    SealedWords,
    SeatSum,
    Verdict,
    digest_of,
)
from privacy.roster import Roster
from privacy.schemes.shares.layout import WORD_BYTES, WORDS_PER_LEAF, held_by
from privacy.schemes.shares.seat_total import SeatTotal
from privacy.sealing import CHUNK_OVERHEAD, CONTENT_KEY_BYTES, SEAL_OVERHEAD
from privacy.signing import Purpose

_EMPTY: Final = len(SeatTotal(0, 0, (bytes(32), bytes(32)), {}).encode())
"""Bytes of the container of a seat's sum before its first word."""


def verdict(
    signed: Signed, sender: str, candidates: Candidates, plan: Plan, roster: Roster
) -> Verdict:
    """Return what a seat says of the candidates.

    Raises:
        InvalidSignature: the sender's key has not signed it.
        WrongIdentity: it is another seat's.
        WrongContext: it judges another round, plan or other candidates.
        MalformedMessage: it refuses who is no candidate, or one twice, or cannot be printed.
    """
    check_signer(signed, Purpose.VERDICT, sender, roster.member(sender).signing_key)
    said = canonical.decode(signed.body, Verdict)
    _check_seat(said.seat, sender)
    _check_round(said, sender, plan)
    if said.candidates != digest_of(candidates):
        raise WrongContext(f"{sender} judges other candidates than those of round {said.round}")
    refused = [each.participant for each in said.refused]
    if not set(refused) <= {entry.participant for entry in candidates.entries}:
        raise MalformedMessage(f"{sender} refuses a contribution that is no candidate")
    if len(set(refused)) != len(refused):
        raise MalformedMessage(f"{sender} refuses a contribution twice")
    _check_words(sender, said.unasked, *(each.reason for each in said.refused))
    return said


def seat_sum(signed: Signed, sender: str, cohort: str, plan: Plan, roster: Roster) -> SeatSum:
    """Return what a seat states as the sums of its two components.

    Args:
        cohort: digest of the cohort that is certified.

    Raises:
        InvalidSignature, WrongIdentity: as for a verdict.
        WrongContext: another round, plan, cohort or roster, or wraps for others than trainers.
        MalformedMessage: sums of other components, or of other sizes than the plan gives them.
    """
    check_signer(signed, Purpose.SEAT_SUM, sender, roster.member(sender).signing_key)
    stated = canonical.decode(signed.body, SeatSum)
    _check_seat(stated.seat, sender)
    _check_round(stated, sender, plan)
    if stated.cohort != cohort:
        raise WrongContext(f"{sender} states the sums of another cohort")
    if stated.roster != roster.digest():
        raise WrongContext(f"{sender} wrapped the key of its sums for another roster")
    if [wrap.participant for wrap in stated.wraps] != [t.participant for t in roster.trainers()]:
        raise WrongContext(f"{sender} wrapped the key of its sums for others than the trainers")
    if any(len(wrap.sealed_key) != SEAL_OVERHEAD + CONTENT_KEY_BYTES for wrap in stated.wraps):
        raise MalformedMessage(f"{sender}: a wrapped key of another length than such keys have")
    _check_sums(stated, sender, plan)
    return stated


def scores(signed: Signed, sender: str, cohort: Cohort, plan: Plan, roster: Roster) -> Scores:
    """Return what a seat or an opener says was opened about the updates of a cohort.

    Raises:
        InvalidSignature: the sender's key has not signed it.
        WrongContext: another round, plan or cohort, or the plan asks for no such scores.
        MalformedMessage: scores of others than the cohort in its order, or void and not empty.
    """
    check_signer(signed, Purpose.SCORES, sender, roster.member(sender).signing_key)
    opened = canonical.decode(signed.body, Scores)
    _check_round(opened, sender, plan)
    if opened.cohort != digest_of(cohort):
        raise WrongContext(f"{sender} states the scores of another cohort")
    if opened.step_log2 != plan.terms.scheme.score_step_log2:
        raise WrongContext(f"{sender} states scores that the plan does not ask for")
    scored = [each.participant for each in opened.scores]
    expected = [] if opened.void else [entry.participant for entry in cohort.entries]
    if scored != expected:
        raise MalformedMessage(f"{sender}: not one score for each of the cohort, in its order")
    normed = [bool(each.squared_norm) for each in opened.scores]
    if normed != [plan.arithmetic.scheme == SHARES] * len(normed):
        raise MalformedMessage(f"{sender}: squared norms that the plan's scheme does not open")
    _check_words(sender, opened.void)
    return opened


def sealed_bytes(plan: Plan, chunk: int) -> int:
    """Return the length of one sealed chunk of one component's sum.

    Raises:
        MalformedMessage: there is no such chunk.
    """
    leaves = plan.shares().leaves_in(plan.geometry().values_in(chunk))
    return _EMPTY + WORD_BYTES * WORDS_PER_LEAF * leaves + CHUNK_OVERHEAD


def _check_seat(named: str, sender: str) -> None:
    if named != sender:
        raise WrongIdentity(f"a statement of {named}, sent by {sender}")


def _check_round(said: Verdict | SeatSum | Scores, sender: str, plan: Plan) -> None:
    here = (plan.terms.federation, plan.terms.round, plan.digest())
    if (said.federation, said.round, said.plan) != here:
        raise WrongContext(f"{sender} states something of another federation, round or plan")


def _check_sums(stated: SeatSum, sender: str, plan: Plan) -> None:
    # Nothing else is stored for the seat: what it may fill of a disk, the plan says.
    chunks = plan.geometry().chunks
    length = sum(sealed_bytes(plan, chunk) for chunk in range(chunks))
    expected = [(held, length) for held in held_by(plan.terms.seats.index(sender))]
    if stated.chunks != chunks or [_shape(each) for each in stated.sums] != expected:
        raise MalformedMessage(
            f"{sender}: its sums are not those of its two components, each sealed in {chunks} "
            f"chunks of {length} bytes in all"
        )


def _shape(words: SealedWords) -> tuple[int, int]:
    return (words.component, words.length)


def _check_words(sender: str, *texts: str) -> None:
    # They are shown to every member, on terminals too.
    if not all(text.isprintable() for text in texts):
        raise MalformedMessage(f"{sender}: a reason that cannot be printed")
