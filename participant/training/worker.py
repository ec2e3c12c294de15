"""The worker process of a site, and the agent's end of the pipe to it.

Training and encryption run in a process of their own, spawned and never forked
(gRPC has threads), so that the agent needs none of their libraries and outlives
whatever happens in them. What crosses the pipe is MessagePack of known types,
between two processes of one site; nothing of the size of a model does, and an
update least of all.
"""

import asyncio
import atexit
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from participant.model.models import sweep_dead_drafts
from participant.opening.frozen import Frozen
from participant.opening.reveal_shares import SealedSum
from participant.pace import Progress, Say, say_in_log, say_nothing
from participant.scoring.kept_update import Sealing
from participant.sending.share import Shared
from privacy import errors
from privacy.contribution.products import OpenedSum
from privacy.errors import ConfigError, IllegalEvent, PeerUnreachable, VeilsumError
from privacy.identifiers import Digest
from privacy.learned import learned
from privacy.plan import Plan, pack
from privacy.records import Cohort, Piece, Sum
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.shares.sharing import UpdateSecrets
from privacy.vectors import Shapes

from . import child

Main = Callable[[Connection, str], None]
"""What a worker process runs: serve on the connection, for the site of that name."""

Result = TypeVar("Result")


class Order(msgspec.Struct, frozen=True, tag=True):
    """Something the agent asks the worker to do."""


class Describe(Order, frozen=True):
    """Say the shapes of the model, and keep the first one, made from a public text.

    Refused where the data has more units, or a unit more rows, than the site's file says.
    """

    first_model: str
    records: int
    records_per_unit: int
    models: str


class Train(Order, frozen=True):
    """Train from the plan's model, which is in a folder of models; hold on to the update."""

    plan: bytes
    models: str


class Prepare(Order, frozen=True):
    """Say whether a plan can be worked on here, before any data is looked at."""

    plan: bytes
    models: str


class Privatise(Order, frozen=True):
    """Clip the update and put it on the grid; hold on to it."""

    plan: bytes


class Keep(Order, frozen=True):
    """Write the privatised update to this site's disk, sealed; it stays."""

    sealing: Sealing


class Multiply(Order, frozen=True):
    """Say the product of a kept update with the step to a released model."""

    plan: bytes
    sealing: Sealing
    contributions: int
    released: Digest
    models: str


class MeasureSum(Order, frozen=True):
    """Say what the sum that was opened last has to say about products."""


class Protect(Order, frozen=True):
    """Write the protected update to a folder, and forget it."""

    plan: bytes
    public_key: bytes
    mask: bytes
    folder: str

    def __repr__(self) -> str:
        return "Protect(…)"


class Share(Order, frozen=True):
    """Write what travels of the update in shares to a folder, and forget the update."""

    plan: bytes
    participant: str
    secrets: tuple[bytes, bytes, bytes]
    folder: str

    def __repr__(self) -> str:
        return "Share(…)"


class MakeKey(Order, frozen=True):
    """Make a cohort key."""

    parameters: CkksParameters


class CheckKey(Order, frozen=True):
    """Check a cohort key."""

    parameters: CkksParameters
    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return "CheckKey(…)"


class Reveal(Order, frozen=True):
    """Open the sum whose chunks are in a folder, and put what it gives among the models."""

    plan: bytes
    cohort: Cohort
    sum: Sum
    secret: bytes
    masks: tuple[bytes, ...]
    chunks: str
    models: str

    def __repr__(self) -> str:
        return "Reveal(…)"


class RevealShares(Order, frozen=True):
    """Open the sum whose components are in folders, and put what it gives among the models."""

    plan: bytes
    cohort: Cohort
    sum: Sum
    sums: tuple[SealedSum, SealedSum, SealedSum]
    models: str

    def __repr__(self) -> str:
        return "RevealShares(…)"


AnyOrder = (
    Describe
    | Prepare
    | Train
    | Privatise
    | Keep
    | Protect
    | Share
    | MakeKey
    | CheckKey
    | Reveal
    | RevealShares
    | MeasureSum
    | Multiply
)


class Failure(msgspec.Struct, frozen=True, tag=True):
    """What went wrong in the worker: an error's code and words."""

    code: str
    message: str


class Described(msgspec.Struct, frozen=True, tag=True):
    """The shapes of the site's model, and the digest of the first one."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    first_model: Digest


class Key(msgspec.Struct, frozen=True, tag=True):
    """A cohort key pair, on its way to be sealed."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return "Key(…)"


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The digest of the model that a sum gave."""

    model: Digest


class Protected(msgspec.Struct, frozen=True, tag=True):
    """What the protected chunks hash to."""

    piece: Piece


class Split(msgspec.Struct, frozen=True, tag=True):
    """What an update in shares hashes to, and a third of the squared norm it declares."""

    piece: Piece
    roots: tuple[Digest, Digest, Digest]
    declared_third: int

    def __repr__(self) -> str:
        return "Split(…)"


class Multiplied(msgspec.Struct, frozen=True, tag=True):
    """The product of an update, in decimal: it has more bits than MessagePack's integers."""

    product: str

    def __repr__(self) -> str:
        return "Multiplied(…)"


class Measured(msgspec.Struct, frozen=True, tag=True):
    """An opened sum's product with the step and the step's squared length, in decimal."""

    product: str
    squared_step: str

    def __repr__(self) -> str:
        return "Measured(…)"


class Done(msgspec.Struct, frozen=True, tag=True):
    """It is done."""


AnyReply = (
    Failure | Described | Key | Opened | Protected | Split | Multiplied | Measured | Done | Progress
)
"""Every order ends with one of these; `Progress` comes before the end, as often as there is."""


class Worker:
    """The agent's end: one worker, one order at a time; a dead worker is started again."""

    def __init__(self, main: Main, site: str, models: Path) -> None:
        self._main = main
        self._site = site
        self._models = str(models)
        self._lock = asyncio.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    async def describe(
        self, first_model: str, records: int, records_per_unit: int
    ) -> tuple[Shapes, Digest]:
        """Return the shapes of the site's model, and the digest of the first one, now kept.

        Raises:
            ConfigError: the data has more units, or a unit more rows, than said.
        """
        order = Describe(first_model, records, records_per_unit, self._models)
        reply = await self._ask(order, Described)
        return reply.shapes, reply.first_model

    async def prepare(self, plan: Plan) -> None:
        """Return if the plan can be worked on here, whatever the data is.

        Raises:
            NotYet: its model is not there.
            UnsafeParameters: a number in it that nothing here can work with.
            WrongContext: it is for a model of another size.
        """
        await self._ask(Prepare(pack(plan), self._models), Done)

    async def train(self, plan: Plan) -> None:
        """Train from the plan's model; the update stays in the worker."""
        await self._ask(Train(pack(plan), self._models), Done)

    async def privatise(self, plan: Plan) -> None:
        """Privatise the update; it stays in the worker."""
        await self._ask(Privatise(pack(plan)), Done)

    async def keep(self, sealing: Sealing) -> None:
        """Write the privatised update to this site's disk, sealed; it stays in the worker."""
        await self._ask(Keep(sealing), Done)

    async def multiply(
        self, plan: Plan, sealing: Sealing, contributions: int, released: Digest
    ) -> int:
        """Return the product of a kept update with the step to a released model."""
        order = Multiply(pack(plan), sealing, contributions, released, self._models)
        return int((await self._ask(order, Multiplied)).product)

    async def measure_sum(self) -> OpenedSum:
        """Return what the sum that was opened last has to say about products.

        Raises:
            IllegalEvent: none was since the worker started, or its plan asks for no scores.
        """
        found = await self._ask(MeasureSum(), Measured)
        return OpenedSum(int(found.product), int(found.squared_step))

    async def protect(self, plan: Plan, public_key: bytes, mask: bytes, folder: str) -> Piece:
        """Write the protected update to a folder of the outbox, under the mask of a secret."""
        order = Protect(pack(plan), public_key, mask, folder)
        return (await self._ask(order, Protected, say_in_log("protecting", plan.terms.round))).piece

    async def share(
        self, plan: Plan, participant: str, secrets: UpdateSecrets, folder: str
    ) -> Shared:
        """Write what travels of the update in shares to a folder of the outbox."""
        order = Share(pack(plan), participant, secrets.secrets, folder)
        split = await self._ask(order, Split, say_in_log("sharing", plan.terms.round))
        return Shared(split.piece, split.roots, split.declared_third)

    async def make_key(self, parameters: CkksParameters) -> Key:
        """Make a cohort key."""
        return await self._ask(MakeKey(parameters), Key)

    async def check_key(self, parameters: CkksParameters, public: bytes, secret: bytes) -> None:
        """Check a cohort key."""
        await self._ask(CheckKey(parameters, public, secret), Done)

    async def reveal(
        self, plan: Plan, frozen: Frozen, secret: bytes, masks: tuple[bytes, ...], chunks: Path
    ) -> Digest:
        """Open a sum whose chunks are in a folder; return the digest of the model it gave."""
        cohort, total = frozen.cohort, frozen.sum
        order = Reveal(pack(plan), cohort, total, secret, masks, str(chunks), self._models)
        return (await self._ask(order, Opened, say_in_log("opening", plan.terms.round))).model

    async def reveal_shares(
        self, plan: Plan, frozen: Frozen, sums: tuple[SealedSum, SealedSum, SealedSum]
    ) -> Digest:
        """Open a sum in shares that is on disk; return the digest of the model it gave."""
        order = RevealShares(pack(plan), frozen.cohort, frozen.sum, sums, self._models)
        return (await self._ask(order, Opened, say_in_log("opening", plan.terms.round))).model

    def stop(self) -> None:
        """End the worker process."""
        atexit.unregister(self.stop)
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.terminate()
            self._process.join(5)
            self._process = self._pipe = None

    async def _ask(self, order: AnyOrder, kind: type[Result], say: Say = say_nothing) -> Result:
        async with self._lock:
            try:
                body = msgspec.msgpack.encode(order)
                reply = await asyncio.to_thread(self._exchange, body, say)
            except (EOFError, OSError):
                self.stop()
                raise PeerUnreachable(
                    "this site's worker process died; it is started again with the next order"
                ) from None
        if isinstance(reply, Failure):
            raise error_of(reply.code, reply.message)
        assert isinstance(reply, kind)  # both ends of the pipe are this file's
        return reply

    def _exchange(self, order: bytes, say: Say) -> Any:  # noqa: ANN401
        if self._pipe is None:
            self._start()
        assert self._pipe is not None  # _start has just made it
        pipe = self._pipe
        pipe.send_bytes(order)
        while isinstance(reply := _received(pipe), Progress):
            say(reply)
        return reply

    def _start(self) -> None:
        # What the worker before this one has left half written, it can no longer delete.
        sweep_dead_drafts(Path(self._models))
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        # Not a daemon, which may have no children. It ends with this process all the same.
        self._process = context.Process(target=self._main, args=(theirs, self._site))
        atexit.register(self.stop)
        self._process.start()
        theirs.close()


def serve(connection: Connection, site_name: str) -> None:
    """Run the worker of a site until the agent closes the pipe."""

    def make() -> Any:  # noqa: ANN401
        # The agent imports this file, without torch.
        from participant.site import load_site  # noqa: PLC0415

        from .workshop import Workshop  # noqa: PLC0415

        return Workshop(load_site(site_name), os.urandom)

    serve_workshop(connection, make)


def serve_workshop(connection: Connection, make_workshop: Callable[[], Any]) -> None:
    """Answer orders with the workshop that `make_workshop` makes, until the pipe closes.

    Heavy imports belong into `make_workshop`: an agent that dies meanwhile is noticed.
    """
    child.begin()

    def say(reply: AnyReply) -> None:
        connection.send_bytes(msgspec.msgpack.encode(reply))

    workshop, problem = None, ""
    try:
        workshop = make_workshop()
    except VeilsumError as error:
        problem = str(error)
    while True:
        try:
            order = msgspec.msgpack.decode(connection.recv_bytes(), type=learned(AnyOrder))
        except (EOFError, OSError):
            return
        reply = Failure(ConfigError.code, problem) if problem else _answer(workshop, order, say)
        say(reply)


def error_of(code: str, message: str) -> VeilsumError:
    """Return the error that `code` stands for, with its words."""
    for kind in _leaves(VeilsumError):
        if kind.code == code:
            error = kind.__new__(kind)
            Exception.__init__(error, message)
            return error
    return VeilsumError(message)


def _leaves(kind: type[VeilsumError]) -> list[type[VeilsumError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


def _received(pipe: Connection) -> AnyReply:
    reply: AnyReply = msgspec.msgpack.decode(pipe.recv_bytes(), type=learned(AnyReply))
    return reply


def _answer(workshop: Any, order: AnyOrder, say: Say) -> AnyReply:  # noqa: ANN401
    try:
        if isinstance(order, (Keep, Multiply, MeasureSum)):
            return _of_products(workshop, order)
        return _obey(workshop, order, say)
    except VeilsumError as error:
        return Failure(error.code, str(error))
    except Exception as error:
        # The edge of this process. Only the kind is said: a library's words may hold data.
        return Failure(errors.InternalError.code, f"{type(error).__name__} in the site's worker")


def _obey(workshop: Any, order: AnyOrder, say: Say) -> AnyReply:  # noqa: ANN401
    match order:
        case Describe(first_model, records, records_per_unit, models):
            workshop.require_records(records, records_per_unit)
            return Described(workshop.shapes(), workshop.first_model(first_model, Path(models)))
        case Prepare(plan, models):
            workshop.prepare(plan, Path(models))
        case Train(plan, models):
            workshop.train(plan, Path(models))
        case Privatise(plan):
            workshop.privatise(plan)
        case Protect(plan, public_key, mask, folder):
            return Protected(workshop.protect(plan, public_key, mask, Path(folder), say))
        case Share(plan, participant, secrets, folder):
            own = UpdateSecrets(secrets)
            shared = workshop.share(plan, participant, own, Path(folder), say)
            return Split(shared.piece, shared.roots, shared.declared_third)
        case MakeKey(parameters):
            key = workshop.make_key(parameters)
            return Key(key.public, key.secret)
        case CheckKey(parameters, public, secret):
            workshop.check_key(parameters, public, secret)
        case Reveal() | RevealShares():
            return Opened(_open(workshop, order, say))
    return Done()


def _of_products(workshop: Any, order: Keep | Multiply | MeasureSum) -> AnyReply:  # noqa: ANN401
    match order:
        case Keep(sealing):
            workshop.keep(sealing)
            return Done()
        case Multiply(plan, sealing, contributions, released, models):
            at = Path(models)
            product = workshop.multiply(plan, sealing, contributions, released, at)
            return Multiplied(str(product))
        case MeasureSum():
            return _measured(workshop.opened_sum())


def _measured(opened: OpenedSum | None) -> Measured:
    if opened is None:
        raise IllegalEvent("no sum was opened whose plan asks for scores")
    return Measured(str(opened.product), str(opened.squared_step))


def _open(workshop: Any, order: Reveal | RevealShares, say: Say) -> Digest:  # noqa: ANN401
    frozen, models = Frozen(order.cohort, order.sum), Path(order.models)
    model: Digest
    if isinstance(order, RevealShares):
        model = workshop.reveal_shares(order.plan, frozen, order.sums, models, say)
    else:
        given = order.secret, order.masks, Path(order.chunks)
        model = workshop.reveal(order.plan, frozen, *given, models, say)
    return model
