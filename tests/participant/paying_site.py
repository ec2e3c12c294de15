"""A site that pays for two rounds, in a process that is killed wherever a test says.

Run as a program it lives and dies in a child process for each passage of one place in the code,
in a folder for each, until a child lives to the end:

    python -m tests.participant.paying_site FOLDER ledger.before_write
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from participant.kept import Kept
from participant.keys import SiteKeys, load_keys
from participant.ledger import outcome
from participant.ledger.site_ledger import SiteLedger
from participant.memory import Memory
from participant.sending.contribute import Contributor
from participant.sending.outbox import Outbox
from privacy import canonical
from privacy.budget import SpendLimits
from privacy.documents import Signed, pack
from privacy.failpoints import Failpoints
from privacy.ledger import Dataset
from privacy.mechanism import events_of
from privacy.plan import Plan, Terms
from privacy.records import Cohort, Entry, Piece, Release, digest_of
from tests.participant import signed_round as made
from veilsum.files import write_durably

ROUNDS = 2
LIMITS = SpendLimits("0.001", "3", "3")
EVENTS = events_of(made.TRAINING)


class PayingSite:
    """A site whose trainer makes new bytes at each try, and whose wire is a folder."""

    def __init__(
        self, folder: Path, keys: SiteKeys, terms: Terms, failpoints: Failpoints | None = None
    ) -> None:
        self.folder, self.terms, self.fails = folder, terms, failpoints or Failpoints()
        folder.mkdir(exist_ok=True)
        self.memory = Memory(folder)
        self.ledger = SiteLedger(
            folder / "ledger.sqlite",
            lambda: 0.0,
            site="amber",
            limits=LIMITS,
            key=keys.signing,
            keeps=self.memory.ledger_grew,
            failpoints=self.fails,
        )
        seen = self.memory.ledger_seen()
        if seen is not None:
            self.ledger.require_extends(seen)
        self.ledger.register(Dataset("ward", 1, None, made.policy().unit, 1, "add_remove"))  # type: ignore[arg-type]
        self.ledger.set_policy({})
        self.contributor = Contributor(
            "amber", "ward", keys.signing, os.urandom, made.roster(), self, self.ledger, self,  # type: ignore[arg-type]
            folder / "receipts", Kept(folder / "kept"), self.fails,
        )  # fmt: skip

    async def prepare(self, plan: Plan) -> None:
        """Nothing stands against it."""

    async def train(self, plan: Plan) -> None:
        """Nothing to do."""

    async def privatise(self, plan: Plan) -> None:
        """Nothing to do."""

    async def protect(self, plan: Plan, public_key: bytes, mask: bytes, folder: str) -> Piece:
        """Fresh noise: other bytes at each try."""
        body = os.urandom(32)
        write_durably(Path(folder) / "00000000", body)
        return Piece("coordinator", "ckks/1", body.hex(), 1, len(body))

    async def send(self, outbox: Outbox, header: Signed) -> Signed:
        """The bytes are on the wire as soon as the first of them leaves."""
        wire = self.folder / "wire" / f"{outbox.number}"
        wire.mkdir(parents=True, exist_ok=True)
        chunks = (body for _, body in outbox.chunks(0, 1))
        write_durably(wire / f"{len(list(wire.iterdir()))}", b"".join((pack(header), *chunks)))
        self.fails.hit("send.after_chunk")
        return Signed(b"receipt", {"coordinator": b"signature"})

    async def live(self) -> None:
        """Pay for all rounds that are not over, and record what became of them."""
        for number in range(1, ROUNDS + 1):
            state = self.ledger.committed("ward", made.FEDERATION, number)
            if state is not None and state.release is not None:
                continue
            terms = replace(self.terms, round=number, rounds_left=ROUNDS + 1 - number)
            plan = Plan(made.ARITHMETIC, terms)
            outbox = Outbox(self.folder / "outbox", number)
            if state is None or not state.sent:
                await self.contributor.contribute(plan, b"", outbox)
            outcome.record(self.ledger, "ward", plan, *ended(plan))
        for held in self.ledger.reserved():
            self.ledger.retire(held.id, "e" * 64)

    def close(self) -> None:
        """Let go of the files."""
        self.ledger.close()
        self.memory.close()


def ended(plan: Plan) -> tuple[Release, Signed]:
    """How a round ended, as openers have signed it."""
    terms = plan.terms
    entries = (Entry("amber", "1" * 64, ("2" * 64,)),)
    cohort = Cohort(terms.federation, terms.round, plan.digest(), entries)
    release = Release(
        terms.federation, terms.round, plan.digest(), digest_of(cohort), "3" * 64, "4" * 64,
        "5" * 64, "6" * 64,
    )  # fmt: skip
    return release, Signed(canonical.encode(cohort), {})


def _die(place: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _child(folder: Path, keys: SiteKeys, terms: Terms, place: tuple[str, int]) -> int:
    child = os.fork()
    if child == 0:
        site = PayingSite(folder, keys, terms, Failpoints({place: _die}))
        asyncio.run(site.live())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status


def main(folder: Path, place: str) -> None:
    """Kill a child at each passage of `place`; print how many there are."""
    keys: Any = load_keys(folder / "keys")
    drawn = made.keys
    made.keys = lambda name: keys if name == "amber" else drawn(name)
    # plans name the keys of a process; all of them are to work under the same
    terms = canonical.decode((folder / "terms").read_bytes(), Terms)
    count = 1
    while (status := _child(folder / f"{count}", keys, terms, (place, count))) != 0:
        assert os.WIFSIGNALED(status), status
        assert os.WTERMSIG(status) == signal.SIGKILL
        count += 1
    print(count - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
