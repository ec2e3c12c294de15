"""Reserve before training, commit before sending; a crash anywhere sends the same bytes once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from participant.contribute import Contributor
from participant.keys import make_keys
from participant.ledger import SiteLedger
from participant.outbox import Outbox, write_durably
from privacy import ledger as ledgers
from privacy.accounting import NeighbouringRelation, UnitOfPrivacy
from privacy.budget import SpendLimits
from privacy.documents import pack
from privacy.errors import (
    BudgetExhausted,
    ConflictingContribution,
    PeerUnreachable,
    UpdateOutOfRange,
)
from privacy.failpoints import Failpoints
from privacy.ledger import RowType
from privacy.records import Piece
from tests.participant import signed_round as made

PUBLIC = b"public key"
MODEL = np.zeros(3)


class Site:
    """A site's contributor with a worker and a sender that only note what they are asked."""

    def __init__(self, folder: Path, limit: str = "3", failpoints: Failpoints | None = None):
        self.log: list[str] = []
        self.sent: list[bytes] = []
        self.fails: dict[str, Exception] = {}
        self.ledger = SiteLedger(
            folder / "ledger.sqlite",
            lambda: 0.0,
            site="amber",
            limits=SpendLimits("0.001", limit, limit),
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
            "amber", "ward", made.keys("amber").signing, self, self.ledger, self,
            failpoints or Failpoints(),
        )  # fmt: skip

    def note(self, what: str) -> None:
        rows = [row.type.value for row in self.ledger.rows()][1:]
        self.log.append(f"{what} after {','.join(rows)}")
        if what in self.fails:
            raise self.fails.pop(what)

    async def train(self, plan, model):
        self.note("train")

    async def privatise(self, plan):
        self.note("privatise")

    async def protect(self, plan, public_key, folder):
        body = b"protected at try %d" % len(self.log)
        write_durably(Path(folder) / "00000000", body)
        self.note("protect")
        return Piece("coordinator", "ckks/1", "0" * 64, 1, len(body))

    async def send(self, outbox, header):
        # A sender that fails has let its bytes out all the same.
        self.sent.append(pack(header) + b"".join(body for _, body in outbox.chunks(0, 1)))
        self.note("send")

    async def contribute(self, plan=None):
        await self.contributor.contribute(plan or made.plan(), MODEL, PUBLIC, self.outbox)

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


@pytest.mark.parametrize("where", ["train", "privatise", "protect"])
async def test_an_update_that_fails_leaves_nothing(tmp_path, where):
    """A NaN is refused in the worker; the reservation is held, not spent."""
    site = Site(tmp_path)
    site.fails[where] = UpdateOutOfRange("not finite")

    with pytest.raises(UpdateOutOfRange):
        await site.contribute()

    assert site.sent == []
    assert site.outbox.header() is None
    assert site.rows(RowType.COMMIT) == 0
    assert site.ledger.spent_epsilon("ward", 0.001) == 0


CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
import coordinator
from privacy.failpoints import parse
from tests.participant import signed_round as made
from tests.participant.test_contribute import Site
folder = Path(sys.argv[1])
kill = lambda where: os.kill(os.getpid(), signal.SIGKILL)
made.keys = lambda name: KEYS
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
    monkeypatch.setattr(made, "keys", lambda name: keys)
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
