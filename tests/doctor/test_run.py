"""The command: what it takes, what it ends with, and what it writes."""

import json

import pytest
from typer.testing import CliRunner

from coordinator.adapters.authority import make_authority
from participant.joining.link import Link
from privacy.errors import ConfigError
from tests.loopback import FEDERATION, HOUR, make_federation, utc_now
from veilsum.cli import app
from veilsum.doctor.run import target_of

from .servers import fingerprint, joining_port, shifted


def run(*arguments, **environment):
    return CliRunner().invoke(app, ["doctor", *arguments], env=environment)


@pytest.fixture
def federation():
    authority = make_authority(FEDERATION, now=utc_now(), life=20 * HOUR)
    return make_federation(authority=authority)


def test_a_link_is_followed_and_its_token_goes_nowhere(federation, tmp_path):
    """Preflight comes before the link is used: whoever sees what it writes cannot join."""
    with joining_port(federation, shifted(0, utc_now)) as port:
        link = Link(f"127.0.0.1:{port}", b"T" * 32, fingerprint(federation), "hospital-a")
        made = run(
            *("--preflight", link.text(), "--json", "--ticket", str(tmp_path / "ticket.md")),
            *("--bundle", str(tmp_path / "bundle.tar")),
        )

    report = json.loads(made.stdout)
    assert made.exit_code == 0
    assert report["well"] is True
    assert "proven" in next(e["found"] for e in report["findings"] if e["check"] == "identity")
    token = link.text().split(".")[-3].removeprefix("#v1")
    written = (tmp_path / "bundle.tar").read_bytes() + (tmp_path / "ticket.md").read_bytes()
    assert token.encode() not in written + made.output.encode()
    assert b"hospital-a" not in written


def test_what_is_not_well_ends_with_1_and_its_fix():
    made = run("--preflight", "127.0.0.1:9", "--seconds", "1")

    assert made.exit_code == 1
    assert "FAIL route" in made.stdout
    assert "fix:" in made.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["--preflight", "h:1", "--config", "x"], ["--config", "x", "--proxy", "y"]]
)
def test_either_a_way_or_a_file_is_named(arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("to", ["nowhere", "host:0", "host:70000", "host:443/path", "veilsum://x"])
def test_what_is_no_address_is_refused_by_name(to):
    with pytest.raises(ConfigError):
        target_of(to, "", None, 1.0)


def test_a_proxy_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(ConfigError) as refused:
        target_of("host:443", "http://me:hunter2@proxy:3128", None, 1.0)

    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_nobodys_settings_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text("a = 1\n")

    assert run("--config", str(tmp_path / "x.toml")).exit_code == 2
