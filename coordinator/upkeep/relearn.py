"""Rounds that members remember, and a coordinator restored from an older backup has forgotten.

Sites go on from the newest model that they adopted, and from nothing older; a round that a site
has spent for is never another one for it. So a restored coordinator first learns how far its
members are: rounds with a release are done again as they were, all others up to the newest that
any of them has seen are over. The next round has a number that nobody has used.

Nobody's word is taken for it: plans and cohorts are signed by this very coordinator, and releases
by as many openers as their plan asks for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from coordinator.ports import Store
from coordinator.rounds import round as machine
from coordinator.rounds.state import Erase, Phase, Round, Rules
from privacy import canonical
from privacy import plan as plans
from privacy.documents import Signed, check_agreement, check_signer, pack
from privacy.errors import NotYet, WrongContext
from privacy.identifiers import COORDINATOR, Digest
from privacy.plan import Plan, SharesTerms
from privacy.records import Cohort, Release, digest_of
from privacy.remembered import Remembered
from privacy.roster import Roster
from privacy.signing import Purpose, verify

_FORGOTTEN = "forgotten: the coordinator was restored from a backup made before its end"


@dataclass(frozen=True)
class Relearnt:
    """What a coordinator has learnt: rounds that are done again, and rounds that are given up."""

    released: tuple[int, ...] = ()
    forgotten: tuple[int, ...] = ()


@dataclass
class _Known:
    """What members remember of one round, its signatures checked."""

    plans: dict[Digest, Plan] = field(default_factory=dict)
    cohorts: dict[Digest, tuple[Cohort, Signed]] = field(default_factory=dict)
    releases: list[tuple[Release, Signed]] = field(default_factory=list)


def relearn(
    store: Store, rosters: Sequence[Roster], federation: str, remembered: Iterable[Remembered]
) -> Relearnt:
    """Put into `store` what members remember and it does not know.

    Args:
        rosters: every version that members have admitted, the newest last.

    Raises:
        InvalidSignature: something was not signed by who must have signed it.
        WrongContext: it is of another federation or round.
        MalformedMessage, UnsafeParameters: it is not what it says it is.
    """
    known: dict[int, _Known] = {}
    for each in remembered:
        _collect(each, rosters, federation, known)
    top, released, forgotten = max(known, default=0), [], []
    first = min([*known, max(store.round_numbers(), default=0) + 1])
    for number in sorted({*range(first, top + 1), *store.round_numbers()}):
        if number > top or _stays(store, number, known.get(number, _Known()), top):
            continue
        done = _done(known.get(number, _Known()), number, rosters)
        if done is None:
            _end(store, _given_up(store, number, rosters[-1]))
            forgotten.append(number)
        else:
            _keep(store, number, *done)
            released.append(number)
    return Relearnt(tuple(released), tuple(forgotten))


def give_up_live(store: Store) -> tuple[int, ...]:
    """Give up every round that is not over, and return their numbers.

    For who settles: a receipt that was given since the backup promises a place in the cohort that
    was frozen then. Under the same number another could be frozen, and the receipt would slash.
    """
    found = [_held(store, number) for number in store.round_numbers()]
    live = [each for each in found if each is not None and not each.is_over()]
    for each in live:
        _end(store, replace(each, phase=Phase.ABORTED, reason=_FORGOTTEN))
    return tuple(each.number for each in live)


def check_remembered(said: Remembered, rosters: Sequence[Roster], federation: str) -> None:
    """Return if all that one member remembers was signed by those who must have signed it.

    Raises:
        InvalidSignature, WrongContext, MalformedMessage, UnsafeParameters: as for `relearn`.
    """
    known: dict[int, _Known] = {}
    _collect(said, rosters, federation, known)
    for number, found in known.items():
        _done(found, number, rosters)


# -- what members say --------------------------------------------------------------------


def _collect(
    said: Remembered, rosters: Sequence[Roster], federation: str, known: dict[int, _Known]
) -> None:
    if said.federation != federation:
        raise WrongContext(f"{said.participant} remembers rounds of {said.federation}")
    key = rosters[-1].coordinator_key
    for each in said.documents:
        found, signed = known.setdefault(each.round, _Known()), each.signed()
        if each.purpose is Purpose.PLAN:
            plan = plans.unpack(each.body)
            digest = plan.digest()
            signature = each.signatures.get(COORDINATOR, b"")
            verify(key, Purpose.PLAN, bytes.fromhex(digest), signature)
            _check_place(plan.terms.federation, plan.terms.round, said, each.round)
            found.plans[digest] = plan
        elif each.purpose is Purpose.COHORT:
            check_signer(signed, Purpose.COHORT, COORDINATOR, key)
            cohort = canonical.decode(each.body, Cohort)
            _check_place(cohort.federation, cohort.round, said, each.round)
            found.cohorts[digest_of(cohort)] = (cohort, signed)
        else:
            release = canonical.decode(each.body, Release)
            _check_place(release.federation, release.round, said, each.round)
            found.releases.append((release, signed))


def _check_place(federation: str, number: int, said: Remembered, place: int) -> None:
    if (federation, number) != (said.federation, place):
        raise WrongContext(f"{said.participant}: a document of another federation or round")


def _done(
    known: _Known, number: int, rosters: Sequence[Roster]
) -> tuple[Plan, Roster, Signed, Release, Signed] | None:
    """Return what makes a round done, or None if nobody remembers that it was."""
    for release, signed in known.releases:
        plan, cohort = known.plans.get(release.plan), known.cohorts.get(release.cohort)
        if plan is None or cohort is None:
            continue  # another member may remember what it was made from
        roster = next((each for each in rosters if each.digest() == plan.terms.roster), None)
        if roster is None or cohort[0].plan != release.plan:
            raise WrongContext(f"round {number}: plan, roster and cohort are not of one round")
        terms = plan.terms
        check_agreement(signed, Purpose.RELEASE, terms.openers, terms.agreement, roster)
        return plan, roster, cohort[1], release, signed
    return None


# -- what the store says -----------------------------------------------------------------


def _stays(store: Store, number: int, known: _Known, top: int) -> bool:
    """Return whether a round is as the members remember it, or may still become so."""
    current = _held(store, number)
    if current is None:
        return False
    if current.phase is Phase.DONE:
        return True
    if known.releases:
        return False
    same = bool(current.plan) and {*known.plans} == {current.plan}
    return current.is_over() or (number == top and same)


def _held(store: Store, number: int) -> Round | None:
    stored = store.load_round(number)
    return None if stored is None else machine.decode(stored.state)


def _given_up(store: Store, number: int, roster: Roster) -> Round:
    held = _held(store, number) or Round(number, _nobodys(roster))
    return replace(held, phase=Phase.ABORTED, reason=_FORGOTTEN)


def _nobodys(roster: Roster) -> Rules:
    """Return rules of a round of which nothing is known but its number."""
    trainers = tuple(each.participant for each in roster.trainers())
    return Rules(trainers[:1], trainers, 1, 1, 1.0, 1.0)


def _keep(
    store: Store,
    number: int,
    plan: Plan,
    roster: Roster,
    cohort: Signed,
    release: Release,
    signed: Signed,
) -> None:
    name = digest_of(release)
    _put(store, "plan", str(number), plans.pack(plan))
    _put(store, "cohort", release.cohort, pack(cohort))
    _put(store, "release", name, pack(Signed(signed.body, {})))
    for signer, signature in signed.signatures.items():
        _put(store, f"release-signature-{name}", signer, signature)
    entries = canonical.decode(cohort.body, Cohort).entries
    # Its sealed model is not here: whoever has not adopted it waits for the next one.
    _end(
        store,
        Round(
            number,
            _rules(plan, roster),
            Phase.DONE,
            key_record=plan.terms.key_record or "",
            plan=plan.digest(),
            committed=entries,
            cohort=release.cohort,
            sum=release.sum,
            release=name,
            agreed=tuple(sorted(signed.signatures)),
        ),
    )


def _put(store: Store, kind: str, name: str, body: bytes) -> None:
    try:
        held = store.document(kind, name)
    except NotYet:
        store.put_document(kind, name, body)
        return
    if held != body and kind == "plan":
        raise WrongContext(
            f"{kind} {name}: members have worked under another one than this backup holds; take a "
            "newer backup"
        )


def _rules(plan: Plan, roster: Roster) -> Rules:
    terms = plan.terms
    return Rules(
        openers=terms.openers,
        trainers=tuple(each.participant for each in roster.trainers()),
        quorum=terms.quorum,
        agreement=terms.agreement,
        progress_seconds=float(terms.deadline.progress_seconds),
        abandon_seconds=float(terms.deadline.abandon_seconds),
        auditor=terms.auditor or "",
        seats=terms.seats,
        unchecked=isinstance(terms.scheme, SharesTerms) and terms.scheme.unchecked,
    )


def _end(store: Store, over: Round) -> None:
    """Save a round that is over, in place of what was on its way in it."""
    for pending in store.pending_effects():
        if pending.round == over.number:
            store.finish_effect(pending.id)
    stored = store.load_round(over.number)
    revision = None if stored is None else stored.revision
    erase = machine.encode_effect(Erase(over.number))
    store.save_step(over.number, revision, machine.encode(over), [erase])
