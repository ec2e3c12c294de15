"""A kill between any two syncs: what left is never more than what the ledger says was spent."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from participant.keys import SiteKeys, make_keys
from privacy.accounting import epsilon_of
from privacy.errors import LedgerRolledBack
from privacy.events import SelfComposed
from tests.participant import signed_round as made
from tests.participant.paying_site import EVENTS, ROUNDS, PayingSite

ROOT = Path(__file__).parents[3]


def killed(folder: Path, place: str) -> int:
    """Run the site in a process for each passage of `place`, killed there."""
    command = [sys.executable, "-m", "tests.participant.paying_site", str(folder), place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def on_the_wire(folder: Path) -> dict[int, set[bytes]]:
    """What left the site, by round: each message once."""
    wire = folder / "wire"
    rounds = wire.iterdir() if wire.exists() else ()
    return {int(each.name): {sent.read_bytes() for sent in each.iterdir()} for each in rounds}


def epsilon_of_rounds(rounds: int) -> float:
    """The epsilon of so many rounds, computed from what was sent and from nothing else."""
    return epsilon_of(SelfComposed(rounds, EVENTS.vector), 0.001) if rounds else 0.0


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteKeys:
    """Keys that outlive a process; the roster names them."""
    drawn: Callable[[str], SiteKeys] = made.keys
    own = make_keys(tmp_path / "keys", os.urandom)
    monkeypatch.setattr(made, "keys", lambda name: own if name == "amber" else drawn(name))
    return own


@pytest.mark.parametrize(
    ("place", "passages"),
    [
        pytest.param("ledger.before_write", 12, marks=pytest.mark.slow),
        pytest.param("ledger.after_write", 12, marks=pytest.mark.slow),
        pytest.param("ledger.after_keep", 11, marks=pytest.mark.slow),
        ("contribute.before_finish", 2),
        ("contribute.before_commit", 2),
        ("contribute.after_commit", 2),
        ("send.after_chunk", 2),
        ("contribute.before_sent", 2),
    ],
)
async def test_a_kill_between_any_two_syncs_never_hides_what_was_sent(
    tmp_path: Path, keys: SiteKeys, place: str, passages: int
) -> None:
    """Reserve, commit, send, result: the ledger is ahead of the wire, and the site goes on."""
    terms = made.plan().terms
    (tmp_path / "terms").write_bytes(made.encoded(terms))
    assert killed(tmp_path, place) == passages
    for count in range(1, passages + 1):
        folder = tmp_path / f"{count}"
        before = on_the_wire(folder)

        site = PayingSite(folder, keys, terms)

        site.ledger.verify_chain()
        for view in ("sums", "vector"):
            spent = site.ledger.spent_epsilon("ward", 0.001, view)  # type: ignore[arg-type]
            assert spent >= epsilon_of_rounds(len(before)) - 1e-9
        await site.live()
        after = on_the_wire(folder)
        assert all(len(messages) == 1 for messages in after.values())
        assert all(after[number] == messages for number, messages in before.items())
        whole = site.ledger.spent_epsilon("ward", 0.001)
        assert whole == pytest.approx(epsilon_of_rounds(ROUNDS), rel=1e-6)
        assert site.ledger.reserved() == ()
        site.ledger.verify_chain()
        site.close()


async def test_a_ledger_that_is_put_back_after_a_kill_is_refused(
    tmp_path: Path, keys: SiteKeys
) -> None:
    """The memory beside it has seen the commit that the copy lacks."""
    terms = made.plan().terms
    site = PayingSite(tmp_path / "site", keys, terms)
    site.close()
    copy = (tmp_path / "site" / "ledger.sqlite").read_bytes()
    site = PayingSite(tmp_path / "site", keys, terms)
    await site.live()
    site.close()
    (tmp_path / "site" / "ledger.sqlite").write_bytes(copy)

    with pytest.raises(LedgerRolledBack):
        PayingSite(tmp_path / "site", keys, terms)
