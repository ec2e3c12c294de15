"""Ask a process of this machine whether it is healthy: `python -m veilsum.health ADDRESS`.

For what looks after a process and speaks no gRPC: a container engine, a timer, a person. ADDRESS
is its `listen.health`; a second word names the service, `liveness` if there is none. The exit
status is 0 if it is SERVING and 1 if it is not, or does not answer; it says which.
"""

import sys
from collections.abc import Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ANSWER_SECONDS: Final = 5.0
"""How long an answer is waited for."""

LIVENESS: Final = "liveness"

_Status = health_pb2.HealthCheckResponse.ServingStatus
_SERVING: Final = _Status.Name(health_pb2.HealthCheckResponse.SERVING)
# Health is asked for on this machine; a proxy that the environment names is for elsewhere.
_OPTIONS: Final = (("grpc.enable_http_proxy", 0),)


def ask(address: str, service: str = LIVENESS, seconds: float = ANSWER_SECONDS) -> str:
    """Return what the process at `address` says of `service`, or why there is no answer.

    Args:
        address: host:port of its `listen.health`, in plaintext.
        service: `liveness`, `readiness`, `storage`, or empty.
        seconds: how long to wait.
    """
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        asked = health_pb2_grpc.HealthStub(channel).Check.future(
            health_pb2.HealthCheckRequest(service=service), timeout=seconds
        )
        status: grpc.StatusCode = asked.code()
        if status is not grpc.StatusCode.OK:
            return status.name
        said: str = _Status.Name(asked.result().status)
        return said


def main(words: Sequence[str]) -> int:
    """Print what a process says of itself; return the exit status.

    Args:
        words: an address, and at most one service.
    """
    if not 1 <= len(words) <= 2:
        sys.stderr.write("usage: python -m veilsum.health HOST:PORT [SERVICE]\n")
        return 2
    said = ask(words[0], words[1] if len(words) > 1 else LIVENESS)
    sys.stdout.write(f"{said}\n")
    return 0 if said == _SERVING else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
