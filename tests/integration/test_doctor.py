"""`veilsum doctor` before what hospitals run: what passes TLS on is well, what ends it is named."""

from pathlib import Path

import pytest

from tests.integration import proxies
from tests.processes.federation import Federation, federation
from veilsum.doctor.edges import Edges
from veilsum.doctor.finding import Finding, Level
from veilsum.doctor.run import look_before, target_of

pytestmark = pytest.mark.integration


def look(made: Federation, to: str, proxy: str = "") -> dict[str, Finding]:
    """Return what is found on the way to an address, by check, with the authority known."""
    authority = made.places.coordinator / "authority.pem"
    report = look_before(target_of(to, proxy, authority, 5.0), Edges(environment={}), None)
    return {each.check: each for each in report.findings}


def served(made: Federation) -> str:
    made.start_coordinator()
    made.wait_for_log("coordinator", "serving")
    return f"127.0.0.1:{made.port}"


@pytest.mark.parametrize("kind", [proxies.nginx_stream, proxies.haproxy])
def test_what_passes_tcp_on_is_no_finding(kind, tmp_path: Path) -> None:
    with federation(tmp_path) as made, kind(tmp_path, made.port) as address:
        served(made)

        found = look(made, address)

    assert "proven" in found["identity"].found
    assert [each.check for each in found.values() if each.level is Level.PROBLEM] == []


def test_a_squid_that_opens_tunnels_is_no_finding(tmp_path: Path) -> None:
    with federation(tmp_path) as made, proxies.squid(tmp_path) as proxy:
        found = look(made, served(made), proxy)

    assert "HTTP CONNECT" in found["proxy"].found
    assert "proven" in found["identity"].found


def test_a_squid_that_intercepts_is_named_by_its_issuer_with_both_fixes(tmp_path: Path) -> None:
    with federation(tmp_path) as made, proxies.intercepting_squid(tmp_path) as proxy:
        found = look(made, served(made), proxy)

    assert f"issued by '{proxies.INTERCEPTS}'" in found["tls_intercepted"].found
    assert "A: have" in found["tls_intercepted"].fix
    assert "B: go by" in found["tls_intercepted"].fix


def test_an_nginx_with_grpc_pass_is_named(tmp_path: Path) -> None:
    """It shows the coordinator's own certificate: no handshake tells the two apart."""
    with (
        federation(tmp_path) as made,
        proxies.nginx_grpc_pass(tmp_path, made.port, made.places.coordinator) as address,
    ):
        served(made)

        found = look(made, address)

    assert found["tls_ended"].found.startswith("nginx")
    assert "stream {}" in found["tls_ended"].fix
