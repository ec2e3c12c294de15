"""An agent with its real memory, ledger and outbox, before a coordinator that a test scripts."""

from pathlib import Path
from typing import Any

import numpy as np

from participant import agree, reveal
from participant.agent import Agent
from participant.apply import apply
from participant.config import CoordinatorAddress, Dataset, SiteConfig
from participant.reveal import Frozen
from participant.session import Standing
from participant.view import KeyState
from privacy.documents import Signed
from privacy.errors import NotYet, VeilsumError
from privacy.failpoints import Failpoints
from privacy.plan import Plan
from privacy.records import digest_of, release_of
from privacy.schemes.ckks import CkksRevealer
from tests.participant import signed_round as made


class Showing:
    """A coordinator that shows what it is told to, and notes what it is told."""

    def __init__(self) -> None:
        self.plans: dict[int, Plan] = {1: made.plan()}
        self.signer = made.COORDINATOR_KEY
        self.cohorts: dict[int, tuple[Signed, list[Signed]]] = {}
        self.sums: dict[int, tuple[Signed, tuple[bytes, ...]]] = {}
        self.models: dict[int, tuple[Signed, tuple[bytes, ...]]] = {}
        self.releases: dict[int, Signed] = {}
        self.key_states: dict[int, KeyState] = {}
        self.opener = "amber"
        self.refused: list[tuple[int, str]] = []
        self.put: list[tuple[Signed, tuple[bytes, ...]]] = []
        self.signed_releases: list[Signed] = []
        self.key_signatures: list[bytes] = []
        self.fails: dict[str, VeilsumError] = {}

    def shows(self, of: "made.Round") -> None:
        """Show a frozen round."""
        cohort, headers, total = of.parts()
        number = of.plan.terms.round
        self.plans[number] = of.plan
        self.cohorts[number], self.sums[number] = (cohort, headers), (total, of.chunks)

    async def plan(self, number: int) -> tuple[bytes, bytes, bytes]:
        plan = _have(self.plans, number)
        digest = bytes.fromhex(plan.digest())
        signature = made.sign(self.signer, made.Purpose.PLAN, digest)
        return plan.arithmetic.encode(), made.encoded(plan.terms), signature

    async def key(self, number: int) -> KeyState:
        if number in self.key_states:
            return self.key_states[number]
        record, sealed = made.sealed_key(number)
        order = made.encoded(made.specification())
        mine = sealed[made.OPENERS.index(self.opener)] if self.opener in made.OPENERS else b""
        signed = made.signed_by(record, "amber", "birch")
        return KeyState(order, signed, made.cohort_key().public, mine)

    async def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        return _have(self.cohorts, number)

    async def sum(self, number: int) -> tuple[Signed, tuple[bytes, ...]]:
        return _have(self.sums, number)

    async def model(self, number: int) -> tuple[Signed, tuple[bytes, ...]]:
        return _have(self.models, number)

    async def release(self, number: int) -> Signed:
        return _have(self.releases, number)

    async def put_model(self, envelope: Signed, chunks: Any) -> None:
        self.put.append((envelope, tuple(chunks)))

    async def sign_release(self, release: Signed) -> None:
        self.signed_releases.append(release)

    async def sign_key(self, number: int, signature: bytes) -> None:
        if "sign_key" in self.fails:
            raise self.fails["sign_key"]
        self.key_signatures.append(signature)

    async def refuse(self, number: int, code: str) -> None:
        self.refused.append((number, code))


class Hands:
    """A worker in this process: opens sums, checks keys, and counts what it opened."""

    def __init__(self) -> None:
        self.opened = 0
        self.bad_keys: set[bytes] = set()

    async def reveal(
        self, plan: Plan, frozen: Frozen, secret: bytes, chunks: tuple[bytes, ...]
    ) -> Any:
        self.opened += 1
        revealer = CkksRevealer(plan.parameters(), plan.arithmetic.dimension, secret)
        return reveal.reveal(plan, frozen, revealer, chunks)

    async def check_key(self, parameters: Any, public: bytes, secret: bytes) -> None:
        return None

    def stop(self) -> None:
        return None


def agent(
    folder: Path,
    coordinator: Showing,
    name: str = "amber",
    dataset: Dataset = made.DATASET,
    **policy: Any,
) -> Agent:
    """An agent that has joined, with the first model in its memory."""
    nowhere = CoordinatorAddress("127.0.0.1:1", Path("none"), Path("none"))
    config = SiteConfig(made.FEDERATION, name, folder, nowhere, dataset, made.policy(**policy))
    at_work = Agent(config, made.keys(name), made.os.urandom, Failpoints())
    at_work._coordinator = coordinator  # type: ignore[assignment]
    at_work._worker = Hands()  # type: ignore[assignment]
    at_work._roster = made.roster()
    at_work._shapes, at_work._first = made.SHAPES, made.plan().terms.model
    at_work._memory.keep_model(at_work._first, made.FIRST)
    at_work._standing = Standing(name)
    coordinator.opener = name
    return at_work


def ends(at_work: Agent) -> None:
    """The end of an agent's process, as far as another one sees it."""
    at_work._memory.close()
    at_work._ledger.close()
    made.os.close(at_work._held)


def _have(of: dict[int, Any], number: int) -> Any:
    if number not in of:
        raise NotYet(f"there is none of round {number}")
    return of[number]


def next_model(of: "made.Round", start: Any = made.FIRST) -> Any:
    """The model that a round's openers make."""
    names = [entry.participant for entry in of.cohort.entries]
    total = np.sum([made.update(name) for name in names], axis=0)
    return apply(of.plan, start, total, len(names))


def released(
    of: "made.Round", vector: Any, *signers: str, sealer: str = "birch"
) -> tuple[Signed, Signed, tuple[bytes, ...]]:
    """Envelope, release and chunks of a model, as openers would make and sign them."""
    model = made.model_digest(made.SHAPES, vector)
    envelope, chunks = agree.seal_model(
        of.plan, made.roster(), digest_of(of.sum), sealer, model, vector, made.os.urandom
    )
    release = release_of(envelope, digest_of(of.cohort), of.plan.terms.model)
    signed = made.signed_by(release, *(signers or ("birch", "cedar")))
    return signed, made.signed_by(envelope, sealer), tuple(chunks)
