"""A flipped bit in what is stored is an error that names the thing, or changes nothing.

In this process: a folder as a coordinator or a site left it, one bit of it flipped, and a new
process's objects that go on from there. A few dozen each time the tests run, a thousand by
`make deep`.
"""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import structlog

from coordinator.adapters.objects.files import open_objects
from coordinator.adapters.sql.store import open_store
from coordinator.rounds.state import Phase
from participant.seat.memory import SeatMemory
from participant.sending.outbox import Outbox
from privacy import canonical
from privacy.documents import Signed
from privacy.errors import ConfigError, InvalidSignature, RootMismatch
from privacy.records import Contribution
from privacy.signing import Purpose, public_bytes, verify
from tests import fakes
from tests.fakes import SITES
from tests.faults.flips import Tally, drawn, judge
from tests.participant import signed_round as made
from tests.participant.paying_site import ROUNDS, PayingSite

pytestmark = [pytest.mark.slow]

CHUNKS = "objects/rounds/*/contributions/*/0/*"
SEED = 20261121


class Going(fakes.Federation):
    """A coordinator that goes on from what is stored; members have signed what they sign."""

    def __post_init__(self) -> None:
        self.start()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Each refusal is logged, a thousand times."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def coordinator_left(folder: Path, *, logged: bool) -> Path:
    """Return what a coordinator leaves that has every contribution and has added none.

    Args:
        logged: whether all it wrote is still in the write-ahead log.
    """
    live, left = folder / "live", folder / "left"
    live.mkdir()
    store = open_store(f"sqlite:///{live / 'coordinator.db'}")
    federation = fakes.Federation(store=store, objects=open_objects(live / "objects"))
    federation.open_round()
    for name in SITES:
        federation.contribute(name)
    if not logged:
        store.close()
    shutil.copytree(live, left)
    store.close()
    (left / "coordinator.db-shm").unlink(missing_ok=True)
    return left


def coordinator_goes_on(folder: Path) -> Mapping[str, object]:
    """Return all that others see of a round that is gone on with to its end."""
    store = open_store(f"sqlite:///{folder / 'coordinator.db'}")
    try:
        going = Going(store=store, objects=open_objects(folder / "objects"))
        if 1 not in going.service.rounds.all():
            return {}
        going.tick()
        if going.round().phase is Phase.ABORTED:
            raise RootMismatch(going.round().reason)
        going.finish()
        return going.evidence()
    finally:
        store.close()


def site_left(folder: Path) -> Path:
    """Return what a site leaves that has paid for its rounds, and still has what it sent."""
    left = folder / "left"
    site = PayingSite(left, made.keys("amber"), made.plan().terms)
    asyncio.run(site.live())
    site.memory.opens(1, "c" * 64, "5" * 64)
    site.memory.signs(1, "d" * 64)
    site.close()
    seat = SeatMemory(left)
    seat.certifies(1, "c" * 64)
    seat.states(1, Signed(b"sums", {"seat-1": b"signature"}))
    seat.close()
    return left


def site_goes_on(folder: Path) -> list[object]:
    """Return all that a site and a seat know and send after a start; as others check it."""
    site = PayingSite(folder, made.keys("amber"), made.plan().terms)
    seat = SeatMemory(folder)
    try:
        site.ledger.verify_chain()
        memory = site.memory
        known = memory.ledger_seen(), memory.opening(1), memory.ledgers_seen()
        stated = seat.newest(), seat.certified(1), seat.statement(1)
        kept = [(purpose, number, _as_audited(purpose, signed)) for purpose, number, signed
                in site.contributor.kept.all()]  # fmt: skip
        sent = [_as_accepted(Outbox(folder / "outbox", each + 1)) for each in range(ROUNDS)]
        return [site.ledger.rows(), known, stated, kept, sent]
    finally:
        site.close()
        seat.close()


def _as_audited(purpose: Purpose, signed: Signed) -> Signed:
    """Refuse what the auditor of a bundle refuses."""
    if purpose is Purpose.CONTRIBUTION:
        verify(public_bytes(made.keys("amber").signing), purpose, signed.body,
               signed.signatures.get("amber", b""))  # fmt: skip
    elif purpose is Purpose.RECEIPT and signed.signatures != {"coordinator": b"signature"}:
        raise InvalidSignature("the coordinator's signature on a receipt")
    return signed


def _as_accepted(outbox: Outbox) -> tuple[Signed, list[bytes]]:
    """Refuse what the coordinator refuses."""
    header = outbox.header()
    assert header is not None
    _as_audited(Purpose.CONTRIBUTION, header)
    (piece,) = canonical.decode(header.body, Contribution).pieces
    chunks = [body for _, body in outbox.chunks(0, 1)]
    if chunks[0].hex() != piece.root:
        raise RootMismatch("chunks of another root than was signed")
    return header, chunks


def check(tally: Tally, count: int) -> None:
    """Return if no flip was taken for what it is not, and some were found at all."""
    assert tally.wrong == []
    assert tally.count == count
    assert tally.detected.total() > count // 8


@pytest.mark.parametrize(
    ("count", "seed"),
    [pytest.param(16, SEED, id="a few"), pytest.param(250, 1, id="250", marks=pytest.mark.deep)],
)
def test_a_flip_in_a_coordinators_database_or_chunks_changes_no_sum(
    tmp_path: Path, count: int, seed: int
) -> None:
    """Rows have checksums, pages are checked at each start, chunks have signed roots."""
    left = coordinator_left(tmp_path, logged=False)

    flips = drawn(left, count, seed, ("coordinator.db", CHUNKS))
    tally = judge(left, flips, coordinator_goes_on, tmp_path)

    check(tally, count)


@pytest.mark.parametrize(
    ("count", "seed"),
    [pytest.param(14, SEED, id="a few"), pytest.param(350, 2, id="350", marks=pytest.mark.deep)],
)
def test_a_flip_in_a_coordinators_log_forgets_nothing(
    tmp_path: Path, count: int, seed: int
) -> None:
    """SQLite would go on as if what follows the flip had never been written."""
    left = coordinator_left(tmp_path, logged=True)

    flips = drawn(left, count, seed, ("coordinator.db-wal",))
    tally = judge(left, flips, coordinator_goes_on, tmp_path)

    check(tally, count)


@pytest.mark.parametrize(
    ("count", "seed"),
    [pytest.param(30, SEED, id="a few"), pytest.param(400, 3, id="400", marks=pytest.mark.deep)],
)
def test_a_flip_in_the_state_of_a_site_or_seat_is_named(
    tmp_path: Path, count: int, seed: int
) -> None:
    """Its ledger, its memory, what it kept, what it sends; and a seat's memory."""
    left = site_left(tmp_path)
    places = ("ledger.sqlite", "memory.sqlite", "seat.sqlite", "kept/*/*", "outbox/*/header",
              "outbox/*/chunks/*")  # fmt: skip

    tally = judge(left, drawn(left, count, seed, places), site_goes_on, tmp_path)

    check(tally, count)


def test_what_was_left_is_gone_on_with_when_no_bit_is_flipped(tmp_path: Path) -> None:
    """Else everything would be found."""
    for make, goes_on in (
        (lambda folder: coordinator_left(folder, logged=False), coordinator_goes_on),
        (site_left, site_goes_on),
    ):
        folder = tmp_path / goes_on.__name__
        folder.mkdir()
        left = make(folder)

        first, second = (goes_on(_again(left, folder / name)) for name in ("one", "two"))

        assert first == second


def test_rows_of_a_seats_memory_that_are_gone_are_missed(tmp_path: Path) -> None:
    """A file that is well formed, and forgets the cohort that the seat has signed."""
    memory = SeatMemory(tmp_path)
    memory.certifies(3, "a" * 64)
    memory.close()
    with sqlite3.connect(tmp_path / "seat.sqlite") as database:
        database.execute("DELETE FROM certified")
    database.close()

    with pytest.raises(ConfigError, match="not those that were written"):
        SeatMemory(tmp_path)


def _again(left: Path, to: Path) -> Path:
    shutil.copytree(left, to)
    return to
