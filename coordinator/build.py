"""The coordinator put together: the only place that builds things."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy import canonical
from privacy.contribution.scores import check_method
from privacy.errors import ConfigError, MissingDependency, RosterRefused
from privacy.failpoints import Failpoints, Step
from privacy.plan import ALIGNMENT_RELEASE, SCORE_RELEASES, SHARES
from privacy.roster import Member, Role, Roster, check_operators, organisations_of
from privacy.schemes.shares.layout import SEATS
from privacy.settlement.payouts import Domain
from privacy.settlement.typed import SignTyped, TypedData
from privacy.signing import public_bytes
from veilsum.files import hold, read_file, read_secret
from veilsum.metrics.book import Book

from .adapters.authority_files import Certifier
from .adapters.authority_files import load as load_authority
from .adapters.engines.counted import Counted
from .adapters.engines.engines import engine_of
from .adapters.objects.objects_at import open_objects_at
from .adapters.sql.database import open_database
from .adapters.sql.leases import SqlFence, SqlLeases
from .adapters.sql.store import open_store
from .config import Settings, SettlementSettings
from .keys import load_signing_key
from .members.capacity import check_members, check_trainers
from .members.enrolment import Enrolment, Operated
from .members.issuing import Certifies, Issuing, NoAuthority
from .members.office import Office
from .members.proposals import Proposals
from .members.rosters import Rosters
from .replicas.lease import Lease
from .replicas.leased_objects import LeasedObjects
from .rounds import plan
from .rounds.progress import Progress
from .rounds.state import Phase
from .seats.pledges import Bonds
from .service import Service
from .settling.disputes import Disputes
from .settling.held import Held
from .settling.openings import Openings
from .settling.results import Results
from .settling.settlement import Settlement
from .settling.shape import Shape, shape_of
from .settling.shown import Shown
from .settling.sums import SumTrees
from .settling.unknown import Unknown

if TYPE_CHECKING:
    from veilsum.chain.signing import Signer

    from .adapters.chain import SettlementChain

UNSET_MODEL: Final = "0" * 64
"""What `init` writes for the first model, which nobody there knows yet."""

_PROBED: Final = "readiness"


@dataclass(frozen=True)
class Term:
    """What a coordinator leads under that others could follow: its lease, and its folder's lock."""

    lease: Lease
    held: int


@dataclass(frozen=True)
class Built:
    """The parts of a coordinator that outlive a single call."""

    settings: Settings
    service: Service
    settlement: Settlement | None
    held: int
    authority: Certifies = field(default_factory=NoAuthority)
    shown: Shown | None = None
    disputes: Disputes | None = None
    unknown: Unknown | None = None

    @cached_property
    def office(self) -> Office:
        """Where members are enrolled."""
        return _office(self.settings, self.service, self.authority)

    def probe(self) -> None:
        """Return if the database and the object store answer.

        Raises:
            StoreUnavailable: one of them does not.
        """
        self.service.store.pending_effects()
        self.service.objects.exists(_PROBED)


def build(
    settings: Settings,
    failpoints: Failpoints,
    term: Term | None = None,
    book: Book | None = None,
) -> Built:
    """Return a coordinator that has resumed where the last one stopped.

    Args:
        term: what it leads under, over a database that others reach; None over a file.
        book: where what it adds is counted.

    Raises:
        ConfigError: a file, a key, the database or the settings are not what they must be.
        UnsafeParameters: no scheme parameters fit the settings.
        LeaseLost: the term is over.
    """
    assert (term is not None) == is_shared(settings)  # nobody writes there without the lease
    # What others must supply comes first: a start that fails for want of it leaves nothing.
    source, signing_key = check(settings)
    authority = _authority(settings)
    held = hold(settings.state) if term is None else term.held
    fence = None if term is None else SqlFence(term.lease.token, term.lease.seconds)
    store = open_store(
        settings.database, settings.database_password, step=failpoints.hit, fence=fence
    )
    rosters = Rosters(store, source if isinstance(source, Roster) else source.over(store))
    if rosters.is_closed():
        _check_rounds(settings, rosters.current() if rosters.is_founded() else rosters.draft)
    objects = open_objects_at(
        settings.objects or str((settings.state / "objects").absolute()),
        settings.s3,
        step=failpoints.hit,
    )
    objects = objects if term is None else LeasedObjects(objects, term.lease)
    service = Service(
        settings=settings,
        store=store,
        objects=objects,
        rosters=rosters,
        signing_key=signing_key,
        now=time.time,
        progress=Progress(time.monotonic),
        failpoints=failpoints,
        engine=Counted(engine_of(settings, objects), book or Book(), settings.scheme.name),
    )
    built = Built(settings, service, None, held, authority)
    if settings.settlement is not None:
        built = _settled(built, settings.settlement)
    built.office.proposals.resume()
    return built


def check(settings: Settings) -> tuple[Roster | Operated, Ed25519PrivateKey]:
    """Return version 0 or who lets it grow, and the signing key, if these can be built upon.

    Raises:
        ConfigError: a file, a key or the settings are not what they must be.
        UnsafeParameters: no scheme parameters fit the settings.
    """
    plan.parameters(settings)
    signing_key = load_signing_key(settings.signing_key)
    source = _source(settings, signing_key)
    if isinstance(source, Roster):
        _check_key(signing_key, source)
        _check_rounds(settings, source)
    if settings.replica is not None:
        _check_shared(settings)
    return source, signing_key


def is_shared(settings: Settings) -> bool:
    """Return whether another coordinator may reach the database, so that a lease says who leads."""
    return settings.database.startswith("postgresql")


def open_leases(settings: Settings, failpoints: Failpoints) -> SqlLeases:
    """Return the lease of whoever leads with the database, which is made if it is not there.

    Raises:
        ConfigError: the database is not what it must be.
        StoreUnavailable: the database does not answer.
    """
    step = failpoints.hit
    return SqlLeases(open_database(settings.database, settings.database_password, step=step))


def _check_shared(settings: Settings) -> None:
    if not is_shared(settings):
        raise ConfigError(
            "replica: several coordinators need PostgreSQL, which all of them reach: set database "
            "to postgresql://host/name, or leave out the table replica and run one"
        )
    if settings.objects is None:
        raise ConfigError(
            "replica: several coordinators need one object store: set objects to a bucket, or to "
            "a folder that all of them have mounted, or leave out the table replica and run one"
        )


def _settled(built: Built, wanted: SettlementSettings) -> Built:
    """Return a coordinator that settles on a chain, and answers for what it commits there."""
    settings, service = built.settings, built.service
    for secret in wanted.secrets():
        read_secret(secret)
    if find_spec("web3") is None:
        raise MissingDependency("settlement: web3 is not installed; install the extra `chain`")
    check_method(wanted.method, opened=_opened(settings))
    store, archive, round_of = service.store, service.archive, service.rounds.get
    trees = SumTrees(service.objects, store)
    results = Results(archive, service.rosters, trees, service.seats.scores.agreed)
    journal, shape = settings.state / "transactions", shape_of(settings)
    key = _key(wanted)
    attach = partial(_attach, wanted, key, journal, service.failpoints.hit)
    settlement = Settlement(
        settings=wanted,
        store=store,
        wanted=settings.rounds.wanted,
        outcomes=results,
        entropy=os.urandom,
        attach=partial(_attach_to_commit, attach, wanted.programme, shape),
        step=service.failpoints.hit,
    )
    settlement.require_one_programme()
    openings = Openings(round_of, archive, store, service.objects, results)
    service.demanded_by(partial(_is_unsettled, service, settlement))
    service.bonded_at(Bonds(_domain(wanted), _signer_of))
    return replace(
        built,
        settlement=settlement,
        shown=Shown(_domain(wanted), round_of, store, results, settlement, _signing(key)),
        disputes=Disputes(wanted.programme, store, settlement, attach, openings.of),
        unknown=Unknown(wanted.programme, settlement, attach),
    )


def _opened(settings: Settings) -> tuple[str, ...]:
    """Return the scores that plans of these settings open, in the words of their releases."""
    if settings.scheme.score_step_log2 is None:
        return ()
    return SCORE_RELEASES if settings.scheme.name == SHARES else (ALIGNMENT_RELEASE,)


def _is_unsettled(service: Service, settlement: Settlement, number: int) -> bool:
    """Return whether contributions of a round must stay: to be committed, or shown."""
    return service.rounds.get(number).phase is Phase.DONE and settlement.holds(number)


def _domain(settings: SettlementSettings) -> Domain:
    return Domain(settings.chain_id, settings.contract.lower(), settings.programme.lower())


def _signer_of(digest: bytes, signature: bytes) -> str:
    from veilsum.chain.digests import signer_of_digest  # noqa: PLC0415  as for `_attach`

    return signer_of_digest(digest, signature)


def _key(settings: SettlementSettings) -> "Callable[[], Signer]":
    """Return what tells who signs: a keystore is decrypted once, which takes a second."""

    def read() -> "Signer":
        from veilsum.chain.endpoint import signer_of  # noqa: PLC0415  as for `_attach`

        return signer_of(settings)

    # A signer elsewhere costs nothing, and whose its socket is may change.
    return read if settings.signer is not None else Held(read)


def _signing(key: "Callable[[], Signer]") -> SignTyped:
    def sign(said: TypedData) -> bytes:
        from veilsum.chain.digests import sign_typed  # noqa: PLC0415  as for `_attach`

        return sign_typed(key(), said)

    return sign


def _attach(
    settings: SettlementSettings,
    key: "Callable[[], Signer]",
    journal: Path,
    step: Step,
) -> "SettlementChain":
    # web3 takes half a second to import, and is there only where the chain is used.
    from coordinator.adapters.chain import attach_by  # noqa: PLC0415

    return attach_by(settings, key, journal, step)


def _attach_to_commit(
    attach: "Callable[[], SettlementChain]", programme: str, shape: Shape
) -> "SettlementChain":
    """Return the contract, if rounds of these settings may be committed there.

    What was committed is answered for all the same: a demand has a deadline, whatever is set now.
    """
    chain = attach()
    chain.require_terms(programme, shape)
    return chain


def _source(settings: Settings, signing_key: Ed25519PrivateKey) -> Roster | Operated:
    if settings.roster is not None:
        return canonical.decode(read_file(settings.roster), Roster)
    assert settings.enrolment is not None  # settings have one or the other
    operator = canonical.decode(read_file(settings.enrolment.operator), Member)
    return Operated(settings.federation, public_bytes(signing_key), operator)


def _authority(settings: Settings) -> Certifies:
    wanted = settings.enrolment
    if wanted is None:
        return NoAuthority()
    where = (wanted.authority, wanted.authority_key, wanted.passphrase)
    return Certifier(load_authority(settings.federation, *where))


def _office(settings: Settings, service: Service, authority: Certifies) -> Office:
    life = float(settings.enrolment.certificate_seconds if settings.enrolment else 0)
    store, step = service.store, service.failpoints.hit
    issuing = Issuing(authority, store, service.revocations, life, service.now, step)
    enrolment = Enrolment(store, service.rosters, issuing, service.now, os.urandom, step)

    def check_roster(roster: Roster) -> None:
        if settings.model.initial == UNSET_MODEL:
            raise ConfigError("model.initial: still the one that `init` wrote; set it, and serve")
        _check_rounds(settings, roster)

    proposals = Proposals(store, service.rosters, check_roster, step)
    return Office(service.rosters, enrolment, proposals, service.revocations, service.seen)


def _check_key(key: Ed25519PrivateKey, roster: Roster) -> None:
    if key.public_key().public_bytes_raw() != roster.coordinator_key:
        raise ConfigError("signing_key: not the key that the roster has for the coordinator")


def _check_rounds(settings: Settings, roster: Roster) -> None:
    _check_members(settings, roster)
    plan.check(settings, roster)


def _check_members(settings: Settings, roster: Roster) -> None:
    rounds, trainers = settings.rounds, [each.participant for each in roster.trainers()]
    check_members(roster)
    _check_operators(rounds.openers, roster)
    if rounds.seats:
        _check_seats(rounds.seats, rounds.auditor, roster)
        check_trainers(rounds.seats, roster)
    if not set(rounds.openers) <= set(trainers):
        raise ConfigError("rounds.openers: the roster has one of them not as a trainer")
    if not rounds.quorum <= len(trainers) <= settings.scheme.cohort_max:
        raise ConfigError(
            f"{len(trainers)} trainers: not from the quorum of {rounds.quorum} to the cohort_max "
            f"of {settings.scheme.cohort_max}, so a round could not be closed or not be added up"
        )
    if rounds.auditor is not None:
        _check_auditor(rounds.auditor, roster)


def _check_operators(openers: Sequence[str], roster: Roster) -> None:
    try:
        check_operators(roster.members, openers)
    except RosterRefused as error:
        raise ConfigError(f"roster: {error}") from None


def _check_auditor(auditor: str, roster: Roster) -> None:
    """Return if `auditor` is one, and of an organisation that trains and opens nothing."""
    entries = [each for each in roster.members if each.participant == auditor]
    if not any(Role.AUDITOR in each.roles for each in entries):
        raise ConfigError(f"rounds.auditor: the roster has {auditor} not as an auditor")
    # Openers are trainers: who trains may hold the key to what an auditor is handed.
    if any(entries[0].is_of(each) for each in roster.trainers()):
        raise ConfigError(
            f"rounds.auditor: {auditor} is a trainer, or of the organisation of one; an auditor "
            "must be of another"
        )


def _check_seats(seats: Sequence[str], auditor: str | None, roster: Roster) -> None:
    """Return if `seats` are aggregators and nothing else, each of an organisation of its own."""
    entries = [each for each in roster.members if each.participant in seats]
    if len(entries) != SEATS or any(each.roles != (Role.AGGREGATOR,) for each in entries):
        raise ConfigError(
            f"rounds.seats: {SEATS} members are needed that the roster has as aggregators alone"
        )
    # Whoever has two seats has all three components, and opens every update.
    apart = [*entries, *(each for each in roster.members if each.participant == auditor)]
    if len(organisations_of(apart)) != len(apart):
        raise ConfigError("rounds.seats: two seats, or a seat and the auditor, have one owner")
