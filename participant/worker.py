"""The worker process of a site, and the agent's end of the pipe to it.

Training and encryption run in a process of their own, spawned and never forked
(gRPC has threads), so that the agent needs none of their libraries and outlives
whatever happens in them. What crosses the pipe is MessagePack of known types,
between two processes of one site; an update never does.
"""

import asyncio
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from privacy import errors
from privacy.errors import ConfigError, PeerUnreachable, VeilsumError
from privacy.plan import Plan, pack
from privacy.records import Cohort, Piece, Sum
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.vectors import Shapes

from .reveal import Frozen

Main = Callable[[Connection, str], None]
"""What a worker process runs: serve on the connection, for the site of that name."""

Result = TypeVar("Result")


class Order(msgspec.Struct, frozen=True, tag=True):
    """Something the agent asks the worker to do."""


class Describe(Order, frozen=True):
    """Say the shapes of the model, and make the first one from a public text.

    Refused where the data has more units, or a unit more rows, than the site's file says.
    """

    first_model: str
    records: int
    records_per_unit: int


class Train(Order, frozen=True):
    """Train from a model; keep the update."""

    plan: bytes
    model: bytes


class Privatise(Order, frozen=True):
    """Clip the update and put it on the grid; keep it."""

    plan: bytes


class Protect(Order, frozen=True):
    """Write the protected update to a folder, and forget it."""

    plan: bytes
    public_key: bytes
    folder: str


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
    """Open a sum."""

    plan: bytes
    cohort: Cohort
    sum: Sum
    secret: bytes
    chunks: tuple[bytes, ...]

    def __repr__(self) -> str:
        return "Reveal(…)"


AnyOrder = Describe | Train | Privatise | Protect | MakeKey | CheckKey | Reveal


class Failure(msgspec.Struct, frozen=True, tag=True):
    """What went wrong in the worker: an error's code and words."""

    code: str
    message: str


class Described(msgspec.Struct, frozen=True, tag=True):
    """The shapes of the site's model, and the first model."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    first_model: bytes


class Key(msgspec.Struct, frozen=True, tag=True):
    """A cohort key pair, on its way to be sealed."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return "Key(…)"


class Opened(msgspec.Struct, frozen=True, tag=True):
    """An opened sum: little-endian int64."""

    total: bytes


class Protected(msgspec.Struct, frozen=True, tag=True):
    """What the protected chunks hash to."""

    piece: Piece


class Done(msgspec.Struct, frozen=True, tag=True):
    """It is done."""


AnyReply = Failure | Described | Key | Opened | Protected | Done


class Worker:
    """The agent's end: one worker, one order at a time; a dead worker is started again."""

    def __init__(self, main: Main, site: str) -> None:
        self._main = main
        self._site = site
        self._lock = asyncio.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    async def describe(
        self, first_model: str, records: int, records_per_unit: int
    ) -> tuple[Shapes, NDArray[np.float64]]:
        """Return the shapes of the site's model, and the first model.

        Raises:
            ConfigError: the data has more units, or a unit more rows, than said.
        """
        order = Describe(first_model, records, records_per_unit)
        reply = await self._ask(order, Described)
        return reply.shapes, np.frombuffer(reply.first_model, "<f8").copy()

    async def train(self, plan: Plan, model: NDArray[np.float64]) -> None:
        """Train; the update stays in the worker."""
        await self._ask(Train(pack(plan), model.astype("<f8").tobytes()), Done)

    async def privatise(self, plan: Plan) -> None:
        """Privatise the update; it stays in the worker."""
        await self._ask(Privatise(pack(plan)), Done)

    async def protect(self, plan: Plan, public_key: bytes, folder: str) -> Piece:
        """Write the protected update to a folder of the outbox."""
        return (await self._ask(Protect(pack(plan), public_key, folder), Protected)).piece

    async def make_key(self, parameters: CkksParameters) -> Key:
        """Make a cohort key."""
        return await self._ask(MakeKey(parameters), Key)

    async def check_key(self, parameters: CkksParameters, public: bytes, secret: bytes) -> None:
        """Check a cohort key."""
        await self._ask(CheckKey(parameters, public, secret), Done)

    async def reveal(
        self, plan: Plan, frozen: Frozen, secret: bytes, chunks: tuple[bytes, ...]
    ) -> NDArray[np.int64]:
        """Open a sum."""
        order = Reveal(pack(plan), frozen.cohort, frozen.sum, secret, chunks)
        return np.frombuffer((await self._ask(order, Opened)).total, "<i8").copy()

    def stop(self) -> None:
        """End the worker process."""
        if self._process is not None and self._pipe is not None:
            self._pipe.close()
            self._process.terminate()
            self._process.join(5)
            self._process = self._pipe = None

    async def _ask(self, order: AnyOrder, kind: type[Result]) -> Result:
        async with self._lock:
            try:
                answer = await asyncio.to_thread(self._exchange, msgspec.msgpack.encode(order))
            except (EOFError, OSError):
                self.stop()
                raise PeerUnreachable(
                    "this site's worker process died; it is started again with the next order"
                ) from None
        reply: Any = msgspec.msgpack.decode(answer, type=AnyReply)
        if isinstance(reply, Failure):
            raise error_of(reply.code, reply.message)
        assert isinstance(reply, kind)  # both ends of the pipe are this file's
        return reply

    def _exchange(self, order: bytes) -> bytes:
        if self._pipe is None:
            self._start()
        assert self._pipe is not None  # _start has just made it
        self._pipe.send_bytes(order)
        return self._pipe.recv_bytes()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._main, args=(theirs, self._site), daemon=True)
        self._process.start()
        theirs.close()


def serve(connection: Connection, site_name: str) -> None:
    """Run the worker of a site until the agent closes the pipe."""

    def make() -> Any:  # noqa: ANN401
        from .site import load_site  # noqa: PLC0415  the agent imports this file without torch
        from .workshop import Workshop  # noqa: PLC0415

        return Workshop(load_site(site_name), os.urandom)

    serve_workshop(connection, make)


def serve_workshop(connection: Connection, make_workshop: Callable[[], Any]) -> None:
    """Answer orders with the workshop that `make_workshop` makes, until the pipe closes.

    Heavy imports belong into `make_workshop`: an agent that dies meanwhile is noticed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent decides when it ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the update
    _die_with_parent()
    workshop, problem = None, ""
    try:
        workshop = make_workshop()
    except VeilsumError as error:
        problem = str(error)
    while True:
        try:
            order = msgspec.msgpack.decode(connection.recv_bytes(), type=AnyOrder)
        except (EOFError, OSError):
            return
        reply = Failure(ConfigError.code, problem) if problem else _answer(workshop, order)
        connection.send_bytes(msgspec.msgpack.encode(reply))


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


def _answer(workshop: Any, order: AnyOrder) -> AnyReply:  # noqa: ANN401
    try:
        return _obey(workshop, order)
    except VeilsumError as error:
        return Failure(error.code, str(error))
    except Exception as error:
        # The edge of this process. Only the kind is said: a library's words may hold data.
        return Failure(errors.InternalError.code, f"{type(error).__name__} in the site's worker")


def _obey(workshop: Any, order: AnyOrder) -> AnyReply:  # noqa: ANN401
    match order:
        case Describe(first_model, records, records_per_unit):
            workshop.require_records(records, records_per_unit)
            return Described(workshop.shapes(), workshop.first_model(first_model).tobytes())
        case Train(plan, model):
            workshop.train(plan, model)
        case Privatise(plan):
            workshop.privatise(plan)
        case Protect(plan, public_key, folder):
            return Protected(workshop.protect(plan, public_key, folder))
        case MakeKey(parameters):
            key = workshop.make_key(parameters)
            return Key(key.public, key.secret)
        case CheckKey(parameters, public, secret):
            workshop.check_key(parameters, public, secret)
        case Reveal(plan, cohort, total, secret, chunks):
            opened = workshop.reveal(plan, Frozen(cohort, total), secret, chunks)
            return Opened(opened.astype("<i8").tobytes())
    return Done()


def _die_with_parent() -> None:
    agent = multiprocessing.parent_process()
    if agent is None:
        return

    def watch() -> None:
        agent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
