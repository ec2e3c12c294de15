"""A round that is done and committed, with everything that a coordinator answers for it by."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import SimpleNamespace

import msgspec

from coordinator.rounds.state import Phase
from coordinator.settling.openings import Openings
from coordinator.settling.results import Results
from coordinator.settling.settlement import Settlement
from coordinator.settling.shown import Shown
from coordinator.settling.sums import Added, SumTrees
from privacy.contribution.scores import Method
from privacy.settlement.commitment import Cohort, Commit
from privacy.settlement.payouts import Domain
from privacy.settlement.typed import TypedData
from tests import fakes
from tests.coordinator.settling.test_settlement import FakeChain
from tests.fakes import SITES, Federation

DOMAIN = Domain(1, "0x" + "c3" * 20, "d4" * 32)


def roster():
    """Return the usual roster, where each site has an address to be paid at."""
    made = fakes.make_roster()
    members = tuple(
        msgspec.structs.replace(each, payout_address=f"0x{at + 1:040x}")
        for at, each in enumerate(made.members)
    )
    return msgspec.structs.replace(made, members=members)


@dataclass
class SettledRound:
    """Round 1 of a federation under `ckks`, as it is when its commit is on a chain."""

    federation: Federation = field(default_factory=lambda: Federation(roster=roster()))
    chain: object = field(default_factory=FakeChain)
    domain: Domain = DOMAIN
    signed: list[TypedData] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Put the parts together, as a new process does."""
        service = self.federation.service
        self.trees = SumTrees(service.objects, service.store)
        self.results = Results(service.archive, service.rosters, self.trees, lambda _: None)
        self.settlement = Settlement(
            settings=SimpleNamespace(
                escrow="1000",
                contract=self.domain.contract,
                programme=self.domain.programme,
                method=Method.PARTICIPATION,
            ),
            store=service.store,
            wanted=2,
            outcomes=self.results,
            entropy=os.urandom,
            attach=lambda: self.chain,
        )
        service.demanded_by(self._is_needed)
        round_of = service.rounds.get
        self.openings = Openings(
            round_of, service.archive, service.store, service.objects, self.results
        )
        self.shown = Shown(
            self.domain, round_of, service.store, self.results, self.settlement, self._sign
        )

    def freeze(self, sites: tuple[str, ...] = SITES) -> None:
        """Let sites contribute, and the round be added up."""
        self.federation.open_round()
        for name in sites:
            self.federation.contribute(name)
        if len(sites) < len(SITES):
            self.federation.clock.advance(fakes.PROGRESS_SECONDS + 1)
        self.federation.tick(3)

    def finish(self) -> SettledRound:
        """Release the round, and commit it."""
        self.federation.finish()
        self.federation.tick()
        self.settlement.run(self.federation.service.rounds.all())
        return self

    def commit(self) -> Commit:
        return self.settlement.committed(1)

    def added(self) -> Added:
        return self.results.added(self.federation.round())

    def slots(self) -> Cohort:
        return self.results.slots(self.federation.round())

    def _is_needed(self, number: int) -> bool:
        done = self.federation.service.rounds.get(number).phase is Phase.DONE
        return done and self.settlement.holds(number)

    def _sign(self, said: TypedData) -> bytes:
        self.signed.append(said)
        return said.digest() + bytes(32) + b"\x1b"


def settled_round(sites: tuple[str, ...] = SITES, **other: object) -> SettledRound:
    """Return a round that is committed."""
    made = SettledRound(**other)
    made.freeze(sites)
    return made.finish()
