"""A small real bundle: one site's ledger on disk, and the documents of its two rounds."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from participant.ledger.site_ledger import SiteLedger
from privacy import canonical
from privacy import plan as plans
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.evidence.bundle import Config, Document, Entry, Head, RowLine, key_hex, seal
from privacy.evidence.limits import AuditPolicy
from privacy.evidence.trust import Keys
from privacy.identifiers import COORDINATOR
from privacy.ledger import Checkpoint, Dataset, Released, Result, Witness
from privacy.log_tree import log_of
from privacy.mechanism import events_of
from privacy.plan import Plan
from privacy.records import (
    PURPOSES,
    Cohort,
    Contribution,
    Receipt,
    Record,
    Release,
    digest_of,
)
from privacy.records import (
    Entry as CohortEntry,
)
from privacy.signing import Purpose, sign
from tests.privacy import example_round as example

SITE = "amber"
LIMITS = SpendLimits(delta="0.001", epsilon_for_life="60", epsilon_per_round="9")
KEYS = Keys(roster=example.roster().digest())
POLICY = AuditPolicy(
    delta="0.001",
    epsilon_for_life="60",
    unit=UnitOfPrivacy.PATIENT,
    neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
    epsilon_per_round="9",
    mechanisms=("local",),
    smallest_cohort=3,
)
DATASET = Dataset(
    id="ward",
    version=1,
    parent=None,
    unit=UnitOfPrivacy.PATIENT,
    max_records_per_unit=1,
    neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
)
EVENTS = events_of(example.TRAINING)


def plan(number: int) -> Plan:
    """The plan of a round."""
    return Plan(example.ARITHMETIC, replace(example.TERMS, round=number))


def header(number: int, name: str = SITE) -> Contribution:
    """What a site signed in a round; it has seen the first rows of its ledger."""
    return replace(
        example.CONTRIBUTION,
        round=number,
        plan=plan(number).digest(),
        participant=name,
        ledger=beginning(name),
    )


def cohort(number: int) -> Cohort:
    """Three sites of a round."""
    headers = [header(number, name) for name in example.NAMES[:3]]
    entries = tuple(
        CohortEntry(each.participant, digest_of(each), (each.pieces[0].root,)) for each in headers
    )
    return Cohort(example.FEDERATION, number, plan(number).digest(), entries)


def release(number: int) -> Release:
    """What came of a round."""
    return Release(
        federation=example.FEDERATION,
        round=number,
        plan=plan(number).digest(),
        cohort=digest_of(cohort(number)),
        sum=example.filler(f"sum {number}"),
        previous=example.TERMS.model,
        model=example.filler(f"model {number}"),
        sealed_model=example.filler(f"sealed {number}"),
    )


def document(record: Record, *signers: str) -> Document:
    """A record as bundles hold it."""
    purpose, body = PURPOSES[type(record)], canonical.encode(record)
    made = {name: sign(example.signing_key(name), purpose, body).hex() for name in signers}
    return Document(purpose, record.round, body, made)


def plan_document(of: Plan) -> Document:
    """A plan as bundles hold it."""
    signature = sign(example.signing_key(COORDINATOR), Purpose.PLAN, bytes.fromhex(of.digest()))
    return Document(Purpose.PLAN, of.terms.round, plans.pack(of), {COORDINATOR: signature.hex()})


def roster_document() -> Document:
    """The roster as bundles hold it."""
    signed = example.signed_roster(example.roster(), *example.NAMES)
    made = {name: each.hex() for name, each in signed.signatures.items()}
    return Document(Purpose.ROSTER, 0, canonical.encode(signed.roster), made)


def receipt(number: int) -> Receipt:
    """The coordinator's word that it has a contribution."""
    about = (example.FEDERATION, number, plan(number).digest(), SITE)
    return Receipt(*about, digest_of(header(number)))


def documents(*numbers: int) -> list[Document]:
    """All that was signed in some rounds, in order."""
    found = [roster_document()]
    for number in numbers:
        found += [
            plan_document(plan(number)),
            document(header(number), SITE),
            document(receipt(number), COORDINATOR),
            document(cohort(number), COORDINATOR),
            document(release(number), "amber", "birch"),
        ]
    return sorted(found, key=Document.order)


def open_ledger(folder: Path, site: str = SITE, limits: SpendLimits = LIMITS) -> SiteLedger:
    """A site's ledger in a folder; its clock ticks once a row."""
    ticks = iter(range(1_800_000_000, 1_900_000_000))
    key = example.signing_key(site)
    return SiteLedger(
        folder / "ledger.sqlite", lambda: float(next(ticks)), site=site, limits=limits, key=key
    )


def spend(ledger: SiteLedger, number: int, site: str = SITE) -> None:
    """Take part in a round: reserved, committed, sent, and its release adopted."""
    named, out = plan(number).digest(), digest_of(header(number, site))
    held = ledger.reserve("ward", example.FEDERATION, EVENTS, "1", 1, named)
    ledger.commit(held, number, out)
    ledger.sent(held, number)
    result = Result(named, digest_of(cohort(number)), 3, 1)
    ledger.result("ward", example.FEDERATION, number, result)
    came = release(number)
    ledger.released("ward", example.FEDERATION, number, Released(digest_of(came), came.model))


def begin(ledger: SiteLedger) -> None:
    """Register the dataset and record the policy."""
    ledger.register(DATASET)
    ledger.set_policy({})


@cache
def beginning(site: str) -> Checkpoint:
    """The tree head of a site's ledger after its first row."""
    with TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder), site)
        ledger.register(DATASET)
        head = ledger.checkpoint()
        ledger.close()
    return head


@cache
def rows(site: str = SITE, rounds: int = 2, seen: Witness | None = None) -> tuple[RowLine, ...]:
    """The rows of a site that has taken part in some rounds, and marked its ledger each time."""
    with TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder), site)
        begin(ledger)
        for number in range(1, rounds + 1):
            spend(ledger, number, site)
        if seen is not None:
            ledger.witness(seen)
        ledger.mark()
        made = ledger.entries()
        ledger.close()
    return tuple(RowLine(body, signature) for body, signature in made)


def head(site: str = SITE, evidence: str = "site") -> Head:
    """The first line."""
    return Head(
        v=1,
        evidence=evidence,
        federation=example.FEDERATION,
        participant=site,
        organisation=f"{site} hospital",
        key=key_hex(example.signing_key(site)),
        made="2026-11-20T10:00:00+00:00",
        software={"veilsum": "0.1.0"},
    )


CONFIG = Config(
    delta="0.001",
    epsilon_for_life="60",
    epsilon_per_round="9",
    vector_epsilon_for_life="60",
    vector_epsilon_per_round="9",
    unit=UnitOfPrivacy.PATIENT,
    neighbouring=NeighbouringRelation.ADD_OR_REMOVE_ONE,
    mechanisms=("local",),
    schemes=("ckks/1",),
    releases=("participation",),
    smallest_cohort=3,
    without_auditor=True,
)


def sealed(*entries: Entry, by: str = SITE) -> bytes:
    """A bundle of any entries, the end signed by a site itself."""
    bodies = [entry.body for entry in entries if isinstance(entry, RowLine)]
    log = log_of(bodies)
    return seal(iter(entries), log.size, log.root().hex(), example.signing_key(by))


@cache
def bundle(site: str = SITE, rounds: int = 2, seen: Witness | None = None) -> bytes:
    """A whole bundle of a site; the documents are those of `SITE`, or the roster alone."""
    papers = documents(*range(1, rounds + 1)) if site == SITE else _papers_of(site, rounds)
    return sealed(head(site), CONFIG, *rows(site, rounds, seen), *papers, by=site)


def _papers_of(site: str, rounds: int) -> list[Document]:
    kept = [one for one in documents(*range(1, rounds + 1)) if one.purpose not in _OWN]
    own = [document(header(number, site), site) for number in range(1, rounds + 1)]
    return sorted([*kept, *own], key=Document.order)


_OWN = (Purpose.CONTRIBUTION, Purpose.RECEIPT)


def witness_of(text_rows: tuple[RowLine, ...], site: str = SITE) -> Witness:
    """What a peer has seen of a ledger of these rows."""
    log = log_of(row.body for row in text_rows)
    return Witness(site, log.size, log.root().hex(), digest_of(header(1)))


def checkpoint_of(text_rows: tuple[RowLine, ...]) -> Checkpoint:
    """The tree head of a ledger of these rows."""
    log = log_of(row.body for row in text_rows)
    return Checkpoint(log.size, log.root().hex())
