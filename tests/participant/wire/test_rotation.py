"""A certificate is renewed at half of its life, proven before it is kept, and never half kept."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

import grpc
import grpc.aio
import pytest
import structlog.testing
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from participant.config import CoordinatorAddress
from participant.keys import load_keys, load_renewed, make_keys, request_for
from participant.wire import rotation as rotations
from participant.wire.connections import Connections, newest
from participant.wire.tls import SiteCertificate
from privacy.enrolment import Renewal, authority_fingerprint
from privacy.errors import MalformedMessage, NotYet, PeerUnreachable
from tests.loopback import FEDERATION, HOUR, SITE, endpoint, make_federation, new_keys, utc_now
from tests.participant.renewing import Issuing, rotation_of
from veilsum.v1 import joining_pb2, joining_pb2_grpc


@pytest.fixture(scope="module")
def certified():
    authority = make_federation(at=utc_now() - HOUR).authority
    return make_federation(authority=authority)


def connections_to(address, certified, folder, *, at=None, joining=None):
    site = certified.site(new_keys(), at=at)
    given = folder / "certificate.pem"
    given.write_bytes(site.certificate_pem)
    where = CoordinatorAddress(address, folder / "authority.pem", given, (), joining)
    return Connections(where, site)


class Times:
    """A clock that goes on by what is slept, in no time."""

    def __init__(self, monkeypatch, now=None):
        self.now = now or utc_now().timestamp()
        self.slept, self._real = [], asyncio.sleep
        monkeypatch.setattr(rotations, "asyncio", _Asyncio(self.sleep))

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds
        await self._real(0)


class _Asyncio:
    def __init__(self, sleep):
        self.sleep = sleep

    def __getattr__(self, name):
        return getattr(asyncio, name)


async def until(rotation, asked):
    """Run a rotation until it asks for a certificate."""
    running = asyncio.create_task(rotation.run())
    await asked.wait()
    running.cancel()


def asks(key, name):
    """Return a request for a certificate of that name."""
    return request_for(key, FEDERATION, name)


@pytest.mark.parametrize(("chance", "share"), [(b"\0\0\0\0", 0.45), (b"\xff\xff\xff\xff", 0.55)])
async def test_a_certificate_is_renewed_at_half_of_its_life_and_a_tenth_of_that(
    certified, tmp_path, monkeypatch, chance, share
):
    """Members that were enrolled together do not all come back at once."""
    async with endpoint(certified) as address:
        connections = connections_to(address, certified, tmp_path)
        certificate = x509.load_pem_x509_certificate(connections.certificate.certificate_pem)
        begin = certificate.not_valid_before_utc.timestamp()
        life = certificate.not_valid_after_utc.timestamp() - begin
        clock = Times(monkeypatch, begin)
        rotation = rotation_of(connections, Issuing(certified, 60), tmp_path, clock=clock)
        rotation.entropy = lambda length: chance[:length]
        asked = asyncio.Event()

        async def note():
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(rotation, "renew", note)

        await until(rotation, asked)

    assert sum(clock.slept) == pytest.approx(share * life, rel=1e-6)
    assert max(clock.slept) <= 60  # a machine that slept, or whose clock was set, finds out


async def test_each_certificate_has_a_key_of_its_own_and_is_shown_once_it_is_kept(
    certified, tmp_path
):
    async with endpoint(certified) as address:
        connections = connections_to(address, certified, tmp_path)
        channel = connections.channel()
        rotation = rotation_of(connections, Issuing(certified, 60), tmp_path)
        shown = [connections.certificate]
        for _ in range(2):
            await rotation.renew()
            shown.append(connections.certificate)
        await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)
        await channel.close()

    kept = load_renewed(tmp_path / "keys")
    assert len({each.key_pem for each in shown}) == 3
    assert (kept.certificate_pem, kept.key_pem) == (shown[2].certificate_pem, shown[2].key_pem)
    assert (tmp_path / "keys" / "renewed.pem").stat().st_mode & 0o777 == 0o600


async def test_what_no_coordinator_takes_is_neither_kept_nor_shown(
    certified, tmp_path, monkeypatch
):
    """The one before still works; a member that showed this one instead would be shut out."""
    monkeypatch.setattr("participant.wire.connections.PROOF_SECONDS", 1.0)
    async with endpoint(certified) as address:
        connections = connections_to(address, certified, tmp_path)
        before = connections.certificate
        stranger = Issuing(make_federation(), 60)  # of an authority that nobody here knows
        rotation = rotation_of(connections, stranger, tmp_path)

        with pytest.raises(PeerUnreachable, match="no coordinator takes a connection"):
            await rotation.renew()

    assert connections.certificate == before
    assert load_renewed(tmp_path / "keys") is None


async def test_a_certificate_of_another_key_is_refused(certified, tmp_path):
    connections = connections_to("127.0.0.1:1", certified, tmp_path)
    issuing = Issuing(certified, 60)
    issuing.certify = lambda _: certified.site(new_keys()).certificate_pem

    with pytest.raises(MalformedMessage, match="for another key"):
        await rotation_of(connections, issuing, tmp_path).renew()

    assert load_renewed(tmp_path / "keys") is None


async def test_a_certificate_of_another_name_is_refused(certified, tmp_path, monkeypatch):
    """With it, this member would be somebody else."""
    connections = connections_to("127.0.0.1:1", certified, tmp_path)
    issuing = Issuing(certified, 60, name="hospital-b")
    monkeypatch.setattr(rotations, "request_for", lambda key, *_: asks(key, "hospital-b"))

    with pytest.raises(MalformedMessage, match=f"does not name .*{SITE}"):
        await rotation_of(connections, issuing, tmp_path).renew()

    assert load_renewed(tmp_path / "keys") is None


async def test_what_is_no_certificate_is_refused(certified, tmp_path):
    connections = connections_to("127.0.0.1:1", certified, tmp_path)
    issuing = Issuing(certified, 60)
    issuing.certify = lambda _: b""

    with pytest.raises(MalformedMessage, match="no certificate"):
        await rotation_of(connections, issuing, tmp_path).renew()


async def test_a_renewal_that_fails_is_tried_again_and_said_once(certified, tmp_path, monkeypatch):
    """The member works on meanwhile, with the certificate that it has."""
    async with endpoint(certified) as address:
        connections = connections_to(address, certified, tmp_path)
        clock, fails = Times(monkeypatch), [NotYet("its disk is full") for _ in range(3)]
        issuing = Issuing(certified, 60, fails=fails, clock=clock)
        rotation = rotation_of(connections, issuing, tmp_path, clock=clock)

        with structlog.testing.capture_logs() as logs:
            await rotation._renew_at_last()

    said = [each for each in logs if each["event"] == "certificate_not_renewed"]
    assert len(said) == 1
    assert said[0]["reason"] == "its disk is full"
    assert issuing.issued == 1
    assert len(clock.slept) == 3
    assert all(1 <= each <= 300 for each in clock.slept)


# -- after its end ---------------------------------------------------------------------


class Joining(joining_pb2_grpc.JoinServiceServicer):
    """Renews for whoever proves to hold the member's signing key."""

    def __init__(self, certified, issuing):
        root = x509.load_pem_x509_certificate(certified.authority.certificate_pem)
        self.authority = authority_fingerprint(root.public_bytes(Encoding.DER))
        self.issuing, self.asked = issuing, []

    async def RenewEnded(self, request, context):  # noqa: N802
        text = request.certificate_request.decode()
        said = Renewal(self.authority, request.participant, text, request.at_seconds)
        said.check(self.issuing.keys.signing_public, request.proof, utc_now().timestamp())
        self.asked.append(request.participant)
        certificate = self.issuing.certify(request.certificate_request)
        return joining_pb2.RenewEndedResponse(certificate=certificate)


@contextlib.asynccontextmanager
async def joining(certified):
    """Answer where those ask who have no certificate."""
    servicer = Joining(certified, Issuing(certified, 60))
    server = grpc.aio.server()
    joining_pb2_grpc.add_JoinServiceServicer_to_server(servicer, server)
    pair = (certified.server.key_pem, certified.server.certificate_pem)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    yield f"127.0.0.1:{port}", servicer
    await server.stop(None)


async def test_who_was_away_for_longer_than_its_certificate_lived_renews_by_its_signing_key(
    certified, tmp_path
):
    async with endpoint(certified) as address, joining(certified) as (where, servicer):
        ended = utc_now() - 2 * HOUR
        connections = connections_to(address, certified, tmp_path, at=ended, joining=where)
        channel = connections.channel()
        rotation = rotation_of(connections, servicer.issuing, tmp_path)

        await rotation.renew()
        answer = await channel.unary_unary("/test/WhoAmI")(b"", timeout=5)
        await channel.close()

    assert servicer.asked == [SITE]
    assert SITE in answer.decode()


async def test_who_does_not_know_where_to_renew_is_told_what_to_set(certified, tmp_path):
    ended = utc_now() - 2 * HOUR
    connections = connections_to("127.0.0.1:1", certified, tmp_path, at=ended)
    rotation = rotation_of(connections, Issuing(certified, 60), tmp_path)

    with pytest.raises(PeerUnreachable, match=r"coordinator\.joining"):
        await rotation.renew()


# -- what is on the disk -----------------------------------------------------------------


def files_of(folder, certified, keys, *, at=None):
    site = certified.site(keys, at=at)
    (folder / "authority.pem").write_bytes(site.authority_pem)
    (folder / "certificate.pem").write_bytes(site.certificate_pem)
    return CoordinatorAddress("127.0.0.1:1", folder / "authority.pem", folder / "certificate.pem")


async def test_a_member_that_starts_again_shows_what_it_renewed_to(certified, tmp_path):
    keys = make_keys(tmp_path / "keys", os.urandom)
    where = files_of(tmp_path, certified, keys, at=utc_now() - HOUR / 2)
    async with endpoint(certified) as address:
        there = CoordinatorAddress(address, where.authority, where.certificate)
        connections = Connections(there, newest(where, keys))
        await rotation_of(connections, Issuing(certified, 60), tmp_path).renew()

    assert newest(where, load_keys(tmp_path / "keys")) == connections.certificate


async def test_who_was_certified_again_by_hand_shows_that(certified, tmp_path):
    """A new enrolment counts, and not what was renewed before it, whichever lives longer."""
    keys = make_keys(tmp_path / "keys", os.urandom)
    where = files_of(tmp_path, certified, keys, at=utc_now() - HOUR / 2)
    async with endpoint(certified) as address:
        connections = Connections(
            CoordinatorAddress(address, where.authority, where.certificate), newest(where, keys)
        )
        await rotation_of(connections, Issuing(certified, 60), tmp_path).renew()
    files_of(tmp_path, certified, keys, at=utc_now() - HOUR / 4)

    shown = newest(where, load_keys(tmp_path / "keys"))

    assert shown == SiteCertificate(
        where.authority.read_bytes(), where.certificate.read_bytes(), keys.tls_pem
    )


@pytest.mark.parametrize("place", ["rotation.before_write", "rotation.after_write"])
def test_a_kill_during_a_renewal_leaves_one_pair_that_belongs_together(certified, tmp_path, place):
    """The old one before the file is there, and the new one after."""
    folder = tmp_path / "keys"
    make_keys(folder, os.urandom)
    for number in range(3):
        keys = new_keys()
        (tmp_path / f"{number}.pem").write_bytes(keys.tls_pem)
        (tmp_path / f"{number}.crt").write_bytes(certified.site(keys).certificate_pem)
    _keep(folder, tmp_path, 0, "")

    died = _keep(folder, tmp_path, 1, place)

    kept = load_renewed(folder)
    expected = 0 if place.endswith("before_write") else 1
    assert died == -signal.SIGKILL
    assert kept.key_pem == (tmp_path / f"{expected}.pem").read_bytes()
    assert kept.certificate_pem == (tmp_path / f"{expected}.crt").read_bytes()


KEEP = """
import os, signal, sys
from pathlib import Path
from participant.keys import Renewed, keep_renewed

folder, key, certificate, place = sys.argv[1:]

def step(name):
    if name == place:
        os.kill(os.getpid(), signal.SIGKILL)

renewed = Renewed("ab" * 32, Path(certificate).read_bytes(), Path(key).read_bytes())
keep_renewed(Path(folder), renewed, step)
"""


def _keep(folder, files, number, place):
    names = (str(files / f"{number}.pem"), str(files / f"{number}.crt"))
    command = [sys.executable, "-c", KEEP, str(folder), *names, place]
    return subprocess.run(command, check=False, timeout=60).returncode
