"""What must hold after every operation, whatever happened: each with its number and name."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from coordinator import object_names as names
from coordinator.state import Phase, Round
from privacy import documents
from privacy.errors import VeilsumError
from privacy.limbs import encode_chunk
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import Purpose
from tests.fakes import AUDITOR, LAYOUT, SITES, words
from tests.simulation.world import World

ORDER = list(Phase)
OPENED = (Phase.OPENING, Phase.DONE)
WRITTEN_ONCE = ("plan", "cohort", "sum")


class Violated(AssertionError):
    """An invariant does not hold."""


def sum_over_exactly_the_cohort(world: World, current: Round) -> None:
    """I1: the stored sum is that of the frozen cohort, to the last bit, until it is erased."""
    if not current.sum or current.is_over():
        return
    seeds = tuple(world.oracle.seeds[entry.contribution] for entry in current.committed)
    for chunk in range(2):
        stored = world.federation.objects.get(names.sum_chunk(current.number, chunk))
        _require(stored == _sum(seeds, chunk), f"chunk {chunk} is another sum")


def each_contribution_at_most_once(world: World, current: Round) -> None:
    """I2: a site is in the cohort once, with the first contribution it began."""
    members = [entry.participant for entry in current.committed]
    _require(members == sorted(set(members)), f"cohort {members}")
    for entry in current.committed:
        # A begin whose answer was lost in a crash is known to the store alone.
        first = world.oracle.first.get((current.number, entry.participant), entry.contribution)
        _require(entry.contribution == first, f"{entry.participant}: not what it said first")


def no_sum_below_quorum(world: World, current: Round) -> None:
    """I3: nothing is added up below the quorum and the least number of organisations."""
    number, rounds = current.number, world.federation.settings.rounds
    if current.sum or world.federation.objects.names(f"rounds/{number:06d}/sum"):
        least = max(rounds.quorum, rounds.cohort_minimum)
        _require(len(current.committed) >= least, f"a sum of {len(current.committed)}")


def a_release_has_its_signatures(world: World, current: Round) -> None:
    """I4: a released model carries `agreement` good signatures of openers."""
    if current.phase is not Phase.DONE:
        return
    roster, rules = world.federation.roster, current.rules
    signed = world.federation.service.models.release(current.number)
    documents.check_agreement(signed, Purpose.RELEASE, rules.openers, rules.agreement, roster)


def nothing_goes_backwards(world: World, current: Round) -> None:
    """I5: phases rise, an end is an end, and what was said once stands.

    But for a model that openers refused: the next opener's takes its place, while the round
    is not over, and each opener has one turn of it.
    """
    before = world.oracle.seen.get(current.number, current)
    _require(ORDER.index(current.phase) >= ORDER.index(before.phase), f"from {before.phase}")
    _require(before.phase is not Phase.ABORTED or current == before, "an aborted round changed")
    for name in WRITTEN_ONCE:
        _require(getattr(before, name) in ("", getattr(current, name)), f"another {name}")
    _require(set(before.committed) <= set(current.committed), "a contribution was taken back")
    same = (before.sealed_model, before.release) == (current.sealed_model, current.release)
    _require(same or not before.is_over(), "another model than the one released")
    resealed = bool(before.sealed_model) and not same
    _require(not resealed or current.turn > before.turn, "another model of the same turn")
    _require(before.sealings <= current.sealings <= len(current.rules.openers), "more models")


def a_receipt_is_kept(world: World, current: Round) -> None:
    """I7: whoever has a receipt is in the cohort."""
    members = {entry.participant for entry in current.committed}
    given = {who for number, who in world.oracle.receipts if number == current.number}
    _require(given <= members, f"receipts of {sorted(given - members)}")


def no_sum_leaves_unaudited(world: World, current: Round) -> None:
    """I9: where there is an auditor, openers get a sum that it signed, or none.

    And nobody but the auditor is ever handed a contribution.
    """
    number, auditor = current.number, current.rules.auditor
    sums = world.federation.service.sums
    for member in SITES:
        given = _is_given(lambda who=member: sums.to_audit(who, number, 0))
        given |= _is_given(lambda who=member: sums.contribution(who, number, SITES[0], 0))
        _require(not given, f"{member} is handed contributions")
    vouched = not auditor or current.sum in world.oracle.vouched
    for opener in current.rules.openers:
        given = _is_given(lambda who=opener: sums.chunk(who, number, 0))
        given |= _is_given(lambda who=opener: sums.manifest(who, number))
        _require(vouched or not given, f"{opener} is handed a sum without a countersignature")
        _require(given == (current.phase in OPENED), f"{opener} is handed a sum: {given}")
        if given and auditor:
            key = world.federation.roster.member(auditor).signing_key
            documents.check_signer(sums.manifest(opener, number), Purpose.SUM, auditor, key)


def masks_are_taken_off_by_openers(world: World, current: Round) -> None:
    """I10: each opener of an open sum is handed what its cohort sealed to it, and nobody else is.

    Who signs a released model has been handed exactly that.
    """
    number, openers = current.number, current.rules.openers
    for name in (*SITES, AUDITOR):
        opens = name in openers and current.phase in OPENED
        expected = _sealed_to(world, current, name) if opens else None
        handed = _handed(lambda who=name: world.federation.service.sums.masks(who, number))
        is_erased = current.phase is Phase.DONE and handed is None
        _require(handed == expected or is_erased, f"{name} is handed other seals")
        answers = world.oracle.handed.get((number, name), set())
        _require(not answers or name in openers, f"{name} was handed seals")
        _require(
            all(each == _sealed_to(world, current, name) for each in answers),
            f"{name} was handed other seals",
        )
        _require(bool(answers) or name not in current.agreed, f"{name} signed and saw no mask")


INVARIANTS: Mapping[str, Callable[[World, Round], None]] = {
    "I1": sum_over_exactly_the_cohort,
    "I2": each_contribution_at_most_once,
    "I3": no_sum_below_quorum,
    "I4": a_release_has_its_signatures,
    "I5": nothing_goes_backwards,
    "I7": a_receipt_is_kept,
    "I9": no_sum_leaves_unaudited,
    "I10": masks_are_taken_off_by_openers,
}


def check(world: World) -> None:
    """Check every round that has changed since it was last looked at.

    Raises:
        Violated: the number of the invariant, the round, and what is wrong.
    """
    rounds = world.rounds
    _require(set(world.oracle.seen) <= set(rounds), "I5: a round is gone")
    for number, current in rounds.items():
        if world.oracle.seen.get(number) == current:
            continue
        for name, invariant in INVARIANTS.items():
            try:
                invariant(world, current)
            except (Violated, VeilsumError) as error:
                raise Violated(f"{name}, round {number}, {current.phase}: {error}") from error
        world.oracle.seen[number] = current


def check_quiet(world: World) -> None:
    """I6: in a long silence every round ends, but one that waits for its key.

    Raises:
        Violated: another round goes on.
    """
    _require(world.is_quiet(), f"I6: rounds {_going_on(world)} do not end")


def check_over(world: World) -> None:
    """I6: when members come back after any silence, the programme gets all its models.

    Raises:
        Violated: it is not over.
    """
    over = f"rounds {_going_on(world)} do not end, halted: {world.federation.service.halted()}"
    _require(world.is_over(), f"I6: members came back, and {over}")


def check_erased(world: World) -> None:
    """I11: when all is over, no contribution, no sealed mask and no sum is left.

    Raises:
        Violated: something is.
    """
    for number in world.rounds:
        for folder in (names.contributions(number), names.sums(number)):
            left = world.federation.objects.names(folder)
            _require(left == [], f"I11: {left} are left")


def _sealed_to(world: World, current: Round, opener: str) -> tuple[tuple[str, bytes], ...]:
    seals = world.oracle.seals
    return tuple((each.participant, seals[each.contribution][opener]) for each in current.committed)


def _handed(ask: Callable[[], list[tuple[str, bytes]]]) -> tuple[tuple[str, bytes], ...] | None:
    try:
        return tuple(ask())
    except VeilsumError:
        return None


def _is_given(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except VeilsumError:
        return False
    return True


def _going_on(world: World) -> list[str]:
    return [f"{n}: {each.phase}" for n, each in world.rounds.items() if not each.is_over()]


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Violated(what)


@lru_cache(maxsize=4096)
def _sum(seeds: tuple[str, ...], chunk: int) -> bytes:
    if not seeds:
        return b""
    total = np.zeros_like(words(seeds[0], chunk))
    for seed in seeds:
        total = (total + words(seed, chunk)) % np.uint64(MODULUS_4096)
    return encode_chunk(LAYOUT, chunk, total)
