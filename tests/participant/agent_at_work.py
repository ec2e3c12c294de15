"""An agent with its real memory, ledger and outbox, before a coordinator that a test scripts."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from participant.agent import Agent
from participant.config import CoordinatorAddress, Dataset, SiteConfig
from participant.model.models import Models
from participant.opening import agree
from participant.opening.apply import Application
from participant.opening.frozen import Frozen
from participant.opening.next_model import next_model as make_next_model
from participant.opening.spool import Spooled
from participant.session import Standing
from participant.training.workshop import ckks_revealer
from participant.view import KeyState
from participant.wire.coordinator import SealedParts
from participant.wire.whole import Whole
from privacy.documents import Signed
from privacy.errors import NotYet, PeerUnreachable, VeilsumError
from privacy.failpoints import Failpoints
from privacy.plan import Plan
from privacy.records import digest_of, release_of
from tests.participant import signed_round as made
from tests.participant.roster_versions import versions


class Showing:
    """A coordinator that shows what it is told to, and notes what it is told."""

    def __init__(self) -> None:
        self.plans: dict[int, Plan] = {1: made.plan()}
        self.signer = made.COORDINATOR_KEY
        self.cohorts: dict[int, tuple[Signed, list[Signed]]] = {}
        self.sums: dict[int, tuple[Signed, tuple[bytes, ...]]] = {}
        self.seals: dict[int, Callable[[str], dict[str, bytes]]] = {}
        self.models: dict[int, tuple[Signed, tuple[bytes, ...]]] = {}
        self.releases: dict[int, Signed] = {}
        self.key_states: dict[int, KeyState] = {}
        self.opener = "amber"
        self.newest: Signed | None = None
        self.refused: list[tuple[int, str]] = []
        self.put: list[tuple[Signed, tuple[bytes, ...]]] = []
        self.signed_releases: list[Signed] = []
        self.key_signatures: list[bytes] = []
        self.fails: dict[str, VeilsumError] = {}
        self.cuts: dict[str, int] = {}
        self.asked: dict[str, list[int]] = {"sum": [], "model": []}
        self.then: dict[str, list[Any]] = {}

    def shows(self, of: "made.Round") -> None:
        """Show a frozen round."""
        cohort, headers, total = of.parts()
        number = of.plan.terms.round
        self.plans[number] = of.plan
        self.cohorts[number], self.sums[number] = (cohort, headers), (total, of.chunks)
        self.seals[number] = of.seals

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

    async def newest_header(self) -> Signed | None:
        return self.newest

    async def cohort(self, number: int) -> tuple[Signed, list[Signed]]:
        return _have(self.cohorts, number)

    async def masks(self, number: int, cohort: int) -> dict[str, bytes]:
        if "masks" in self.fails:
            raise self.fails["masks"]
        return _have(self.seals, number)(self.opener)

    @asynccontextmanager
    async def sum(self, number: int, from_chunk: int = 0) -> AsyncIterator[Any]:
        self.asked["sum"].append(from_chunk)
        shown = self.then.get("sum")
        manifest, chunks = shown.pop(0) if shown else _have(self.sums, number)
        yield manifest, self._stream("sum", chunks, from_chunk)

    @asynccontextmanager
    async def model(self, number: int, from_chunk: int = 0) -> AsyncIterator[SealedParts]:
        self.asked["model"].append(from_chunk)
        shown = self.then.get("model")
        envelope, chunks = shown.pop(0) if shown else _have(self.models, number)
        yield SealedParts(envelope, (), self._stream("model", chunks, from_chunk))

    async def _stream(self, what: str, chunks: Sequence[bytes], start: int) -> AsyncIterator[bytes]:
        """The chunks from one on; each stream is cut after as many as `cuts` says."""
        for at, chunk in enumerate(chunks[start:]):
            if at == self.cuts.get(what):
                raise PeerUnreachable("cut")
            yield chunk

    async def release(self, number: int) -> Signed:
        return _have(self.releases, number)

    async def put_model(self, envelope: Signed, model: Whole[bytes]) -> None:
        self.put.append((envelope, tuple(model.chunks(0))))

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

    def __init__(self, models: Path) -> None:
        self.opened = 0
        self._models = Models(models)

    async def reveal(
        self, plan: Plan, frozen: Frozen, secret: bytes, masks: Sequence[bytes], chunks: Path
    ) -> str:
        self.opened += 1
        revealer = ckks_revealer(plan, secret, masks)
        spooled = Spooled(chunks, plan.arithmetic.chunks)
        return make_next_model(plan, frozen, revealer, spooled, self._models, made.SHAPES)

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
    at_work._worker = Hands(at_work._models.folder)  # type: ignore[assignment]
    at_work._versions = versions(made.roster())
    at_work._shapes, at_work._first = made.SHAPES, made.plan().terms.model
    at_work._models.keep(made.SHAPES, made.FIRST)
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
    return Application(of.plan, len(names)).part(start, total)


def released(
    of: "made.Round", vector: Any, *signers: str, sealer: str = "birch", parts: int = 1
) -> tuple[Signed, Signed, tuple[bytes, ...]]:
    """Envelope, release and chunks of a model, as openers would make and sign them."""
    model = made.model_digest(made.SHAPES, vector)
    envelope, chunks = agree.seal_model(
        of.plan,
        made.roster(),
        digest_of(of.sum),
        sealer,
        model,
        lambda: np.array_split(vector, parts),
        made.os.urandom,
    )
    release = release_of(envelope, digest_of(of.cohort), of.plan.terms.model)
    signed = made.signed_by(release, *(signers or ("birch", "cedar")))
    return signed, made.signed_by(envelope, sealer), tuple(chunks)
