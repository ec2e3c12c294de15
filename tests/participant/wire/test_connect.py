"""A member's connection to its coordinator, over one address or several."""

from types import SimpleNamespace

import pytest

from participant.config import CoordinatorAddress
from participant.wire.connect import connect
from privacy.errors import PeerUnreachable
from tests import fakes
from tests.coordinator.served import served
from tests.loopback import make_federation

URI = f"spiffe://{fakes.FEDERATION}/participant/{fakes.SITES[0]}"


@pytest.fixture
def certified():
    return make_federation()


def where(folder, certified, address, *alternatives):
    """Return the addresses, and the keys that belong to the certificate beside them."""
    site = certified.forged(URI)
    (folder / "authority.pem").write_bytes(site.authority_pem)
    (folder / "certificate.pem").write_bytes(site.certificate_pem)
    files = (folder / "authority.pem", folder / "certificate.pem")
    keys = SimpleNamespace(tls_pem=site.key_pem, renewed=None)
    return CoordinatorAddress(address, *files, alternatives), keys


async def test_an_alternative_serves_where_the_first_address_does_not(tmp_path, certified):
    service = fakes.Federation().service

    async with served(service, certified) as address:
        coordinator = connect(*where(tmp_path, certified, "127.0.0.1:1", address))
        versions = await coordinator.roster()
        await coordinator.channel.close(None)

    assert [each.roster for each in versions] == [service.roster()]


async def test_where_nobody_serves_each_address_is_explained(tmp_path, certified):
    """The operator sees which of them to mend."""
    coordinator = connect(*where(tmp_path, certified, "127.0.0.1:1", "127.0.0.1:2"))

    with pytest.raises(PeerUnreachable, match=r"refused by 127\.0\.0\.1:1: .*by 127\.0\.0\.1:2: "):
        await coordinator.roster()
    await coordinator.channel.close(None)
