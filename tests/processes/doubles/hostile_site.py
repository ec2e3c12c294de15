"""A site that cheats, each way in a round of its own; in all else it is the demo's own.

Run as `python -m tests.processes.doubles.hostile_site SITE.toml`.
"""

import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from participant.sending import contribute
from privacy import plan as plans
from privacy.plan import Plan
from privacy.roster import Roster
from privacy.schemes.shares.sharing import UpdateSecrets
from veilsum.demo import witness
from veilsum.federation.site import run_site

UNMATCHED = 2
"""The round in which two seats are given different secrets of one component."""

UNCLIPPED = 3
"""The round in which its update is as long as it likes."""

MISLED = 1
"""The seat, by its index, that is given another secret of the first component that it holds."""

TIMES_THE_CLIP = 2


def give_two_secrets() -> None:
    """Seal to one seat another secret than the other holder of its first component has."""
    honest = contribute.seal_parts

    def seal_parts(
        plan: Plan, roster: Roster, participant: str, secrets: UpdateSecrets, declared_third: int
    ) -> tuple[bytes, bytes, bytes]:
        seals = list(honest(plan, roster, participant, secrets, declared_third))
        if plan.terms.round == UNMATCHED:
            others = [*secrets.secrets]
            others[MISLED] = os.urandom(32)
            first, second, third = others
            false = UpdateSecrets((first, second, third))
            seals[MISLED] = honest(plan, roster, participant, false, declared_third)[MISLED]
        one, two, three = seals
        return one, two, three

    contribute.seal_parts = seal_parts


def serve(connection: Connection, site_name: str) -> None:
    """Run a worker that does not clip its update, in one round."""
    # The agent's process imports this file too, and needs none of what the worker needs.
    from participant.training.workshop import Workshop  # noqa: PLC0415

    honest = Workshop.privatise

    def privatise(self: Workshop, packed_plan: bytes) -> None:
        honest(self, packed_plan)
        if plans.unpack(packed_plan).terms.round == UNCLIPPED:
            assert self._integers is not None  # it has just been privatised
            self._integers *= TIMES_THE_CLIP

    Workshop.privatise = privatise  # type: ignore[method-assign]
    witness.serve(connection, site_name)


if __name__ == "__main__":
    from tests.processes.doubles.hostile_site import serve as serve_by_name

    give_two_secrets()
    run_site(Path(sys.argv[1]), serve_by_name)
