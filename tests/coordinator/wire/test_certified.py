"""What is read of a connection's certificate."""

import pytest
from cryptography import x509

from coordinator.wire.certified import certified
from privacy.errors import WrongIdentity
from tests.loopback import SITE_URI, make_federation


class Connection:
    """Says of itself what TLS would."""

    def __init__(self, uri, *pems):
        self.properties = {"peer_uri": [uri.encode()], "x509_pem_cert": list(pems)}

    def auth_context(self):
        return {name: values for name, values in self.properties.items() if values}


@pytest.fixture(scope="module")
def pem():
    return make_federation().forged(SITE_URI).certificate_pem


def test_a_caller_has_the_name_and_the_times_of_its_certificate(pem):
    read = x509.load_pem_x509_certificate(pem)

    found = certified(Connection(SITE_URI, pem))

    assert found.peer.id == "hospital-a"
    assert found.begins_at == read.not_valid_before_utc.timestamp()
    assert found.ends_at == read.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("count", [0, 2])
def test_without_exactly_one_certificate_nobody_is_named(pem, count):
    """A name alone has no end and could not be shut out."""
    with pytest.raises(WrongIdentity, match=f"{count} certificates"):
        certified(Connection(SITE_URI, *[pem] * count))


def test_a_certificate_that_cannot_be_read_names_nobody():
    with pytest.raises(WrongIdentity, match="cannot read"):
        certified(Connection(SITE_URI, b"-----BEGIN CERTIFICATE-----\nAAAA\n"))
