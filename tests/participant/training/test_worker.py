"""The worker is another process; errors cross by their codes, and updates not at all."""

import ast
import hashlib
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from participant.model.models import Models
from participant.opening.frozen import Frozen
from participant.opening.reveal_shares import SealedSum
from participant.sending.share import share
from participant.training import worker as module
from participant.training.worker import AnyOrder, AnyReply, Key, Worker, error_of, serve
from privacy import errors
from privacy.errors import (
    ConfigError,
    InternalError,
    PeerUnreachable,
    UpdateOutOfRange,
    VeilsumError,
)
from privacy.schemes.shares.sharing import UpdateSecrets
from tests.participant import shared_round, tiny_site
from tests.participant import signed_round as made
from tests.test_architecture import every_error

PLAN = made.plan()


@pytest.fixture(scope="module")
def broken():
    worker = Worker(tiny_site.misbehave, "", Path("models"))
    yield worker
    worker.stop()


async def test_an_error_crosses_with_its_family_and_words(broken):
    """The agent decides by the family whether to decline or to retry."""
    with pytest.raises(UpdateOutOfRange, match="3 of 5000 values"):
        await broken.train(PLAN)


async def test_a_librarys_words_do_not_cross(broken):
    """They may hold data, and the agent logs what it is told."""
    with pytest.raises(VeilsumError) as caught:
        await broken.privatise(PLAN)

    assert type(caught.value) is InternalError
    assert "RuntimeError" in str(caught.value)
    assert "4711" not in str(caught.value)


async def test_models_and_sums_cross_by_name_only(broken):
    """What the worker is told is where they are, what it says is what they hash to."""
    shapes, first = await broken.describe("text", 40, 1)
    whole = made.Round(PLAN, made.OPENERS)
    frozen = Frozen(whole.cohort, whole.sum)
    model = await broken.reveal(PLAN, frozen, b"", (), Path("chunks"))

    assert (shapes, first) == ((("weight", (2,)),), "1" * 64)
    said = f"chunks models {whole.sum.root}".encode()
    assert model == hashlib.sha256(said).hexdigest()


async def test_progress_reaches_the_log_before_the_answer(broken, monkeypatch):
    """Minutes of work must not look like none."""
    said = []
    monkeypatch.setattr(
        "participant.pace.log.info", lambda event, **more: said.append((event, more))
    )
    whole = made.Round(PLAN, made.OPENERS)

    await broken.reveal(PLAN, Frozen(whole.cohort, whole.sum), b"", (), Path("chunks"))

    common = {"round": 1, "of": 4, "mib_per_second": 12.5, "seconds_left": 1.0}
    assert said == [("opening", {**common, "chunks": chunk}) for chunk in (1, 2, 3)]


async def test_a_dead_worker_is_started_again(broken, tmp_path):
    """Transient for the agent: the next order goes to a new process."""
    with pytest.raises(PeerUnreachable, match="started again"):
        await broken.check_key(made.PARAMETERS, b"", b"")
    with pytest.raises(PeerUnreachable):
        await broken.protect(PLAN, b"", b"", str(tmp_path / "marker"))

    with pytest.raises(UpdateOutOfRange, match="second worker answers"):
        await broken.protect(PLAN, b"", b"", str(tmp_path / "marker"))


async def test_what_a_dead_worker_left_half_written_is_gone_when_the_next_one_starts(tmp_path):
    """Each try would leave a model's size on the disk; what this process writes stays."""
    worker = Worker(tiny_site.misbehave, "", tmp_path)
    mine = f".{os.getpid()}-0.draft"
    try:
        with pytest.raises(PeerUnreachable):
            await worker.check_key(made.PARAMETERS, b"", b"")
        for name in (mine, ".1-0.draft", "f" * 64):
            (tmp_path / name).touch()

        await worker.describe("text", 40, 1)
    finally:
        worker.stop()

    assert {path.name for path in tmp_path.iterdir()} == {mine, "f" * 64}


async def test_the_worker_is_spawned_and_not_forked(broken):
    """A fork of a process with grpc's threads hangs, and has the agent's keys in its memory."""
    await broken.describe("text", 40, 1)

    process = broken._process
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()

    assert process.pid != os.getpid()
    assert b"spawn_main" in command


async def test_a_site_that_cannot_be_loaded_is_the_operators_error():
    """Told with the first order, whatever it is."""
    worker = Worker(serve, "tests.participant.tiny_site:NoSuchSite", Path("models"))
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
    """Every field of bytes in every order and reply: plans, keys, masks. No model, no sum."""
    fields = {
        f"{kind.__name__}.{field.name}": field.type
        for kind in (*AnyOrder.__args__, *AnyReply.__args__)
        for field in msgspec.structs.fields(kind)
    }

    blobs = {name for name, kind in fields.items() if "bytes" in str(kind)}
    assert blobs == {
        "CheckKey.public",
        "CheckKey.secret",
        "Key.public",
        "Key.secret",
        "Multiply.plan",
        "Privatise.plan",
        "Protect.mask",
        "Protect.plan",
        "Protect.public_key",
        "Reveal.masks",
        "Reveal.plan",
        "Reveal.secret",
        "RevealShares.plan",
        "Share.plan",
        "Share.secrets",
        "Prepare.plan",
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
    """Neither the secret of a key or a mask, nor the key it belongs to."""
    secret = b"the cohort's secret"
    orders = [
        module.Protect(b"plan", b"public", secret, "folder"),
        module.CheckKey(made.PARAMETERS, b"public", secret),
        module.Reveal(b"plan", *frozen_parts(), secret, (secret,), "chunks", "models"),
        module.Share(b"plan", "amber", (secret,) * 3, "folder"),
        module.RevealShares(b"plan", *frozen_parts(), (sealed_sum(secret),) * 3, "models"),
    ]

    for order in orders:
        assert repr(order) == f"{type(order).__name__}(…)"
        assert "secret" not in f"{order} {order!r} {[order]}"
    assert "secret" not in repr(sealed_sum(secret))
    assert repr(module.Split(None, ("0" * 64,) * 3, 17)) == "Split(…)"


def sealed_sum(key):
    """One component's sum, with the key to it."""
    return SealedSum("elm", 0, key, "folder")


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


async def test_a_worker_encrypts_in_processes_of_its_own(tmp_path):
    """A daemon may have none; they are gone when the update is protected."""
    worker = Worker(tiny_site.pooling, "", tmp_path / "models")
    try:
        piece = await worker.protect(PLAN, made.cohort_key().public, bytes(32), str(tmp_path))
        left = Path(f"/proc/{worker._process.pid}/task/{worker._process.pid}/children").read_text()
    finally:
        worker.stop()

    chunks = [(tmp_path / f"{at:08d}").read_bytes() for at in range(2)]
    assert piece.root == made.root_of(chunks)
    assert left == ""


AGENT = """
import asyncio
from pathlib import Path
from participant.training.worker import Worker
from tests.participant import tiny_site
if __name__ == "__main__":
    worker = Worker(tiny_site.misbehave, "", Path("models"))
    asyncio.run(worker.describe("text", 1, 1))
    print(worker._process.pid, flush=True)
    {end}
"""


@pytest.mark.parametrize(
    ("end", "code"), [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os._exit(4)", 4)]
)
def test_an_agent_that_ends_without_a_word_leaves_no_worker(tmp_path, end, code):
    """Nor does it wait for one: it is not a daemon, and would be waited for."""
    program = tmp_path / "agent.py"
    program.write_text(AGENT.format(end=end))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}

    done = subprocess.run(
        [sys.executable, program],
        check=False,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )

    assert done.returncode == code
    assert gone(int(done.stdout))


def gone(pid):
    for _ in range(100):
        if b"spawn_main" not in command(pid):
            return True
        time.sleep(0.1)
    return False


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_an_update_in_shares_crosses_as_what_is_signed_and_sealed(tmp_path):
    """Three roots and a third of a norm, up to the largest word; no word of the update."""
    plan, worker = shared_round.scored_plan(), Worker(tiny_site.holding, "", tmp_path / "models")
    secrets = UpdateSecrets.generate(os.urandom)
    (tmp_path / "chunks").mkdir()
    try:
        shared = await worker.share(plan, "amber", secrets, str(tmp_path / "chunks"))
    finally:
        worker.stop()

    (tmp_path / "again").mkdir()
    again = share(plan, "amber", secrets, np.arange(5000), tmp_path / "again")
    assert shared == again


async def test_a_sum_in_shares_is_opened_from_folders(tmp_path):
    """The keys to three components cross, and the digest of a model comes back."""
    worker = Worker(tiny_site.holding, "", tmp_path / "models")
    Models(tmp_path / "models").keep(made.SHAPES, made.FIRST)
    sums = tuple(SealedSum("elm", at, bytes(32), str(tmp_path)) for at in range(3))
    whole = shared_round.Round()
    try:
        with pytest.raises(errors.StoreUnavailable, match="fetched again"):
            await worker.reveal_shares(whole.plan, Frozen(whole.cohort, whole.sum), sums)
    finally:
        worker.stop()
