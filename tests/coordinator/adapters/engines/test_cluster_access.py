"""Asking a cluster whether it keeps others out; the real one is asked in test_ray_cluster.py."""

from dataclasses import replace

import pytest

from coordinator.adapters.engines import cluster_access
from coordinator.adapters.engines.cluster_access import ClusterAccess, check_cluster, environment
from coordinator.config import EngineTls
from privacy.errors import ConfigError, InsecureKeyFile, PeerUnreachable
from tests.clusters import address, free_port, own_ip, write_token


@pytest.fixture
def access(tmp_path):
    return ClusterAccess(address(), write_token(tmp_path / "token"))


def test_a_cluster_that_is_away_is_named(access):
    with pytest.raises(PeerUnreachable, match=f"no Ray cluster answers at {access.address}"):
        check_cluster(access)


def test_a_token_that_others_can_read_is_refused(access):
    access.token.chmod(0o644)

    with pytest.raises(InsecureKeyFile, match="chmod 600"):
        check_cluster(access)


@pytest.mark.parametrize(
    "token", [b"", b"secret", b"0" * 31 + b"\n", b"0" * 31 + b"\xff", b"a\n" * 40]
)
def test_a_token_that_can_be_guessed_or_sent_by_nobody_is_refused(access, token):
    access.token.write_bytes(token)

    with pytest.raises(ConfigError, match="openssl rand -hex 32"):
        check_cluster(access)


def test_a_key_of_this_machine_that_others_can_read_is_refused(access, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(b"a key")
    key.chmod(0o644)
    shown = ClusterAccess(access.address, access.token, EngineTls(access.token, key, access.token))

    with pytest.raises(InsecureKeyFile):
        check_cluster(shown)


def test_ray_is_told_to_ask_for_tokens_and_to_report_nothing(access):
    said = environment(access)

    assert said["RAY_AUTH_MODE"] == "token"
    assert said["RAY_AUTH_TOKEN_PATH"] == str(access.token)
    assert said["RAY_USAGE_STATS_ENABLED"] == "0"


def test_what_the_surroundings_say_of_tls_is_not_taken_over(access, tmp_path):
    """Only the settings say it, and what they leave out is off on both sides."""
    files = [tmp_path / name for name in ("certificate", "key", "authority")]
    shown = environment(ClusterAccess(access.address, access.token, EngineTls(*files)))

    assert environment(access)["RAY_USE_TLS"] == "0"
    assert shown["RAY_USE_TLS"] == "1"
    assert [shown[f"RAY_TLS_{name}"] for name in ("SERVER_CERT", "SERVER_KEY", "CA_CERT")] == [
        str(path) for path in files
    ]


@pytest.mark.parametrize("host", ["198.51.100.7", "ray.example.org", "localhost", "2001:db8::7"])
def test_a_token_is_not_sent_in_the_clear_to_another_machine(access, host, monkeypatch):
    """Not even asked for: an answer could be anybody's. A name may be anybody's, too."""
    monkeypatch.setattr(cluster_access, "_channel", lambda access: pytest.fail("asked"))

    with pytest.raises(ConfigError, match="in the clear"):
        check_cluster(replace(access, address=f"{host}:6379"))


@pytest.mark.parametrize("host", ["127.0.0.1", own_ip()])
def test_without_tls_this_machine_is_asked_by_any_of_its_addresses(access, host):
    with pytest.raises(PeerUnreachable):
        check_cluster(replace(access, address=f"{host}:{free_port()}"))
