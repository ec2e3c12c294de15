"""A seat's process begins with all that it needs, or ends at once and says what is missing."""

from types import SimpleNamespace

import pytest

from participant.seat import run
from privacy.errors import ConfigError, MissingDependency
from privacy.failpoints import Failpoints


async def test_a_seat_without_crypten_ends_before_it_joins(tmp_path, monkeypatch):
    """Others would wait for it at the first norm; who acts is this operator, now."""

    def missing():
        raise MissingDependency("secret shares need CrypTen")

    def nothing(*_):
        raise AssertionError("it went on")

    monkeypatch.setattr(run, "import_crypten", missing)
    monkeypatch.setattr(run, "load_keys", nothing)

    with pytest.raises(MissingDependency, match="CrypTen") as ended:
        await run.serve(SimpleNamespace(state=tmp_path), Failpoints())

    assert isinstance(ended.value, ConfigError)


async def test_crypten_is_loaded_before_a_seat_answers_anybody(tmp_path, monkeypatch):
    """Its import takes seconds, and would keep every letter waiting."""
    order = []

    class Agent:
        def __init__(self, *_):
            order.append("agent")

        async def run(self):
            order.append("run")

    monkeypatch.setattr(run, "import_crypten", lambda: order.append("crypten"))
    monkeypatch.setattr(run, "load_keys", lambda _: order.append("keys"))
    monkeypatch.setattr(run, "AggregatorAgent", Agent)

    config = SimpleNamespace(
        state=tmp_path, participant="north", metrics=None, telemetry=None, settlement=None
    )

    await run.serve(config, Failpoints())

    assert order == ["crypten", "keys", "agent", "run"]
