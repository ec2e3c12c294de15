"""What must hold after every operation, whatever happened: each with its number and words.

The numbers and words are those of "Invariants of a round" in docs/threat-model.md.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from coordinator import object_names as names
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase, Round
from privacy import documents
from privacy.certificate import check_certificate
from privacy.errors import NotYet, VeilsumError
from privacy.limbs import encode_chunk
from privacy.schemes.ckks_parameters import MODULUS_4096
from privacy.signing import Purpose
from tests.coordinator.seated_round import SEATS
from tests.fakes import AUDITOR, LAYOUT, SITES, words
from tests.simulation import shares
from tests.simulation.seated_world import SeatedWorld
from tests.simulation.world import CHUNKS, Violated, World

WORDS: Mapping[str, str] = {
    "I1": "The stored sum is that of the frozen cohort, to the last bit.",
    "I2": "A site is in a cohort once, with the first contribution it began.",
    "I3": "Nothing is added up below the quorum or the least number of organisations.",
    "I4": "A released model carries the agreed number of openers' signatures.",
    "I5": "Phases rise, an end is an end, and what was said once stands.",
    "I6": "In silence every round ends but one that waits for its key or its seats; when members "
    "come back, the programme gets its models.",
    "I7": "Whoever has a receipt is in the cohort, or is named with the seat that left it out.",
    "I8": "Whatever members, disks and networks do, the coordinator refuses on purpose, and goes "
    "on.",
    "I9": "Nobody is handed a sum before its auditor has signed it or its seats agree, and only an "
    "auditor or a seat is handed contributions.",
    "I10": "Whoever opens or adds is handed exactly what was sealed to it, and nobody else is.",
    "I11": "When a round is over, no sealed secret is left; no contribution and no sum either, "
    "unless it is done under `ckks/1` and its challenge window (none by default) is open.",
    "I12": "A sum of seats opens only where two or more state it alike, none of them a named liar.",
    "I13": "Nothing of a cohort is stated or opened without its certificate.",
    "I14": "An honest auditor names only seats that stated false sums.",
    "I15": "What the coordinator says of a round is what its storage keeps.",
}
OPENED = (Phase.OPENING, Phase.DONE)
SUMMED = (Phase.SUMMING, Phase.DISPUTED, Phase.AGGREGATING, *OPENED)
WRITTEN_ONCE = ("plan", "candidates", "cohort", "sum", "scores")
APPENDED = ("judged", "left_out", "stated", "scored")
ORDERS = (
    (Phase.KEYING, Phase.KEYED, Phase.OPEN, Phase.AGGREGATING, Phase.AUDITING, *OPENED),
    (
        Phase.KEYED,
        Phase.OPEN,
        Phase.JUDGING,
        Phase.CERTIFYING,
        Phase.SUMMING,
        Phase.DISPUTED,
        Phase.AGGREGATING,
        *OPENED,
    ),
)
"""The order of phases without seats, and with."""


def sum_over_exactly_the_cohort(world: World, current: Round) -> None:
    """I1, until the sum is erased."""
    if not current.sum or current.is_over():
        return
    if isinstance(world, SeatedWorld):
        _opens_to_the_plain_sum(world, current)
        return
    seeds = tuple(world.oracle.seeds[entry.contribution] for entry in current.committed)
    for chunk in range(CHUNKS):
        stored = world.federation.objects.get(names.sum_chunk(current.number, chunk))
        _require(stored == _sum(seeds, chunk), f"chunk {chunk} is another sum")


def _opens_to_the_plain_sum(world: SeatedWorld, current: Round) -> None:
    number = current.number
    stating = {each.seat for each in current.stated} - {*current.liars}
    lied = {seat for seat in stating if (number, seat) in world.oracle.lied}
    # Two seats that lie, or one of the only two that state: who opens cannot notice (threat model).
    if len(lied) > 1 or (lied and len(stating) == 2):
        return
    members = world.made_of(world.cohort(number).entries)
    opened = world.open(current.rules.openers[0], number)
    for chunk, found in enumerate(opened):
        expected = shares.plain_sum(world.shape(number), number, members, chunk)
        _require(bool((found == expected).all()), f"chunk {chunk} opens to another sum")


def each_contribution_at_most_once(world: World, current: Round) -> None:
    """I2, as the round counts and as the cohort is signed."""
    members = [entry.participant for entry in current.committed]
    _require(members == sorted(set(members)), f"cohort {members}")
    for entry in current.committed:
        # A begin whose answer was lost in a crash is known to the store alone.
        first = world.oracle.first.get((current.number, entry.participant), entry.contribution)
        _require(entry.contribution == first, f"{entry.participant}: not what it said first")
    if isinstance(world, SeatedWorld) and current.cohort:
        left_out = {each.participant for each in current.left_out}
        counted = [each for each in current.committed if each.participant not in left_out]
        _require([*world.cohort(current.number).entries] == counted, "another cohort is signed")


def no_sum_below_quorum(world: World, current: Round) -> None:
    """I3, from the moment that something is added up."""
    number, rounds = current.number, world.federation.settings.rounds
    if isinstance(world, SeatedWorld):
        members = len(world.cohort(number).entries) if current.cohort else 0
        added = bool(current.stated or current.sum)
    else:
        members = len(current.committed)
        added = bool(current.sum or world.federation.objects.names(names.sums(number)))
    least = max(rounds.quorum, rounds.cohort_minimum)
    _require(not added or members >= least, f"a sum of {members}")


def a_release_has_its_signatures(world: World, current: Round) -> None:
    """I4, as anybody checks it."""
    if current.phase is not Phase.DONE:
        return
    roster, rules = world.federation.roster, current.rules
    signed = world.federation.service.models.release(current.number)
    documents.check_agreement(signed, Purpose.RELEASE, rules.openers, rules.agreement, roster)


def nothing_goes_backwards(world: World, current: Round) -> None:
    """I5, but for two things that may be done again.

    A model that openers refused: the next opener's takes its place, while the round is not
    over, and each opener has one turn of it. A dispute: when the auditor has named a seat, the
    round is without that seat where it was.
    """
    before = world.oracle.seen.get(current.number, current)
    _require(_rises(before, current), f"from {before.phase}")
    _require(before.phase is not Phase.ABORTED or current == before, "an aborted round changed")
    _require(before.rules == current.rules, "other rules")
    for name in WRITTEN_ONCE:
        _require(getattr(before, name) in ("", getattr(current, name)), f"another {name}")
    for name in APPENDED:
        said = getattr(before, name)
        _require(getattr(current, name)[: len(said)] == said, f"{name} was taken back")
    _require(set(before.committed) <= set(current.committed), "a contribution was taken back")
    _require(set(before.certified) <= set(current.certified), "a signature was taken back")
    _require(set(before.liars) <= set(current.liars), "a liar was pardoned")
    same = (before.sealed_model, before.release) == (current.sealed_model, current.release)
    _require(same or not before.is_over(), "another model than the one released")
    resealed = bool(before.sealed_model) and not same
    _require(not resealed or current.turn > before.turn, "another model of the same turn")
    _require(before.sealings <= current.sealings <= len(current.rules.openers), "more models")
    _scores_stand(world, current)


def _scores_stand(world: World, current: Round) -> None:
    """By what a round is once paid it is paid for ever; by numbers only that all three signed."""
    if not current.rules.scores or current.phase is not Phase.DONE:
        return
    try:
        agreed = world.federation.service.seats.scores.agreed(current.number)
    except NotYet:
        waited = current.is_scored() and current.number not in world.oracle.paid
        _require(waited, "whoever settles it waits for ever")
        return
    body = agreed.body if agreed else None
    _require(world.oracle.paid.setdefault(current.number, body) == body, "it is paid otherwise")
    signers = {*agreed.signatures} if agreed else {*SEATS}
    _require(signers == {*SEATS}, f"it is paid by the word of {sorted(signers)}")


def _rises(before: Round, current: Round) -> bool:
    if current.phase is Phase.ABORTED:
        return before.phase is not Phase.DONE
    if before.phase is Phase.ABORTED:
        return False
    if before.phase is Phase.DISPUTED and set(before.liars) < set(current.liars):
        return current.phase is not Phase.OPEN
    order = ORDERS[bool(current.rules.seats)]
    return order.index(current.phase) >= order.index(before.phase)


def a_receipt_is_kept(world: World, current: Round) -> None:
    """I7, from the moment that the site has it."""
    members = {entry.participant for entry in current.committed}
    given = {who for number, who in world.oracle.receipts if number == current.number}
    _require(given <= members, f"receipts of {sorted(given - members)}")
    judges = {each.seat for each in current.judged}
    _require({each.seat for each in current.left_out} <= judges, "left out without a verdict")


def no_sum_leaves_too_early(world: World, current: Round) -> None:
    """I9, asked of every member."""
    if isinstance(world, SeatedWorld):
        _no_words_leave_too_early(world, current)
        return
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


def _no_words_leave_too_early(world: SeatedWorld, current: Round) -> None:
    number, service = current.number, world.federation.service
    for opener in current.rules.openers:
        for seat in SEATS:
            ask = lambda who=opener, of=seat: service.seats.sealed.words(who, number, of, 0, 0)  # noqa: E731
            given = _is_given(ask)
            counts = seat in {each.seat for each in current.stated} - {*current.liars}
            expected = counts and current.phase is Phase.OPENING
            erased = current.phase is Phase.DONE
            _require(given == expected or erased, f"{opener} is handed words of {seat}: {given}")
    for member in (*SITES, AUDITOR):
        given = _is_given(lambda who=member: service.seats.parts.part(who, number, SITES[0]))
        _require(not given, f"{member} is handed contributions")


def handed_what_was_sealed_to_it(world: World, current: Round) -> None:
    """I10: each opener of an open sum its masks, each seat of a closed round its parts.

    Who signs a released model has been handed exactly that.
    """
    if isinstance(world, SeatedWorld):
        _parts_are_those_of_the_seat(world, current)
        return
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


def _parts_are_those_of_the_seat(world: SeatedWorld, current: Round) -> None:
    if current.phase not in (Phase.JUDGING, Phase.SUMMING):
        return
    parts = world.federation.service.seats.parts
    for entry in current.committed:
        for seat in SEATS:
            part = parts.part(seat, current.number, entry.participant)
            sealed = world.oracle.seals[entry.contribution][seat]
            _require(part.sealed == sealed, f"{seat} is handed another's part")


def sums_are_stated_alike(world: World, current: Round) -> None:
    """I12, by comparing what the round has of every two seats."""
    if not isinstance(world, SeatedWorld) or not (
        current.phase in OPENED or current.phase is Phase.AGGREGATING
    ):
        return
    stating = [each for each in current.stated if each.seat not in current.liars]
    _require(len({each.seat for each in stating}) >= 2, "fewer than two seats state it")
    for at in range(3):
        said = [each.roots[at] for each in stating if each.roots[at]]
        _require(bool(said) and all(a == b for a, b in pairwise(said)), f"component {at} differs")


def a_cohort_is_certified(world: World, current: Round) -> None:
    """I13, as anybody checks it."""
    if not isinstance(world, SeatedWorld) or current.phase not in SUMMED:
        return
    signed = world.federation.service.archive.with_signatures("cohort", current.cohort)
    check_certificate(signed, world.plan(current.number), world.federation.roster)


def only_liars_are_named(world: World, current: Round) -> None:
    """I14, of what the oracle knows of each seat."""
    if current.number not in world.oracle.misjudged:
        named = [each for each in current.liars if (current.number, each) not in world.oracle.lied]
        _require(not named, f"{named} stated what they added, and are called liars")


def what_is_said_is_stored(world: World, current: Round) -> None:
    """I15, or the storage is one step ahead: a write that nobody knows the end of."""
    stored = world.federation.store.load_round(current.number)
    _require(stored is not None, "it is not stored")
    known = world.federation.service.rounds._revisions[current.number]
    _require(known <= stored.revision, "it is ahead of its storage")
    same = known != stored.revision or machine.decode(stored.state) == current
    _require(same, "its storage says something else")


INVARIANTS: Mapping[str, Callable[[World, Round], None]] = {
    "I15": what_is_said_is_stored,
    "I13": a_cohort_is_certified,
    "I12": sums_are_stated_alike,
    "I1": sum_over_exactly_the_cohort,
    "I2": each_contribution_at_most_once,
    "I3": no_sum_below_quorum,
    "I4": a_release_has_its_signatures,
    "I5": nothing_goes_backwards,
    "I7": a_receipt_is_kept,
    "I9": no_sum_leaves_too_early,
    "I10": handed_what_was_sealed_to_it,
    "I14": only_liars_are_named,
}


def check(world: World) -> None:
    """Check every round that has changed since it was last looked at.

    Raises:
        Violated: the number of the invariant, the round, and what is wrong.
    """
    world.federation.service.rounds.look_again()  # as whoever asks for a round does
    rounds = world.federation.service.rounds.all()
    _require(set(world.oracle.seen) <= set(rounds), "I5: a round is gone")
    for number, current in rounds.items():
        if world.oracle.seen.get(number) is current:
            continue
        if world.oracle.seen.get(number) != current:
            _check_one(world, current)
            _count(world, current)
        world.oracle.seen[number] = current


def _check_one(world: World, current: Round) -> None:
    for name, invariant in INVARIANTS.items():
        try:
            invariant(world, current)
        except (Violated, VeilsumError) as error:
            where = f"{name}, round {current.number}, {current.phase}"
            raise Violated(f"{where}: {error}") from error


def _count(world: World, current: Round) -> None:
    before = world.oracle.seen.get(current.number)
    world.coverage.phases[current.phase.value] += 1
    if current.reason and (before is None or before.reason != current.reason):
        world.coverage.reasons[_shape_of(current.reason)] += 1


def check_quiet(world: World) -> None:
    """I6: in a long silence every round ends, but one that waits for its key or its seats.

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
    """I11: when all is over, nothing of what was sent for a round is left, nor an order.

    Raises:
        Violated: something is.
    """
    for number in world.rounds:
        folders = (names.contributions, names.sums, names.seat_sums, names.keys)
        for folder in folders:
            left = world.federation.objects.names(folder(number))
            _require(left == [], f"I11: {left} are left")
        _require(not world.federation.store.sum_chunks(number), "I11: rows of a sum are left")
    _require(not world.federation.store.pending_effects(), "I11: orders are left")


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
    going = (
        (n, each) for n, each in world.rounds.items() if not each.is_over() or each.is_scored()
    )
    return [f"{n}: {each.phase}, scores {each.scoring}" for n, each in going]


def _shape_of(reason: str) -> str:
    """Return a reason without what differs from one round to the next."""
    for name in (*SITES, *SEATS):
        reason = reason.replace(name, "…")
    kept = "".join("#" if each.isdigit() else each for each in reason)
    return kept.replace("… and …", "…").replace("…, …", "…").replace("…, …", "…")[:90]


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Violated(what)


@lru_cache(maxsize=4096)
def _sum(seeds: Sequence[str], chunk: int) -> bytes:
    if not seeds:
        return b""
    total = np.zeros_like(words(seeds[0], chunk))
    for seed in seeds:
        total = (total + words(seed, chunk)) % np.uint64(MODULUS_4096)
    return encode_chunk(LAYOUT, chunk, total)
