"""What may stand at the end of a chain: an authority below which there is no other."""

from datetime import UTC, datetime, timedelta

import pytest

from coordinator.adapters.authority import make_authority, make_issuing, make_root
from privacy.anchor import check_anchor
from privacy.errors import ConfigError

NOW, LIFE = datetime.now(UTC), timedelta(days=1)
ROOT = make_root("oncology", now=NOW, life=LIFE)
ISSUING = make_issuing(ROOT, now=NOW, life=LIFE)
ALONE = make_authority("oncology", now=NOW, life=LIFE)


@pytest.mark.parametrize(
    "pem",
    [
        ISSUING.certificate_pem,
        ALONE.certificate_pem,
        ISSUING.certificate_pem + ALONE.certificate_pem,
    ],
    ids=["what issues", "a root that issues by itself", "the one before and the one after"],
)
def test_what_issues_and_makes_no_authority_is_an_anchor(pem):
    check_anchor(pem, "listen.authority")


@pytest.mark.parametrize(
    "pem",
    [ROOT.certificate_pem, ISSUING.certificate_pem + ROOT.certificate_pem],
    ids=["a root", "a root behind what issues"],
)
def test_a_root_above_others_is_none_wherever_it_stands(pem):
    """One file with the whole chain in it would trust the whole organisation."""
    with pytest.raises(ConfigError, match=r"listen\.authority: 'CN=oncology root'"):
        check_anchor(pem, "listen.authority")


@pytest.mark.parametrize("pem", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_said_to_be_one(pem):
    with pytest.raises(ConfigError, match="holds no certificate"):
        check_anchor(pem, "listen.authority")
