"""The worker is another process; errors cross by their codes, and updates not at all."""

import ast
import inspect
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from participant import worker as module
from participant.reveal import Frozen
from participant.worker import AnyOrder, AnyReply, Key, Worker, error_of, serve
from privacy import errors
from privacy.errors import (
    ConfigError,
    InternalError,
    PeerUnreachable,
    UpdateOutOfRange,
    VeilsumError,
)
from tests.participant import signed_round as made
from tests.participant import tiny_site
from tests.test_architecture import every_error

PLAN = made.plan()


@pytest.fixture(scope="module")
def broken():
    worker = Worker(tiny_site.misbehave, "")
    yield worker
    worker.stop()


async def test_an_error_crosses_with_its_family_and_words(broken):
    """The agent decides by the family whether to decline or to retry."""
    with pytest.raises(UpdateOutOfRange, match="3 of 5000 values"):
        await broken.train(PLAN, np.zeros(2))


async def test_a_librarys_words_do_not_cross(broken):
    """They may hold data, and the agent logs what it is told."""
    with pytest.raises(VeilsumError) as caught:
        await broken.privatise(PLAN)

    assert type(caught.value) is InternalError
    assert "RuntimeError" in str(caught.value)
    assert "4711" not in str(caught.value)


async def test_arrays_cross_bit_for_bit(broken):
    """As bytes of a stated type."""
    shapes, first = await broken.describe("text", 40, 1)
    whole = made.Round(PLAN, made.OPENERS)
    total = await broken.reveal(PLAN, Frozen(whole.cohort, whole.sum), b"", whole.chunks)

    assert shapes == (("weight", (2,)),)
    assert first.tobytes() == np.array([1.5, -0.0]).tobytes()
    assert total.tolist() == [2**62, -(2**62), 0]


async def test_a_dead_worker_is_started_again(broken, tmp_path):
    """Transient for the agent: the next order goes to a new process."""
    with pytest.raises(PeerUnreachable, match="started again"):
        await broken.check_key(made.PARAMETERS, b"", b"")
    with pytest.raises(PeerUnreachable):
        await broken.protect(PLAN, b"", str(tmp_path / "marker"))

    with pytest.raises(UpdateOutOfRange, match="second worker answers"):
        await broken.protect(PLAN, b"", str(tmp_path / "marker"))


async def test_the_worker_is_spawned_and_not_forked(broken):
    """A fork of a process with grpc's threads hangs, and has the agent's keys in its memory."""
    await broken.describe("text", 40, 1)

    process = broken._process
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()

    assert process.pid != os.getpid()
    assert b"spawn_main" in command


async def test_a_site_that_cannot_be_loaded_is_the_operators_error():
    """Told with the first order, whatever it is."""
    worker = Worker(serve, "tests.participant.tiny_site:NoSuchSite")
    try:
        with pytest.raises(ConfigError, match="NoSuchSite"):
            await worker.describe("text", 40, 1)
    finally:
        worker.stop()


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_code_comes_back_as_its_class(kind):
    """Budget errors too, which are made of numbers."""
    error = error_of(kind.code, "words")

    assert type(error) is kind
    assert str(error) == "words"


def test_an_unknown_code_is_no_known_error():
    """Neither retried nor declined by mistake."""
    assert type(error_of("no_such_code", "words")) is errors.VeilsumError


def test_nothing_that_crosses_can_hold_an_update():
    """Every field of every order and reply: plans, models, keys, protected or summed chunks."""
    fields = {
        f"{kind.__name__}.{field.name}": field.type
        for kind in (*AnyOrder.__args__, *AnyReply.__args__)
        for field in msgspec.structs.fields(kind)
    }

    blobs = {name for name, kind in fields.items() if "bytes" in str(kind)}
    assert blobs == {
        "CheckKey.public",
        "CheckKey.secret",
        "Described.first_model",
        "Key.public",
        "Key.secret",
        "Opened.total",
        "Privatise.plan",
        "Protect.plan",
        "Protect.public_key",
        "Reveal.chunks",
        "Reveal.plan",
        "Reveal.secret",
        "Train.model",
        "Train.plan",
    }


def test_nothing_is_pickled_on_the_pipe():
    """`send` and `recv` of a connection pickle; only their bytes variants are called."""
    calls = {
        node.func.attr
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert {"send_bytes", "recv_bytes"} <= calls
    assert not calls & {"send", "recv", "dumps", "loads"}


def test_a_key_on_its_way_does_not_print():
    """Not in a log, and not in a traceback."""
    assert "secret" not in repr(Key(b"public", b"secret"))


def test_an_order_with_a_secret_does_not_print_it():
    """Neither the secret nor the key it belongs to."""
    secret = b"the cohort's secret"
    orders = [
        module.CheckKey(made.PARAMETERS, b"public", secret),
        module.Reveal(b"plan", *frozen_parts(), secret, (b"chunk",)),
    ]

    for order in orders:
        assert repr(order) == f"{type(order).__name__}(…)"
        assert "secret" not in f"{order} {order!r} {[order]}"


def frozen_parts():
    """What stands between the plan and the secret in an order to open."""
    whole = made.Round(PLAN, made.OPENERS)
    names = [field.name for field in msgspec.structs.fields(module.Reveal)]
    parts = {"cohort": whole.cohort, "sum": whole.sum, "frozen": Frozen(whole.cohort, whole.sum)}
    return [parts[name] for name in names[1 : names.index("secret")]]


async def test_a_worker_leaves_no_core_file(broken):
    """It would hold the update, and a round's secret."""
    await broken.describe("text", 40, 1)

    limits = Path(f"/proc/{broken._process.pid}/limits").read_text()

    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
