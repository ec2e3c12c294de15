"""`veilsum bench settlement`: what each operation on the chain costs, by number of participants.

The contracts that ship run on the embedded chain, through the doors that processes use: real
payout trees are committed and claimed from, and false rounds are proved false. Gas is the same on
every machine, but for some hundred units: hashes have more zero bytes or fewer.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coordinator.settling.settle import Result, Statement
from participant.settling.challenge import Challenger, fields
from privacy.errors import ConfigError
from privacy.merkle import WORDS_PER_LEAF
from privacy.settlement.accusation import accuse
from privacy.settlement.commitment import Cohort, Slot
from privacy.settlement.payouts import Entitlement
from privacy.settlement.sum_proof import Node
from veilsum.chain.endpoint import checksummed
from veilsum.progress import SILENT, Meter

from .disputes import ARITHMETIC, DEPTH, Dispute, dispute
from .machine import this_machine
from .on_chain import BOND, DEMAND_BOND, RESPONSE_SECONDS, WINDOW_SECONDS, OnChain, on_chain
from .settlement_report import SettlementReport

SIZES: Final = (10, 100, 1_000, 10_000)
RULES: Final = "Prague"
"""What py-evm runs, and the first with a floor for calldata."""

_FEWEST: Final = 4
_MOST: Final = 20_000
_STEPS_EACH: Final = 3
_SUM, _LEAF = 2, 0


def run(*, sizes: Sequence[int] = SIZES, watcher: Meter = SILENT) -> SettlementReport:
    """Measure every operation.

    Args:
        sizes: numbers of participants.
        watcher: is told of each part that is measured.

    Raises:
        ConfigError: a number of participants that is not from 4 to 20,000.
    """
    _require_sizes(sizes)
    started, machine = time.monotonic(), this_machine()
    watcher.total(_STEPS_EACH * len(set(sizes)) + 1)
    with (
        tempfile.TemporaryDirectory(prefix="veilsum-bench-") as folder,
        on_chain(Path(folder)) as chain,
    ):
        watcher.step()
        once: dict[str, int] = {}
        found = {size: _measured(chain, size, once, watcher) for size in sorted(set(sizes))}
        with chain.apart() as on:
            _Bench(on, once).silent(min(sizes))
        deploy = {each.name: each.gas for each in chain.deployed if each.gas}
    by = {name: {size: gas[name] for size, gas in found.items()} for name in _NAMES}
    return SettlementReport(
        **by,
        rules=RULES,
        leaf_words=WORDS_PER_LEAF,
        tree_depth=DEPTH,
        once_gas=dict(sorted(once.items())),
        deploy_gas=deploy,
        machine=machine,
        seconds=round(time.monotonic() - started, 1),
    )


_NAMES: Final = (
    "commit_gas",
    "claim_gas_first",
    "claim_gas_later",
    "challenge_gas",
    "challenge_bytes",
    "challenge_leaf_gas",
    "demand_gas",
    "answer_gas",
)


def _require_sizes(sizes: Sequence[int]) -> None:
    for size in sizes:
        if not _FEWEST <= size <= _MOST:
            raise ConfigError(f"participants: {size}; from {_FEWEST} to {_MOST:,} are measured")


def _measured(chain: OnChain, size: int, once: dict[str, int], watcher: Meter) -> dict[str, int]:
    """Return the gas of each operation among so many participants."""
    found: dict[str, int] = {}
    for part in (_Bench.paid, _Bench.summed, _Bench.copied):
        with chain.apart() as on:
            found |= part(_Bench(on, once), size)
        watcher.step()
    return found


@dataclass
class _Bench:
    """Measures; what does not depend on the participants goes into `once` as it is met."""

    on: OnChain
    once: dict[str, int]

    def paid(self, size: int) -> dict[str, int]:
        """Two honest rounds, from each of which one site claims."""
        payees, commits, claims = _payees(size), [], []
        programme, opened = self.on.open()
        self.once.update(opened, fund=self.on.fund(programme, rounds=2).gas)
        before: Statement | None = None
        for number in (1, 2):
            before = self.on.state(programme, before, _result(number, size), payees)
            commits.append(self.on.commit(before).gas)
            self.on.travel(WINDOW_SECONDS)
            claims.append(self._claim(before.entitlements[0]))
            self._register(before)
        self._leave(programme)
        return {
            "commit_gas": max(commits),
            "claim_gas_first": claims[0],
            "claim_gas_later": claims[1],
        }

    def _claim(self, one: Entitlement) -> int:
        place = (bytes.fromhex(one.domain.programme), one.round, checksummed(one.payee))
        words = (one.amount(), bytes.fromhex(one.salt), one.entry().digest(), one.path())
        call = self.on.chain.contract.functions.claim(*place, *words)
        return self.on.send(call, self.on.other).gas

    def summed(self, size: int) -> dict[str, int]:
        """A round with a wrong sum: a node is demanded and answered, and the round challenged."""
        made, wrong = self._false_round(size, _SUM)
        node, opening = wrong.demanded()
        demand = self._demand(made, wrong)
        functions = self.on.chain.contract.functions
        answer = functions.answer(fields(made.commit), _words(node), opening.encode())
        return {
            "demand_gas": demand,
            "answer_gas": self.on.send(answer, self.on.chain.key).gas,
            "challenge_gas": self._challenge(made, wrong),
            "challenge_bytes": len(wrong.proof().encode()),
        }

    def copied(self, size: int) -> dict[str, int]:
        """A round with a leaf that is nobody's own."""
        return {"challenge_leaf_gas": self._challenge(*self._false_round(size, _LEAF))}

    def silent(self, size: int) -> None:
        """A round whose coordinator does not answer a demand."""
        self.once["expire"] = self._expire(*self._false_round(size, _LEAF))

    def _expire(self, made: Statement, wrong: Dispute) -> int:
        """Return what it costs to have a silent coordinator slashed."""
        self._demand(made, wrong)
        self.on.travel(RESPONSE_SECONDS)
        node, _ = wrong.demanded()
        place = (bytes.fromhex(made.commit.programme), made.commit.round)
        call = self.on.chain.contract.functions.expire(*place, _words(node))
        return self.on.send(call, self.on.other).gas

    def _demand(self, made: Statement, wrong: Dispute) -> int:
        self.on.approve(self.on.chain.vault, DEMAND_BOND, self.on.other)
        node, _ = wrong.demanded()
        functions = self.on.chain.contract.functions
        call = functions.demand(fields(made.commit), _words(node), ARITHMETIC)
        return self.on.send(call, self.on.other).gas

    def _challenge(self, made: Statement, wrong: Dispute) -> int:
        on = self.on
        address = str(on.chain.contract.address)
        who = (on.endpoint, on.other, on.journal(on.other), address)
        challenger = Challenger(*who, sleep=lambda _: on.mine())
        gas = challenger.challenge(accuse(made.commit, wrong.proof())).gas
        self.once.update(seal=gas["seal"], collect=gas["collect"])
        return gas["challenge"]

    def _false_round(self, size: int, level: int) -> tuple[Statement, Dispute]:
        (programme, _), wrong = self.on.open(), dispute(size, level)
        result = Result(1, _word(), _word(), _word(), wrong.cohort, wrong.root)
        made = self.on.state(programme, None, result, _payees(1), budget=0)
        self.on.commit(made)
        return made, wrong

    def _register(self, made: Statement) -> None:
        registry = self.on.deployed_at("ModelRegistry")
        call = registry.functions.register(fields(made.commit))
        self.once["register"] = self.on.send(call, self.on.other).gas

    def _leave(self, programme: str) -> None:
        """Take the bond back."""
        functions, key = self.on.chain.vault.functions, self.on.chain.key
        word = bytes.fromhex(programme)
        self.once["thaw"] = self.on.send(functions.thaw(word, BOND), key).gas
        self.on.travel(WINDOW_SECONDS + 2 * RESPONSE_SECONDS)
        self.once["withdraw"] = self.on.send(functions.withdraw(word), key).gas


def _result(number: int, size: int) -> Result:
    slots = tuple(Slot(place, os.urandom(32)) for place in range(size))
    return Result(number, _word(), _word(), _word(), Cohort(slots), os.urandom(32))


def _payees(count: int) -> list[str]:
    return [f"0x{os.urandom(20).hex()}" for _ in range(count)]


def _word() -> str:
    return os.urandom(32).hex()


def _words(node: Node) -> tuple[int, ...]:
    """Return a node in the contract's order."""
    return (node.tree, node.chunk, node.leaf, node.level, node.index)
