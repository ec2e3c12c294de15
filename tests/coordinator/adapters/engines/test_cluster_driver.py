"""A cluster's driver: where it listens, for whom, and under which account it does not."""

import os
import socket
import stat
from pathlib import Path

import pytest

from coordinator.adapters.engines import cluster_driver
from coordinator.adapters.engines.cluster_driver import serve_driver
from coordinator.config import DriverSettings, read_driver
from privacy.errors import ConfigError, MissingDependency
from tests.clusters import address, write_token


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_driver.os, "geteuid", lambda: 4242)
    return DriverSettings(tmp_path / "driver.sock", address(), write_token(tmp_path / "token"))


def test_a_driver_does_not_run_as_root(settings, monkeypatch):
    """Whoever gets into the cluster runs what they like in it."""
    monkeypatch.setattr(cluster_driver.os, "geteuid", lambda: 0)

    with pytest.raises(ConfigError, match="under the account that Ray runs under"):
        serve_driver(settings)


def test_without_ray_the_extra_is_named(settings, monkeypatch):
    monkeypatch.setattr(cluster_driver, "find_spec", lambda name: None)

    with pytest.raises(MissingDependency, match="extra `ray`"):
        serve_driver(settings)


def test_a_cluster_that_must_not_be_used_stops_the_start(settings, monkeypatch):
    def refuse(_):
        raise ConfigError("address: lets in whoever connects")

    monkeypatch.setattr(cluster_driver, "check_cluster", refuse)

    with pytest.raises(ConfigError, match="whoever connects"):
        serve_driver(settings)


def test_its_socket_is_for_its_account_and_group_alone(tmp_path):
    """And is made anew where the last process left one."""
    path = tmp_path / "driver.sock"
    before = os.umask(0)
    try:
        for _ in range(2):
            with cluster_driver._listening(path):
                assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_place_where_no_socket_can_be_made_is_named(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"socket: .*away"),
        cluster_driver._listening(tmp_path / "away" / "driver.sock"),
    ):
        pass


def test_a_coordinator_that_goes_is_noticed_though_it_has_sent_what_nobody_read(tmp_path):
    ours, theirs = socket.socketpair()
    with theirs, socket.socket() as quiet:
        ours.sendall(b"{}\n")
        ours.close()

        cluster_driver._until_one_has_gone(theirs, quiet.fileno())


@pytest.mark.parametrize("body", ["", 'socket = "s"\naddress = "ray://h:1"\ntoken = "t"', "x = 1"])
def test_settings_that_say_too_little_or_too_much_are_refused(tmp_path, body):
    path = tmp_path / "driver.toml"
    path.write_text(body)

    with pytest.raises(ConfigError):
        read_driver(path)


def test_settings_are_read(tmp_path):
    path = tmp_path / "driver.toml"
    path.write_text('socket = "/run/s"\naddress = "10.0.0.5:6379"\ntoken = "/etc/t"\n')

    assert read_driver(path) == DriverSettings(Path("/run/s"), "10.0.0.5:6379", Path("/etc/t"))
