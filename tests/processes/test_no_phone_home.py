"""A federation's processes connect to their coordinator, and to nobody else."""

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.missing_tools import require_tool
from tests.processes.federation import Federation, federation

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SITES = ("site-a", "site-b")
CONNECT = re.compile(
    r"sa_family=AF_INET6?, sin6?_port=htons\((\d+)\).*?"
    r'(?:inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)")'
)
Place = tuple[str, int]


def places(text: str) -> set[Place]:
    """Every address of the network that a process tried to reach."""
    return {(a or b.removeprefix("::ffff:"), int(port)) for port, a, b in CONNECT.findall(text)}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Federation, Path]]:
    """One round, in which every process and its children run under strace."""
    strace = require_tool("strace", "strace")
    folder = tmp_path_factory.mktemp("quiet")
    said, wrapped = folder / "said", folder / "python"
    said.mkdir()
    # As a grandchild, so that the process keeps the parent that it looks for.
    tracer = f"{strace} -D -f -ff -qq -e trace=connect,sendto,sendmsg,sendmmsg -s 0"
    wrapped.write_text(
        f'#!/bin/sh\nexec {tracer} -o "{said}/$$" {shlex.quote(sys.executable)} "$@"\n'
    )
    wrapped.chmod(0o700)
    with (
        federation(folder / "run", SITES, openers=SITES) as made,
        pytest.MonkeyPatch.context() as m,
    ):
        m.setattr(sys, "executable", str(wrapped))
        made.start_coordinator()
        for name in SITES:
            made.start_site(name, witnessed=False)
        made.wait_for_end()
        made.family.stop()
        yield made, said


def test_the_round_was_a_whole_one(traced: tuple[Federation, Path]) -> None:
    """A federation that does nothing reaches nobody, either."""
    assert set(traced[0].cohort(1)) == set(SITES)


def test_nobody_but_the_coordinator_is_reached(traced: tuple[Federation, Path]) -> None:
    """No update check, no statistics, no name server: not once, not by any child."""
    made, said = traced

    reached = {place for path in said.iterdir() for place in places(path.read_text())}

    # Port 0 or none: the kernel is asked which address this machine would use; nothing is sent.
    assert {(host, port) for host, port in reached if port} == {("127.0.0.1", made.port)}


def test_what_is_written_down_is_understood() -> None:
    """The control: lines as strace writes them, of both families and of a datagram."""
    text = (
        "connect(7, {sa_family=AF_INET, sin_port=htons(443), "
        'sin_addr=inet_addr("192.0.2.7")}, 16)\n'
        "connect(7, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::7", &sin6_addr), sin6_scope_id=0}, 28)\n'
        'sendto(7, ""..., 40, 0, {sa_family=AF_INET, sin_port=htons(53), '
        'sin_addr=inet_addr("192.0.2.8")}, 16)\n'
        'connect(7, {sa_family=AF_UNIX, sun_path="/run/x"}, 110)\n'
    )

    assert places(text) == {("192.0.2.7", 443), ("2001:db8::7", 53), ("192.0.2.8", 53)}
