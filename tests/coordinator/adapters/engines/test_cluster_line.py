"""The line to a driver: whole messages or none, and to nobody who could read our keys."""

import os
import socket
import time

import pytest

from coordinator.adapters.engines import cluster_line
from coordinator.adapters.engines.cluster_line import Line, connect
from privacy.errors import ConfigError, PeerUnreachable


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Line(ours, 20), theirs


@pytest.fixture
def listening(tmp_path):
    """Return the path at which this very process listens."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "driver.sock"))
        door.listen()
        yield tmp_path / "driver.sock"


def test_messages_arrive_whole_and_in_order_however_they_are_cut(pair):
    line, other = pair
    for part in (b"on", b"e\ntw", b"o\nthree\n"):
        other.sendall(part)

    assert [line.receive(1) for _ in range(4)][:3] == [b"one", b"two", b"three"]


def test_who_waits_for_a_message_waits_no_longer_than_it_said(pair):
    """Half a message is none."""
    line, other = pair
    other.sendall(b"half")
    began = time.monotonic()

    assert line.receive(0) is None
    assert line.receive(0.1) is None
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("sent", [bytes(21), bytes(21) + b"\n", bytes(99)])
def test_a_message_that_is_too_long_ends_the_line(pair, sent):
    """Nobody fills our memory."""
    line, other = pair
    other.sendall(sent)

    with pytest.raises(EOFError, match="too long"):
        line.receive(1)


def test_a_line_whose_other_end_is_gone_has_ended(pair):
    line, other = pair
    other.close()

    with pytest.raises(EOFError):
        line.receive(1)
    with pytest.raises(EOFError):
        line.send(b"{}")


def test_who_reads_nothing_does_not_keep_us(pair, monkeypatch):
    monkeypatch.setattr(cluster_line, "_SEND_SECONDS", 0.1)

    with pytest.raises(EOFError):
        pair[0].send(bytes(1 << 24))


def test_a_driver_under_our_own_account_is_refused(listening):
    """What a cluster makes it do, it does with our keys at hand."""
    with pytest.raises(ConfigError, match=rf"account {os.getuid()}, .* an account of their own"):
        connect(listening)


def test_a_driver_under_roots_account_is_refused(listening, monkeypatch):
    """Root reads our keys, whoever we are."""
    monkeypatch.setattr(cluster_line.os, "getuid", lambda: 4242)
    monkeypatch.setattr(cluster_line.os, "geteuid", lambda: 4242)

    assert cluster_line._accounts_with_keys() == {0, 4242}


def test_a_driver_under_another_account_is_spoken_to(listening, monkeypatch):
    monkeypatch.setattr(cluster_line, "_accounts_with_keys", lambda: {os.getuid() + 1})

    connect(listening).close()


def test_a_driver_that_is_away_is_named(tmp_path):
    with pytest.raises(PeerUnreachable, match=r"no cluster's driver answers at .*away"):
        connect(tmp_path / "away")
