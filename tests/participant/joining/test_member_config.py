"""The file of an auditor or a seat: what both must say, and what neither may."""

from pathlib import Path

import pytest

from participant.auditing import config as auditing
from participant.seat import config as seat
from privacy.errors import ConfigError

TEXT = """
federation = "oncology"
participant = "north"
state = "/var/lib/veilsum/north"

[coordinator]
address = "veilsum.example.org:8443"
authority = "/etc/veilsum/authority.pem"
certificate = "/etc/veilsum/certificate.pem"

[policy]
roster = "5a10d721240d638a00c470c5ed1fcfa9d11d606b4713d76418b6ae666cf5d712"
schemes = ["shares/1"]
smallest_cohort = 3
"""

pytestmark = pytest.mark.parametrize("read", [auditing.read, seat.read], ids=["auditor", "seat"])


def written(folder, text=TEXT):
    path = folder / "member.toml"
    path.write_text(text)
    return path


def test_a_file_is_read(tmp_path, read):
    """Paths are paths, names are names."""
    config = read(written(tmp_path))

    assert config.state == Path("/var/lib/veilsum/north")
    assert (config.participant, config.policy.smallest_cohort) == ("north", 3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("smallest_cohort = 3", "smallest_cohort = 1"),
        ("smallest_cohort = 3", ""),
        ("smallest_cohort = 3", "smallest_cohort = 3\nwithout_auditor = true"),
        ('"north"', '"North Office"'),
        ("[policy]", '[dataset]\nid = "x"\n\n[policy]'),
        ('roster = "5a', 'roster = "5A'),
        ("[policy]", "[policy"),
        (":8443", ""),
        (":8443", ":https"),
        ('"veilsum.', '"https://veilsum.'),
        ("veilsum.example.org", ""),
        ("veilsum.example.org", "veilsum example"),
    ],
)
def test_what_is_unknown_missing_or_out_of_range_is_refused(tmp_path, read, old, new):
    """Such a member has no data, and a key that is spelt wrong is not a default."""
    with pytest.raises(ConfigError, match=r"member\.toml"):
        read(written(tmp_path, TEXT.replace(old, new)))


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path, read):
    """By its path, and what is wrong."""
    path = tmp_path / "member.toml"
    with pytest.raises(ConfigError, match="No such file"):
        read(path)

    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="at byte 0"):
        read(path)


@pytest.mark.parametrize("host", ["localhost", "192.0.2.7", "[2001:db8::7]", "seats_1.example.org"])
def test_an_address_is_a_host_and_a_port(tmp_path, read, host):
    config = read(written(tmp_path, TEXT.replace("veilsum.example.org", host)))

    assert config.coordinator.address == f"{host}:8443"
