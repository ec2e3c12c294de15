"""An exchange ends in the time that it was given, whatever drips and wherever."""

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from privacy.errors import ChainUnavailable
from tests.chain.door import KEY, Door, transfer
from tests.chain.dripping import PLACES, dripping, handshaking, reading_slowly
from tests.chain.fake_node import TOKEN
from tests.chain.fake_signer import FakeSigner, over_socket
from tests.loopback import make_federation
from veilsum.chain import exchange
from veilsum.chain.access import SignerAccess
from veilsum.chain.compiled import load
from veilsum.chain.endpoint import connect
from veilsum.chain.exchange import prompt_session
from veilsum.chain.lines import Line
from veilsum.chain.signing import RemoteSigner

GIVEN = 0.3
MOST = 0.8
"""Seconds: what is given, and what a busy machine adds."""

SAID = {"primaryType": "Receipt"}


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """What a server on loopback shows, and the file by which it is known."""
    folder, federation = tmp_path_factory.mktemp("tls"), make_federation()
    for name, pem in (
        ("pair", federation.server.certificate_pem + federation.server.key_pem),
        ("authority", federation.authority.certificate_pem),
    ):
        (folder / name).write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pair")
    return context, folder / "authority"


def seconds_of(ask: Callable[[], object], error: type[Exception]) -> float:
    began = time.monotonic()
    with pytest.raises(error):
        ask()
    return time.monotonic() - began


def asking(url: str) -> Callable[[], object]:
    return lambda: Line(url, GIVEN).make_request("eth_chainId", [])


def signing(url: str, authority: Path | None = None) -> Callable[[], object]:
    signer = RemoteSigner(SignerAccess(url, KEY.address, authority=authority), answer_seconds=GIVEN)
    return lambda: signer.sign_typed_data(full_message=SAID)


@pytest.mark.parametrize("place", PLACES)
def test_an_endpoint_that_drips_is_away_when_its_time_is_over(place: str) -> None:
    """Each byte is in time; a hundred headers of 64 KiB would take a month."""
    with dripping(place) as address:
        spent = seconds_of(asking(f"http://{address}"), requests.RequestException)

    assert spent < MOST


@pytest.mark.parametrize("place", PLACES)
def test_a_signer_that_drips_is_away_when_its_time_is_over(place: str) -> None:
    """What must be signed for the chain has a deadline there."""
    with dripping(place) as address:
        spent = seconds_of(signing(f"http://{address}"), ChainUnavailable)

    assert spent < MOST


@pytest.mark.parametrize("place", ["header", "body"])
def test_one_that_drips_over_tls_has_no_more_time(
    place: str, certified: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of TLS is whole only when its last byte is there."""
    context, authority = certified
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with dripping(place, context) as address:
        spent = [
            seconds_of(asking(f"https://{address}"), requests.RequestException),
            seconds_of(signing(f"https://{address}", authority), ChainUnavailable),
        ]

    assert max(spent) < MOST


def test_one_that_drips_its_handshake_has_no_more_time() -> None:
    """Before it is known who it is."""
    with handshaking() as address:
        spent = [
            seconds_of(asking(f"https://{address}"), requests.RequestException),
            seconds_of(signing(f"https://{address}"), ChainUnavailable),
        ]

    assert max(spent) < MOST


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_one_that_reads_slowly_has_no_more_time(
    certified: tuple[ssl.SSLContext, Path], *, is_tls: bool
) -> None:
    """An answer to a demand is longer than what a socket holds by itself."""
    context, authority = certified
    with reading_slowly(context if is_tls else None) as address, prompt_session() as session:
        session.verify = str(authority)
        url = f"http{'s' * is_tls}://{address}"
        spent = seconds_of(
            lambda: session.post(url, data=bytes(8 << 20), timeout=GIVEN),
            requests.RequestException,
        )

    assert spent < MOST


def test_the_addresses_of_one_host_have_the_time_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs an endpoint also says how many addresses it has."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
        monkeypatch.setattr(exchange.socket, "getaddrinfo", lambda *_, **__: [kind] * 10)
        spent = seconds_of(asking("http://many.example.org"), requests.RequestException)
        for each in waiting:
            each.close()

    assert spent < MOST


def test_a_socket_that_drips_has_no_more_time(tmp_path: Path) -> None:
    """A signer beside this process hangs as well as one far away."""
    signer = FakeSigner(answer={"result": "0x" + "00" * 1000}, drips=0.02)
    with over_socket(signer, tmp_path, answer_seconds=GIVEN) as remote:
        spent = seconds_of(lambda: remote.sign_typed_data(full_message=SAID), ChainUnavailable)

    assert spent < MOST


def test_a_socket_to_which_nobody_answers_has_no_more_time(tmp_path: Path) -> None:
    """Neither to be connected to nor to be read from: once, and not once for each."""
    path = tmp_path / "signer.ipc"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(0)
        spent = seconds_of(signing(f"unix://{path}"), ChainUnavailable)

    assert spent < MOST


def test_a_second_endpoint_that_drips_costs_its_own_time_and_no_more(door: Door) -> None:
    """What is sent is sent by the first."""
    with dripping("header") as address:
        began = time.monotonic()
        endpoint = connect(door.urls[0], second=f"http://{address}", answer_seconds=GIVEN)
        spent = time.monotonic() - began
        began = time.monotonic()
        endpoint.post(KEY, door.journal, "pay", transfer(endpoint, 1))
        posted = time.monotonic() - began

    assert spent < MOST
    assert posted < 4 * MOST
    assert len(door.node.seen) == 1


def test_one_of_two_that_was_away_rests_three_times_as_long(pair: Door) -> None:
    """Whoever has a deadline asks it many things: it may take a quarter of the time, no more."""
    endpoint = pair.endpoint()
    pair.nodes[1].down = True
    with pytest.raises(ChainUnavailable):
        endpoint.final_block()
    spent = pair.time.seconds

    for _ in range(10):
        with pytest.raises(ChainUnavailable):
            endpoint.final_block()

    assert pair.time.seconds == spent > 0
    pair.nodes[1].down = False
    pair.time.seconds += 3 * spent
    assert endpoint.final_block().number == 0


def test_where_all_were_away_each_is_asked_again_at_once(pair: Door) -> None:
    """Nobody else could answer meanwhile."""
    endpoint = pair.endpoint()
    for node in pair.nodes:
        node.down = True
    with pytest.raises(ChainUnavailable):
        endpoint.read(endpoint.at(load("DemoToken"), TOKEN).functions.totalSupply())
    for node in pair.nodes:
        node.down = False

    assert endpoint.final_block().number == 0


def test_a_connection_that_is_kept_serves_the_next_exchange(door: Door) -> None:
    """The end of one is not the end of the other."""
    line = Line(door.urls[0], GIVEN)
    first = line.make_request("eth_chainId", [])
    time.sleep(GIVEN)

    assert line.make_request("eth_chainId", [])["result"] == first["result"]
    pools = line._session.get_adapter(door.urls[0]).poolmanager.pools
    [pool] = [pools.get(name) for name in pools.keys()]  # noqa: SIM118 (it is no dict)
    assert (pool.num_connections, pool.num_requests) == (1, 2)


def test_one_that_answers_is_read_through_a_proxy(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose connections end as those without one do."""
    monkeypatch.setenv("http_proxy", door.urls[0])
    monkeypatch.delenv("no_proxy", raising=False)
    answer = Line("http://node.example.org", GIVEN).make_request("eth_chainId", [])

    assert int(answer["result"], 16) == door.node.chain_id
    with dripping("header") as address:
        monkeypatch.setenv("http_proxy", f"http://{address}")
        spent = seconds_of(asking("http://node.example.org"), requests.RequestException)
    assert spent < MOST


def test_an_endpoint_that_leads_elsewhere_is_not_followed(door: Door) -> None:
    """What it leads to may be anything, and as long as it likes."""
    with dripping("elsewhere") as address:
        spent = seconds_of(asking(f"http://{address}"), requests.TooManyRedirects)

    assert spent < GIVEN
