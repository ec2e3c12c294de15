"""A member's own process renews its certificate, whenever it is killed, and after it was away."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import tomlkit

from participant.joining.enrol import enrol
from participant.joining.link import parse
from participant.keys import load_keys, load_renewed
from privacy.failpoints import VARIABLE
from privacy.roster import Role
from tests.processes.enrolling import NAME, Office, office
from veilsum.federation.observe import events

WHO = "auditor-a"
LIFE_SECONDS = 6


class Reads:
    """Hears the four words, and takes them to the operator when it is asked to wait."""

    def __init__(self, made: Office):
        self.made, self.heard = made, ""

    def words(self, words: str) -> None:
        """Hear them."""
        self.heard = words

    def waiting(self) -> None:
        """Go on; the operator is called below."""

    def cut(self, reason: str) -> None:
        """Nobody cuts here."""
        raise AssertionError(reason)

    async def call_the_operator(self, _: float) -> None:
        """Have the request approved."""
        await asyncio.to_thread(self.made.decide, WHO, self.heard)


def enrolled(made: Office, folder: Path) -> Path:
    """Enrol an auditor, and return its settings: it has a certificate, and joins nothing yet."""
    state, reads = folder / WHO, Reads(made)
    link = parse(made.invite(WHO, "auditor"))
    asyncio.run(
        enrol(
            link, state, "Auditors", Role.AUDITOR, reads, os.urandom,
            now=lambda: datetime.now(UTC), sleep=reads.call_the_operator,
        )
    )  # fmt: skip
    settings = {
        "federation": NAME,
        "participant": WHO,
        "state": str(state),
        "coordinator": {
            "address": made.address,
            "joining": made.joining,
            "authority": str(state / "authority.pem"),
            "certificate": str(state / "certificate.pem"),
        },
        "policy": {"roster": "ab" * 32, "schemes": ["ckks/1"], "smallest_cohort": 2},
    }
    path = state / "auditor.toml"
    path.write_text(tomlkit.dumps(settings))
    return path


def start(made: Office, config: Path, failpoints: str = "") -> None:
    """Start the auditor."""
    command = ["veilsum", "auditor", "serve", "--config", str(config)]
    made.family.start(WHO, command, {VARIABLE: failpoints})


def renewals(made: Office) -> int:
    """Return how often the auditor has said that its certificate is renewed."""
    return len(events(made.folder / "logs" / f"{WHO}.log", "certificate_renewed"))


def wait_for_renewals(made: Office, count: int) -> None:
    """Return when there are so many."""
    made.wait_for(f"{count} renewals", lambda: renewals(made) >= count)


def wait_for_death(made: Office) -> None:
    """Return when a failpoint has killed the auditor."""
    process = made.family.running[WHO]
    assert process.wait(30) == -signal.SIGKILL
    del made.family.running[WHO]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["rotation.before_write", "rotation.after_write"])
def test_a_member_killed_while_it_renews_works_on_and_so_does_one_whose_certificate_has_ended(
    tmp_path: Path, place: str
) -> None:
    """One life is cut at the second renewal; the next begins when no certificate counts any more.

    Each file is the pair of one certificate; by its signing key the member comes to another one.
    """
    with office(tmp_path, certificate_seconds=LIFE_SECONDS) as made:
        config = enrolled(made, tmp_path)
        start(made, config, f"{place}:2=kill")
        wait_for_death(made)
        first = renewals(made)
        kept = load_renewed(config.parent / "keys")
        time.sleep(LIFE_SECONDS + 1)

        start(made, config)

        wait_for_renewals(made, first + 2)
        made.family.kill(WHO)
        now = load_renewed(config.parent / "keys")

    assert first == 1
    assert kept is not None
    assert now is not None
    assert now.key_pem not in (kept.key_pem, load_keys(config.parent / "keys").tls_pem)
