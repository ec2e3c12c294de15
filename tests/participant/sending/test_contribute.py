"""Reserve before training, commit before sending; a crash anywhere sends the same bytes once."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from participant.kept import Kept
from participant.keys import make_keys
from participant.ledger.site_ledger import SiteLedger
from participant.sending.contribute import Contributor
from participant.sending.masking import open_masks
from participant.sending.outbox import Outbox
from participant.sending.sign import read_header
from privacy import canonical
from privacy import ledger as ledgers
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.documents import Signed, pack, unpack
from privacy.errors import (
    BudgetExhausted,
    ConfigError,
    ConflictingContribution,
    IllegalEvent,
    InternalError,
    InvalidSignature,
    NotYet,
    PeerUnreachable,
    StoreUnavailable,
    UnsafeParameters,
    UpdateOutOfRange,
    VeilsumError,
)
from privacy.failpoints import Failpoints
from privacy.ledger import NOTHING_SENT, RowType
from privacy.records import Contribution, Piece, digest_of
from privacy.schemes.masks import MASK_SECRET_BYTES
from tests.participant import signed_round as made
from veilsum.files import write_durably

PUBLIC = b"public key"
RECEIPT = Signed(b"what the coordinator has signed", {"coordinator": b"signature"})


class Site:
    """A site's contributor with a worker and a sender that only note what they are asked."""

    def __init__(self, folder: Path, limit: str = "3", failpoints: Failpoints | None = None):
        self.log: list[str] = []
        self.sent: list[bytes] = []
        self.masks: list[bytes] = []
        self.fails: dict[str, Exception] = {}
        self.during: dict[str, Callable[[], None]] = {}
        self.ledger = SiteLedger(
            folder / "ledger.sqlite",
            lambda: 0.0,
            site="amber",
            limits=SpendLimits("0.001", limit, limit),
            key=made.keys("amber").signing,
            failpoints=failpoints,
        )
        self.ledger.register(
            ledgers.Dataset(
                id="ward",
                version=1,
                parent=None,
                unit=UnitOfPrivacy.PATIENT,
                max_records_per_unit=1,
                neighbor=NeighbouringRelation.ADD_OR_REMOVE_ONE,
            )
        )
        self.outbox = Outbox(folder / "outbox", 1)
        self.contributor = Contributor(
            "amber", "ward", made.keys("amber").signing, os.urandom, made.roster(),
            self, self.ledger, self, folder / "receipts", Kept(folder / "kept"),
            failpoints or Failpoints(),
        )  # fmt: skip

    def note(self, what: str) -> None:
        rows = [row.type.value for row in self.ledger.rows()][1:]
        self.log.append(f"{what} after {','.join(rows)}")
        if what in self.during:
            self.during.pop(what)()
        if what in self.fails:
            raise self.fails.pop(what)

    async def prepare(self, plan):
        if "prepare" in self.fails:
            raise self.fails.pop("prepare")

    async def train(self, plan):
        self.note("train")

    async def privatise(self, plan):
        self.note("privatise")

    async def protect(self, plan, public_key, mask, folder):
        self.masks.append(mask)
        body = b"protected at try %d" % len(self.log)
        write_durably(Path(folder) / "00000000", body)
        self.note("protect")
        return Piece("coordinator", "ckks/1", "0" * 64, 1, len(body))

    async def send(self, outbox, header):
        # A sender that fails has let its bytes out all the same.
        chunks = (body for _, body in outbox.chunks(0, 1))
        self.sent.append(b"".join((pack(header), *outbox.seals(len(made.OPENERS)), *chunks)))
        self.note("send")
        return RECEIPT

    async def contribute(self, plan=None):
        await self.contributor.contribute(plan or made.plan(), PUBLIC, self.outbox)

    def rows(self, kind: RowType) -> int:
        return sum(row.type is kind for row in self.ledger.rows())


async def test_what_is_reserved_and_committed_when(tmp_path):
    """The data is touched under a reservation; the first byte leaves under a commit."""
    site = Site(tmp_path)

    await site.contribute()

    assert site.log == [
        "train after RESERVE",
        "privatise after RESERVE",
        "protect after RESERVE",
        "send after RESERVE,COMMIT",
    ]
    assert site.rows(RowType.SENT) == 1


async def test_the_header_says_how_far_the_ledger_had_come(tmp_path):
    """With the reservation, and before the commit, which names the header."""
    site = Site(tmp_path)

    await site.contribute()

    header = read_header(site.outbox.header().body)
    rows = site.ledger.rows()
    assert header.ledger.root == site.ledger.root_at(header.ledger.size)
    assert RowType.RESERVE in {row.type for row in rows[: header.ledger.size]}
    assert rows[header.ledger.size].out == digest_of(header)


async def test_the_receipt_of_every_round_is_kept(tmp_path):
    """It is the site's evidence against a coordinator that says it never came."""
    site = Site(tmp_path)

    await site.contribute()

    (kept,) = (tmp_path / "receipts").iterdir()
    assert kept.name == "000001"
    assert unpack(kept.read_bytes()) == RECEIPT
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


async def test_without_a_receipt_nothing_counts_as_sent(tmp_path):
    """Neither a file nor a row; what was spent stays spent."""
    site = Site(tmp_path)
    site.fails["send"] = InvalidSignature("not the coordinator's")

    with pytest.raises(InvalidSignature):
        await site.contribute()

    assert not (tmp_path / "receipts").exists()
    assert (site.rows(RowType.COMMIT), site.rows(RowType.SENT)) == (1, 0)


async def test_an_exhausted_budget_stops_before_the_data_is_touched(tmp_path):
    """Nothing is trained, written or sent."""
    site = Site(tmp_path, limit="0.5")

    with pytest.raises(BudgetExhausted):
        await site.contribute()

    assert (site.log, site.sent, site.rows(RowType.RESERVE)) == ([], [], 0)


async def test_a_broken_connection_sends_the_same_bytes_again(tmp_path):
    """As often as it takes, for one price."""
    site = Site(tmp_path)
    for _ in range(3):
        site.fails["send"] = PeerUnreachable("cut")
        with pytest.raises(PeerUnreachable):
            await site.contribute()

    await site.contribute()

    assert len(site.sent) == 4
    assert len(set(site.sent)) == 1
    assert sum(line.startswith("train") for line in site.log) == 1
    assert site.rows(RowType.RESERVE) == site.rows(RowType.COMMIT) == site.rows(RowType.SENT) == 1


def found_by(opener, header, seals):
    """The secret that an opener finds in a site's seals."""
    (sealed,) = (s for o, s in zip(made.OPENERS, seals, strict=True) if o == opener)
    pair = made.keys(opener).sealing
    (secret,) = open_masks(made.plan(), [header], {"amber": sealed}, opener, pair)
    return secret


async def test_each_opener_is_sealed_the_mask_that_was_put_on(tmp_path):
    """And the signed header names the seals, and commits to it."""
    site = Site(tmp_path)

    await site.contribute()

    header = canonical.decode(site.outbox.header().body, Contribution)
    (mask,) = site.masks
    seals = site.outbox.seals(len(made.OPENERS))
    assert {found_by(each, header, seals) for each in made.OPENERS} == {mask}
    assert len(mask) == MASK_SECRET_BYTES


async def test_every_try_draws_another_mask(tmp_path):
    """Two protections under one mask could be subtracted, if both ever left."""
    site = Site(tmp_path)
    site.fails["protect"] = PeerUnreachable("died")
    with pytest.raises(PeerUnreachable):
        await site.contribute()

    await site.contribute()

    assert len(set(site.masks)) == len(site.masks) == 2
    header = canonical.decode(site.outbox.header().body, Contribution)
    assert found_by("amber", header, site.outbox.seals(len(made.OPENERS))) == site.masks[1]


async def test_a_masks_secret_is_in_no_file_of_the_site(tmp_path):
    """It is worth nothing to whoever finds the outbox; the openers have it."""
    site = Site(tmp_path)

    await site.contribute()

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.parent.name == "masks" for path in files)
    for path in files:
        assert site.masks[0] not in path.read_bytes()
        assert site.masks[0].hex().encode() not in path.read_bytes()


REFUSALS = [
    UpdateOutOfRange("not finite"),
    IllegalEvent("there is no update"),
    InternalError("KeyError in the site's worker"),
    ConfigError("a unit without rows"),
    VeilsumError("of an unknown code"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["train", "privatise", "protect"])
async def test_an_update_that_is_refused_sends_nothing_and_is_paid_for(tmp_path, where, error):
    """Others see that this site is missing, and that may depend on one patient."""
    site, price = Site(tmp_path), await spent_by_sending(tmp_path / "other")
    site.fails[where] = error

    with pytest.raises(type(error)):
        await site.contribute()

    assert site.sent == []
    assert site.outbox.header() is None
    (commit,) = [row for row in site.ledger.rows() if row.type is RowType.COMMIT]
    assert commit.out == NOTHING_SENT
    assert site.ledger.spent_epsilon("ward", 0.001) == price > 0


@pytest.mark.parametrize("error", [NotYet("no model"), UnsafeParameters("a rate"), *REFUSALS])
async def test_what_is_refused_without_a_look_at_the_data_is_not_paid_for(tmp_path, error):
    """A plan that nobody could work on would else take a round's budget at every site."""
    site = Site(tmp_path)
    site.fails["prepare"] = error

    with pytest.raises(type(error)):
        await site.contribute()

    assert site.log == site.sent == []
    assert [row.type for row in site.ledger.rows()] == [RowType.DATASET_REGISTER]
    await site.contribute()
    assert len(site.sent) == 1


def lower(folder):
    """What a second process does when the site's file has a lower limit."""
    made_lower = Site(folder, limit="0.01")
    made_lower.ledger.set_policy({})


async def test_a_limit_that_falls_while_a_site_trains_stops_it_before_it_sends(tmp_path):
    """Nothing has left, and the refusal depends on no patient; what is set aside stays so."""
    site = Site(tmp_path)
    site.during["protect"] = lambda: lower(tmp_path)

    with pytest.raises(BudgetExhausted):
        await site.contribute()

    assert (site.sent, site.rows(RowType.COMMIT), site.rows(RowType.RESERVE)) == ([], 0, 1)


async def test_a_refusal_is_paid_for_also_when_a_limit_has_fallen(tmp_path):
    """The data was used; the ledger cannot say that it was not."""
    site = Site(tmp_path)
    site.during["train"] = lambda: lower(tmp_path)
    site.fails["privatise"] = UpdateOutOfRange("not finite")

    with pytest.raises(UpdateOutOfRange):
        await site.contribute()

    (commit,) = [row for row in site.ledger.rows() if row.type is RowType.COMMIT]
    assert commit.out == NOTHING_SENT


async def spent_by_sending(folder):
    folder.mkdir()
    site = Site(folder)
    await site.contribute()
    return site.ledger.spent_epsilon("ward", 0.001)


async def test_a_refusal_is_not_tried_again(tmp_path):
    """A second training would be a second output of one price."""
    site = Site(tmp_path)
    site.fails["privatise"] = UpdateOutOfRange("not finite")
    with pytest.raises(UpdateOutOfRange):
        await site.contribute()

    with pytest.raises(ConflictingContribution):
        await site.contribute()

    assert sum(line.startswith("train") for line in site.log) == 1
    assert site.sent == []


@pytest.mark.parametrize("error", [PeerUnreachable("died"), StoreUnavailable("full")])
@pytest.mark.parametrize("where", ["train", "privatise", "protect"])
async def test_what_time_heals_holds_the_reservation_and_spends_nothing_yet(tmp_path, where, error):
    """The worker died, or the disk is full: it is tried again, under the same reservation."""
    site = Site(tmp_path)
    site.fails[where] = error
    with pytest.raises(type(error)):
        await site.contribute()
    assert (site.rows(RowType.RESERVE), site.rows(RowType.COMMIT)) == (1, 0)

    await site.contribute()

    assert site.rows(RowType.RESERVE) == site.rows(RowType.COMMIT) == 1
    assert len(site.sent) == 1


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
import coordinator
from privacy.failpoints import parse
from tests.participant import signed_round as made
from tests.participant.sending.test_contribute import Site
folder = Path(sys.argv[1])
kill = lambda where: os.kill(os.getpid(), signal.SIGKILL)
drawn = made.keys
made.keys = lambda name: KEYS if name == "amber" else drawn(name)
from participant.keys import load_keys
KEYS = load_keys(folder / "keys")
site = Site(folder, failpoints=parse(sys.argv[2] + ":1=kill", {"kill": kill}))
asyncio.run(site.contribute(made.Plan(made.ARITHMETIC, made.canonical.decode(
    (folder / "terms").read_bytes(), made.Terms))))
"""


@pytest.mark.parametrize(
    ("failpoint", "trainings", "finished"),
    [
        ("contribute.before_finish", 1, False),
        ("contribute.before_commit", 0, True),
        ("contribute.after_commit", 0, True),
    ],
)
async def test_a_kill_is_a_resume(tmp_path, monkeypatch, failpoint, trainings, finished):
    """SIGKILL in a process of its own: what was finished is sent as it is, and spent once."""
    keys = make_keys(tmp_path / "keys", os.urandom)
    plan = made.plan()
    (tmp_path / "terms").write_bytes(made.encoded(plan.terms))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), failpoint],
        check=False,
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    drawn = made.keys
    monkeypatch.setattr(made, "keys", lambda name: keys if name == "amber" else drawn(name))
    site = Site(tmp_path)
    left = site.outbox.header()
    assert (left is not None) is finished

    await site.contribute(plan)

    assert sum(line.startswith("train") for line in site.log) == trainings
    assert left is None or site.sent[0].startswith(pack(left))
    assert site.rows(RowType.RESERVE) == site.rows(RowType.COMMIT) == 1


async def test_another_plan_for_a_committed_round_is_refused(tmp_path):
    """The coordinator signs a second plan: a second training would be a second release."""
    site = Site(tmp_path)
    await site.contribute()
    other = made.plan(clip="19")

    for _ in range(2):
        with pytest.raises(ConflictingContribution, match="second release"):
            await site.contribute(other)

    assert sum(line.startswith("train") for line in site.log) == 1
    assert len(site.sent) == 1


async def test_another_plan_after_the_outbox_was_erased_is_refused_too(tmp_path):
    """The ledger remembers, whatever else was lost."""
    site = Site(tmp_path)
    await site.contribute()
    site.outbox.erase()

    for plan in (made.plan(), made.plan(clip="19")):
        with pytest.raises(ConflictingContribution):
            await site.contribute(plan)
    assert len(site.sent) == 1


async def test_another_plan_before_the_commit_replaces_what_never_left(tmp_path):
    """One reservation, one training that counts, and the first one's bytes are gone."""
    site = Site(tmp_path)
    first = Failpoints({("contribute.before_commit", 1): raises})
    site.contributor.failpoints = first
    with pytest.raises(KeyboardInterrupt):
        await site.contribute()

    await site.contribute(made.plan(clip="19"))

    assert len(site.sent) == 1
    assert site.rows(RowType.RESERVE) == site.rows(RowType.COMMIT) == 1


def raises(where: str) -> None:
    raise KeyboardInterrupt


async def test_a_ledger_that_was_restored_from_a_backup_does_not_send_other_bytes(tmp_path):
    """The outbox still has the header: the same bytes, and the spend is recorded again."""
    before = Site(tmp_path)
    await before.contribute()
    before.ledger.close()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    after = Site(tmp_path)

    await after.contribute()

    assert after.sent == before.sent
    assert after.rows(RowType.COMMIT) == 1


async def test_a_disk_that_refuses_the_receipt_is_tried_again(tmp_path):
    """The same bytes are sent, and the receipt is kept at last."""
    site = Site(tmp_path)
    (tmp_path / "receipts").touch()
    with pytest.raises(StoreUnavailable, match="receipts"):
        await site.contribute()
    (tmp_path / "receipts").unlink()

    await site.contribute()

    assert site.sent[0] == site.sent[1]
    assert (site.rows(RowType.COMMIT), site.rows(RowType.SENT)) == (1, 1)
    assert [path.name for path in (tmp_path / "receipts").iterdir()] == ["000001"]
