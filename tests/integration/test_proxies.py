"""What hospitals put between: proxies that pass TLS on work, and those that end it are named."""

from pathlib import Path

import pytest

from participant.config import read
from participant.keys import load_keys
from participant.wire.connect import connect
from participant.wire.unreachable import issuer_at, server_at
from privacy.errors import PeerUnreachable
from tests.integration import proxies
from tests.processes.federation import Federation, federation

pytestmark = pytest.mark.integration


def reach(made: Federation, name: str, *, address: str = "", proxy: str = "") -> None:
    """Write a site's file again, so that it reaches its coordinator on another way."""
    path = made.places.site(name) / "site.toml"
    straight = f'address = "127.0.0.1:{made.port}"'
    other = f'address = "{address}"' if address else straight
    text = path.read_text().replace(straight, f'{other}\nproxy = "{proxy}"' if proxy else other)
    path.write_text(text)


def check_round(made: Federation) -> None:
    """Run the programme to its end, and see that the round was one of all sites."""
    made.run_to_the_end()
    assert made.cohort(1) == made.sites
    assert made.difference(1) == {0}


@pytest.mark.parametrize("kind", [proxies.nginx_stream, proxies.haproxy])
def test_a_proxy_that_passes_tcp_on_carries_a_whole_round(kind, tmp_path: Path) -> None:
    with federation(tmp_path, quorum=3) as made, kind(tmp_path, made.port) as address:
        for name in made.sites:
            reach(made, name, address=address)

        check_round(made)


def test_squid_carries_a_whole_round_by_connect_where_the_site_names_it(tmp_path: Path) -> None:
    """Only what site.toml says: one site goes through it, and the others do not."""
    with federation(tmp_path, quorum=3) as made, proxies.squid(tmp_path) as proxy:
        reach(made, "site-a", proxy=proxy)

        check_round(made)

    carried = (tmp_path / "access.log").read_text()
    assert f"CONNECT 127.0.0.1:{made.port}" in carried
    assert "GET" not in carried


async def refused(made: Federation) -> str:
    """Return why a site has no connection."""
    home = made.places.site("site-a")
    coordinator = connect(read(home / "site.toml").coordinator, load_keys(home / "keys"))
    try:
        with pytest.raises(PeerUnreachable) as found:
            await coordinator.roster()
    finally:
        await coordinator.close()
    return str(found.value)


async def test_a_squid_that_intercepts_tls_is_refused_and_its_authority_named(
    tmp_path: Path,
) -> None:
    """No setting makes a site accept it: what it would see is the site's, unprotected."""
    with (
        federation(tmp_path) as made,
        proxies.intercepting_squid(tmp_path) as proxy,
    ):
        made.start_coordinator()
        made.wait_for_log("coordinator", "serving")
        reach(made, "site-a", proxy=proxy)

        why = await refused(made)

        assert "intercepts TLS" in why
        assert f"but from CN={proxies.INTERCEPTS}" in why
        assert issuer_at(f"127.0.0.1:{made.port}", proxy) == f"CN={proxies.INTERCEPTS}"


async def test_an_nginx_that_ends_tls_by_grpc_pass_is_refused_and_named(tmp_path: Path) -> None:
    """Even where its operator gave it the coordinator's own certificate and key."""
    with (
        federation(tmp_path) as made,
        proxies.nginx_grpc_pass(tmp_path, made.port, made.places.coordinator) as address,
    ):
        made.start_coordinator()
        made.wait_for_log("coordinator", "serving")
        reach(made, "site-a", address=address)
        authority = (made.places.coordinator / "authority.pem").read_bytes()

        why = await refused(made)

        assert f"{address} is nginx" in why
        assert "ends TLS itself" in why
        assert str(server_at(address, authority)).startswith("nginx")
        assert server_at(f"127.0.0.1:{made.port}", authority) is None
