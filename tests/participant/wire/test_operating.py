"""An operator's certificate is renewed by its commands, by one of them at a time."""

import os
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from participant.config import CoordinatorAddress
from participant.keys import load_renewed, make_keys
from participant.wire import operating
from participant.wire.connections import Connections, newest
from participant.wire.rotation import Rotation
from privacy.errors import FolderHeld
from tests.loopback import HOUR, endpoint, make_federation, utc_now
from tests.participant.renewing import Issuing, rotation_of
from veilsum.files import holding


@pytest.fixture(scope="module")
def certified():
    authority = make_federation(at=utc_now() - 2 * HOUR).authority
    return make_federation(authority=authority)


@pytest.fixture
def home(tmp_path, certified):
    """An operator's folder, with its keys and the certificate that it was given, and its life."""
    keys = make_keys(tmp_path / "keys", os.urandom)

    def given(address, ago=timedelta(minutes=45)):
        files = (tmp_path / "authority.pem", tmp_path / "certificate.pem")
        if not files[1].exists():
            site = certified.site(keys, at=utc_now() - ago)
            files[0].write_bytes(site.authority_pem)
            files[1].write_bytes(site.certificate_pem)
        where = CoordinatorAddress(address, *files, (), None)
        return Connections(where, newest(where, keys))

    return tmp_path, keys, given


def command(home, connections, certified) -> tuple[Rotation, Issuing]:
    """What one command of the operator's renews with, at an authority that counts."""
    folder, keys, _ = home
    issuing = Issuing(certified, 3600, keys)
    return rotation_of(connections, issuing, folder), issuing


async def test_a_command_after_half_of_a_certificates_life_renews_it(home, certified):
    """The positive control of those below."""
    async with endpoint(certified) as address:
        rotation, issuing = command(home, home[2](address), certified)

        await operating._renew(rotation)

    assert issuing.issued == 1
    assert load_renewed(home[0] / "keys").certificate_pem == shown(rotation)
    with holding(home[0]):
        pass  # the next command holds it


async def test_what_another_command_has_renewed_meanwhile_is_shown_and_not_renewed_again(
    home, certified
):
    """Two that were started together: the second one waits for nobody, and asks for nothing."""
    async with endpoint(certified) as address:
        first, issued_first = command(home, home[2](address), certified)
        second, issued_second = command(home, home[2](address), certified)
        await operating._renew(first)

        await operating._renew(second)

    assert (issued_first.issued, issued_second.issued) == (1, 0)
    assert shown(second) == shown(first)


async def test_a_command_goes_on_with_its_certificate_while_another_one_renews(home, certified):
    async with endpoint(certified) as address:
        rotation, issuing = command(home, home[2](address), certified)
        before = shown(rotation)

        with holding(home[0]), capture_logs() as logged:
            await operating._renew(rotation)

    assert issuing.issued == 0
    assert shown(rotation) == before
    assert [each["code"] for each in logged] == ["folder_held"]


async def test_a_command_whose_certificate_has_ended_says_that_another_one_renews(home, certified):
    """It could do nothing with the one that it has."""
    async with endpoint(certified) as address:
        connections = home[2](address, ago=timedelta(minutes=90))
        rotation, issuing = command(home, connections, certified)

        with holding(home[0]), pytest.raises(FolderHeld):
            await operating._renew(rotation)

    assert issuing.issued == 0


def shown(rotation):
    return rotation.connections.certificate.certificate_pem
