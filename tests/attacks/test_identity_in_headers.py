"""A member that says it is somebody else, in every way but by a certificate.

Proxies hand names on in headers, and servers that trust them are taken over by whoever reaches
them directly. Here no mode does: the only name is that of the certificate. The control is a
coordinator that does trust one, which the same attack takes over.
"""

import ast
from pathlib import Path

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from coordinator.wire import interceptors
from coordinator.wire.authorise import required_callers
from coordinator.wire.certified import Certified, certified
from privacy.identifiers import parse_uri
from tests.coordinator.every_method import (
    FILES,
    METHODS,
    BrokenOffice,
    BrokenService,
    outcome,
    uri_of,
)
from tests.coordinator.seated_round import make_settings
from tests.coordinator.served import channel_of, served
from tests.loopback import make_federation
from veilsum.v1 import options_pb2 as options

ATTACKER = "hospital-e"
"""A member that trains nothing: what is for all members, it may call."""

VICTIMS = ("hospital-a", "auditor", "seat-a", "operator")
"""With the roles of these four, every method is open."""

OWN = {options.CALLER_CERTIFIED, options.CALLER_MEMBER}


def claims(name):
    """Return headers in which proxies, meshes and gateways hand on who somebody is."""
    uri = uri_of(name)
    return (
        ("x-forwarded-client-cert", f'By=x;Hash=00;Subject="CN={name}";URI={uri}'),
        ("x-client-cert", uri),
        ("x-ssl-client-s-dn", f"CN={name}"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("ssl-client-subject-dn", f"CN={name}"),
        ("x-spiffe-id", uri),
        ("x-peer-uri", uri),
        ("peer_uri", uri),
        ("x509_common_name", name),
        ("x-forwarded-user", name),
        ("x-remote-user", name),
        ("x-forwarded-for", "127.0.0.1"),
        ("authorization", f"Bearer {name}"),
        ("participant", name),
        ("role", "operator"),
        ("veilsum-participant", name),
        ("veilsum-identity", uri),
        ("veilsum-role", "operator"),
    )


class Claiming:
    """A channel that adds headers to each call."""

    def __init__(self, channel, headers):
        self._channel, self._headers = channel, headers

    def __getattr__(self, kind):
        def method(path):
            call = getattr(self._channel, kind)(path)
            return lambda request, **options: call(request, metadata=self._headers, **options)

        return method


@pytest.fixture(scope="module")
def federation():
    return make_federation()


async def let_in(federation, headers):
    """Return the methods that let the attacker in, with these headers, and whom they saw."""
    service = BrokenService()
    with capture_logs() as log:
        async with (
            served(service, federation, make_settings(), office=BrokenOffice()) as address,
            channel_of(address, federation, uri_of(ATTACKER)) as channel,
        ):
            claiming = Claiming(channel, headers)
            found = {path: await outcome(claiming, path) for path in METHODS}
    denied = grpc.StatusCode.PERMISSION_DENIED
    seen = {line["participant"] for line in log if "participant" in line}
    return {path for path, (status, _) in found.items() if status is not denied}, seen


@pytest.mark.parametrize("victim", VICTIMS)
async def test_no_header_makes_anybody_of_a_member(federation, victim):
    """Each method lets in whom the certificate names, with its role, and nobody else."""
    declared = required_callers(FILES)

    found, seen = await let_in(federation, claims(victim))

    assert found == {path for path in METHODS if OWN & declared[path]}
    assert seen == {ATTACKER}


async def test_the_same_headers_take_over_a_coordinator_that_trusts_them(federation, monkeypatch):
    """The control: they arrive, and name a member whose role opens what was shut."""

    def trusting(context):
        said = dict(context.invocation_metadata())["x-spiffe-id"]
        by_certificate = certified(context)
        return Certified(parse_uri(said), by_certificate.begins_at, by_certificate.ends_at)

    monkeypatch.setattr(interceptors, "certified", trusting)

    found = [await let_in(federation, claims(victim)) for victim in VICTIMS]

    assert set().union(*(methods for methods, _ in found)) == METHODS.keys()


async def test_an_attacker_is_not_seen_as_somebody_else(federation):
    """What an operator reads of who has called is the certificates', too."""
    service = BrokenService()
    with capture_logs():
        async with (
            served(service, federation, make_settings(), office=BrokenOffice()) as address,
            channel_of(address, federation, uri_of(ATTACKER)) as channel,
        ):
            await outcome(Claiming(channel, claims("operator")), "/veilsum.v1.RoundService/GetPlan")

    assert service.seen.of(ATTACKER)
    assert service.seen.of("operator") is None


def test_the_coordinator_reads_one_header_and_no_name_in_it():
    """Whoever reads another one must come by here: it says which release somebody runs."""
    readers = [
        (path.name, function.name)
        for path in Path("coordinator").rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        and "invocation_metadata" in ast.unparse(function)
    ]

    assert readers == [("interceptors.py", "_meet")]
