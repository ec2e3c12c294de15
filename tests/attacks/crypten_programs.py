"""CrypTen as shipped, under attack by one of its own parties: what that party ends up with.

Each program runs as a process of its own, whose launcher forks the parties, and prints one JSON
list, a party an entry. Controls only.
"""

import json
import socket
import subprocess
import sys
from typing import Any

from privacy.crypten_door import import_crypten
from tests.attacks.crypten_parties import INPUT
from tests.privacy.mpc.sockets import listening
from tests.source_tree import ROOT


def run(program: str) -> list[Any]:
    """What each party of a program returns."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def recorded(owner: Any, name: str) -> list[Any]:
    """What a function of this party's own returns from now on, as it does."""
    results: list[Any] = []
    function = getattr(owner, name)

    def recording(*arguments: Any, **named: Any) -> Any:
        result = function(*arguments, **named)
        results.append(result.clone() if hasattr(result, "clone") else result)
        return result

    setattr(owner, name, recording)
    return results


def first_party() -> list[int] | None:
    """Party 0 multiplies with party 1's input, and reads its own memory."""
    crypten = import_crypten()
    torch, communicator = crypten.torch, crypten.communicator.get()
    drawn = recorded(crypten.mpc.provider.tfp_provider, "generate_random_ring_element")
    opened = recorded(communicator, "all_reduce")
    tensors = crypten.mpc.primitives.ArithmeticSharedTensor
    secret = torch.tensor(INPUT) if communicator.get_rank() == 1 else torch.zeros(len(INPUT)).long()
    one = tensors(torch.ones(len(INPUT)).long(), precision=0, src=0)

    one.mul(tensors(secret, precision=0, src=1))

    if communicator.get_rank() != 0:
        return None
    _, second = drawn
    found: list[int] = (opened[0][1] + second).tolist()
    return found


def replicated() -> list[list[int]]:
    """Three parties multiply party 1's input with itself, and the square with another."""
    crypten = import_crypten()
    torch, communicator = crypten.torch, crypten.communicator.get()
    rooms: list[Any] = []
    receive = communicator.irecv

    def receiving(tensor: Any, src: int | None = None) -> Any:
        rooms.append(tensor)
        return receive(tensor, src)

    communicator.irecv = receiving
    tensors = crypten.mpc.primitives.ArithmeticSharedTensor
    secret = torch.tensor(INPUT) if communicator.get_rank() == 1 else torch.zeros(len(INPUT)).long()
    with crypten.cfg.temp_override({"mpc.protocol": "replicated"}):
        hidden = tensors(secret, precision=0, src=1)
        hidden.mul(hidden).mul(tensors(torch.ones(len(INPUT)).long(), precision=0, src=2))

    # Both factors are handed on before each product; the first of the second is the square.
    return [hidden.share.tolist(), rooms[0].tolist(), rooms[2].tolist()]


def transport() -> dict[str, Any]:
    """Two parties start; party 0 sends party 1 an object, and anybody connects."""
    crypten = import_crypten()
    communicator = crypten.communicator.get()
    ports = sorted(listening())
    arrived = []
    load = crypten.common.serial.restricted_loads

    def loading(body: bytes) -> Any:
        arrived.append(body)
        return load(body)

    crypten.common.serial.restricted_loads = loading
    sent = {"weights": [1, 2], "note": "no tensor"}
    if communicator.get_rank() == 0:
        communicator.send_obj(sent, 1)
        received = None
    else:
        received = communicator.recv_obj(0)
    greeted = []
    for host, port in ports:
        with socket.create_connection((host, port), timeout=5) as stranger:
            greeted.append(stranger.sendall(b"hello") is None)
    communicator.barrier()
    return {
        "ports": ports,
        "connected": greeted,
        "received": received,
        "bytes": [body.hex() for body in arrived],
    }


_PROGRAMS = {"first_party": (first_party, 2), "replicated": (replicated, 3)}
_PROGRAMS["transport"] = (transport, 2)  # type: ignore[assignment]


if __name__ == "__main__":
    function, parties = _PROGRAMS[sys.argv[1]]
    print(json.dumps(import_crypten().mpc.run_multiprocess(world_size=parties)(function)()))
