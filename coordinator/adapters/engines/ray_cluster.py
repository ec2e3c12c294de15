"""The door to Ray: a process that hands tasks to a cluster, and what its workers do with them.

It is a child of the cluster's driver, for one fold. Ray makes the process that connects to a
cluster a member of it: it unpickles what workers made, calls what the cluster names as a hook
and writes its log where the cluster says. So whoever gets into the cluster runs code in it, and
it has the account of the cluster, which has no key of the federation and no database.
"""

import os
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from coordinator.adapters.objects.place import Place, decode_place
from coordinator.config import DriverSettings
from coordinator.fold.addition import add_chunk
from privacy.errors import ConfigError, FoldInterrupted, NotYet, ProtocolError, VeilsumError

from .children import begin
from .cluster_access import ClusterAccess, check_cluster, environment
from .cluster_line import Line
from .cluster_words import (
    LONGEST,
    LONGEST_TASK,
    MOST_TASKS,
    Done,
    Failed,
    Room,
    decode_answer,
    decode_begin,
    decode_task,
    encode_answer,
    failed,
    installed,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_SECONDS: Final = 0.05
_FIRST_SECONDS: Final = 30.0
_QUIET_SECONDS: Final = 5.0


def drive(connection: socket.socket, parent: int, settings: DriverSettings) -> None:
    """Do what a coordinator asks for on a cluster, until it asks for nothing more.

    The first answer says how many tasks there may be at once; then there is one for each.
    """
    begin(parent)
    _be_quiet()
    coordinator = Line(connection, LONGEST_TASK)
    access = ClusterAccess(settings.address, settings.token, settings.tls)
    try:
        place = _agreed(coordinator, settings)
        ray = _connected(access)
        coordinator.send(encode_answer(Room(_room(ray.nodes(), access))))
        _work(ray, coordinator, access, place)
    except EOFError:
        pass  # the fold is over
    except VeilsumError as error:
        coordinator.send(failed(str(error)))
    except Exception as error:  # the edge of a process
        coordinator.send(failed(f"the cluster at {access.address} failed: {_said(error)}"))


def add(version: str, place: bytes, task: bytes) -> bytes:
    """Add one chunk, on whatever machine of the cluster this is; return an answer.

    All that crosses is JSON: names, roots and parameters. Ciphertexts go from the object store
    to this process, and from it to the object store.
    """
    host = socket.gethostname()
    if version != installed():
        return failed(f"{host} has veilsum {installed()}, {_other(version)}")
    asked = decode_task(task)
    try:
        return encode_answer(Done(add_chunk(asked, decode_place(place).open()).chunk))
    except (ProtocolError, NotYet) as error:
        return refused(asked.chunk, f"{host}: {error}")
    except VeilsumError as error:
        return failed(f"{host}: {error}")


def _agreed(coordinator: Line, settings: DriverSettings) -> Place:
    """Return where the objects are.

    Raises:
        ConfigError: the coordinator is of another version.
    """
    body = coordinator.receive(_FIRST_SECONDS)
    if body is None:
        raise EOFError
    begun = decode_begin(body)
    if begun.version != installed():
        raise ConfigError(f"the cluster has veilsum {installed()}, {_other(begun.version)}")
    return Place(begun.objects, settings.s3)


def _other(version: str) -> str:
    return f"the coordinator has {version}; install the same version on every machine"


def _be_quiet() -> None:
    # Ray writes to the terminal, in its own words; what went wrong is in an answer.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _connected(access: ClusterAccess) -> Any:  # noqa: ANN401  a module
    check_cluster(access)
    os.environ.pop("RAY_AUTH_TOKEN", None)  # it would come before the file's
    os.environ.update(environment(access))
    import ray  # noqa: PLC0415  reads its environment while it is imported, and takes a second

    ray.init(access.address, configure_logging=False, log_to_driver=False)
    return ray


def _room(nodes: "Sequence[dict[str, Any]]", access: ClusterAccess) -> int:
    """Return how many tasks a cluster takes at once.

    Raises:
        ConfigError: its machines would send the token in the clear.
        FoldInterrupted: it has no processor that adds.
    """
    alive = [node for node in nodes if node["Alive"]]
    if access.tls is None and len({node["NodeManagerAddress"] for node in alive}) > 1:
        raise ConfigError(
            f"address: the cluster at {access.address} has several machines, and its token would "
            "cross between them in the clear; set tls, and start it with RAY_USE_TLS=1"
        )
    processors = int(sum(node["Resources"].get("CPU", 0) for node in alive))
    if processors < 1:
        raise FoldInterrupted(f"the cluster at {access.address} has no processors now")
    return min(2 * processors, MOST_TASKS)


def _work(ray: Any, coordinator: Line, access: ClusterAccess, place: Place) -> None:  # noqa: ANN401
    # No second try by Ray: it would try again for ever where memory is short, and tell nobody.
    remote = ray.remote(num_cpus=1, max_retries=0)(add)
    where, version = place.encode(), installed()
    running: list[Any] = []
    ask_again = time.monotonic() + _QUIET_SECONDS
    while True:
        while (task := coordinator.receive(0 if running else _LOOK_SECONDS)) is not None:
            running.append(remote.remote(version, where, task))
        done, running = ray.wait(running, num_returns=1, timeout=_LOOK_SECONDS)
        for each in done:
            coordinator.send(_answer(ray, each))
        if done:
            ask_again = time.monotonic() + _QUIET_SECONDS
        elif time.monotonic() >= ask_again:
            # Ray waits a minute for a head that has gone.
            check_cluster(access)
            ask_again = time.monotonic() + _QUIET_SECONDS


def _answer(ray: Any, made: Any) -> bytes:  # noqa: ANN401
    try:
        body = ray.get(made)
    except ray.exceptions.RayError as error:
        return failed(f"a worker of the cluster failed ({_said(error)})")
    if not isinstance(body, bytes) or len(body) > LONGEST:
        return failed("a worker of the cluster has answered with what is no answer")
    if isinstance(answer := decode_answer(body), Room):
        return encode_answer(Failed("a worker of the cluster has answered with a number of tasks"))
    return encode_answer(answer)


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[-1][:200]}"
