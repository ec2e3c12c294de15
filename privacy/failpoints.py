"""Named places in the code where a test may stop a process, to see what survives.

Every place that there is stands in `PLACES`, with the process that passes it: a test can
go through them all, and a name that is misspelt is refused instead of never reached.

A failpoint does nothing unless the process was started with it, by the variable
VEILSUM_FAILPOINTS, for instance `send.after_chunk:2=pause`: at the second time
that place is reached, do `pause`. Actions are functions that the process's entry
point hands in; this file only counts.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .errors import ConfigError

VARIABLE: Final = "VEILSUM_FAILPOINTS"

PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "coordinator": (
        "accept.before_masks",
        "accept.before_chunk",
        "accept.after_chunk",
        "effect.before_aggregate",
        "effect.after_aggregate",
        "effect.before_nominate",
        "effect.after_nominate",
        "effect.before_freeze",
        "effect.after_freeze",
        "effect.before_manifest",
        "effect.after_manifest",
        "effect.before_erase",
        "effect.after_erase",
        "effect.before_forgetproducts",
        "effect.after_forgetproducts",
        "enrolment.before_invite",
        "enrolment.before_ask",
        "enrolment.after_ask",
        "enrolment.before_decide",
        "enrolment.after_decide",
        "enrolment.before_revoke",
        "enrolment.after_revoke",
        "fold.before_row",
        "fold.after_row",
        "issuing.before_record",
        "issuing.after_record",
        "migrate.before_commit",
        "migrate.after_commit",
        "objects.before_write",
        "objects.before_sync",
        "objects.before_link",
        "objects.after_link",
        "objects.before_folder_sync",
        "objects.after_folder_sync",
        "objects.before_delete",
        "objects.after_delete",
        "proposals.before_close",
        "proposals.after_close",
        "proposals.before_propose",
        "proposals.after_sign",
        "seats.after_verdict",
        "seats.after_certificate",
        "seats.after_chunk",
        "models.after_chunk",
        "scoring.after_product",
        "scoring.after_keep",
        "seats.after_statement",
        "service.before_save",
        "service.after_save",
        "store.before_commit",
        "store.after_commit",
    ),
    "site": (
        "adopt.before_keep",
        "adopt.after_keep",
        "adopt.after_record",
        "certify.before_sign",
        "contribute.after_keep",
        "contribute.before_finish",
        "contribute.after_finish",
        "contribute.before_commit",
        "contribute.after_commit",
        "contribute.after_receipt",
        "contribute.before_sent",
        "kept.before_write",
        "kept.after_write",
        "ledger.before_write",
        "ledger.after_write",
        "ledger.after_keep",
        "memory.before_write",
        "memory.after_write",
        "rotation.before_write",
        "rotation.after_write",
        "scoring.before_keep",
        "scoring.before_send",
        "send.after_chunk",
    ),
    "opener": (
        "keying.before_make",
        "keying.before_offer",
        "keying.before_vouch",
        "reveal.after_chunk",
        "reveal.before_record",
        "reveal.after_record",
        "reveal.after_open",
        "agree.before_seal",
        "agree.in_upload",
        "agree.after_seal",
        "agree.before_sign",
        "scoring.before_sign",
    ),
    "auditor": (
        "audit.before_record",
        "audit.after_record",
        "audit.before_sign",
    ),
    "seat": (
        "seat.before_verdict",
        "seat.before_certify_record",
        "seat.after_certify_record",
        "seat.before_fold",
        "seat.before_statement",
        "seat.in_upload",
        "seat.before_scores",
        "seat.after_part_chunk",
        "seat.before_publish",
        "seat_memory.before_write",
        "seat_memory.after_write",
    ),
    "sender": (
        "settlement.before_state",
        "settlement.before_record",
        "chain.before_sign",
        "chain.before_journal",
        "chain.after_journal",
        "chain.after_broadcast",
        "chain.before_replace",
        "chain.after_mined",
        "chain.before_final",
        "chain.after_final",
    ),
}
"""Every failpoint, by the process that passes it; an opener is a site that opens.

A sender is a coordinator or a site that sends to the chain."""

NAMES: Final = frozenset(name for names in PLACES.values() for name in names)

Step: TypeAlias = Callable[[str], None]
"""Called with the name of each place that is passed: `Failpoints.hit`, or `pass_by`."""

_ONE: Final = re.compile(r"([a-z_]+\.[a-z_]+):([1-9][0-9]*)=([a-z]+)")


@dataclass
class Failpoints:
    """The failpoints of one process; the empty one does nothing."""

    wanted: Mapping[tuple[str, int], Callable[[str], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._hits: dict[str, int] = {}

    def hit(self, name: str) -> None:
        """Count one passage of the place `name`, and act if it is the one wanted."""
        if not self.wanted:
            return
        assert name in NAMES, f"{name} is not one of PLACES"  # our own code names it
        with self._lock:
            count = self._hits[name] = self._hits.get(name, 0) + 1
        action = self.wanted.get((name, count))
        if action is not None:
            action(f"{name}:{count}")


def pass_by(_: str) -> None:
    """Pass a failpoint that nobody has asked for."""


def parse(text: str, actions: Mapping[str, Callable[[str], None]]) -> Failpoints:
    """Return the failpoints that `text` asks for: `name:count=action`, comma-separated.

    Raises:
        ConfigError: not of that form, or an action or a place that there is not.
    """
    wanted = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _ONE.fullmatch(part)
        if match is None or match[3] not in actions:
            raise ConfigError(
                f"{VARIABLE}: {part!r} is not name:count=action, with action one of "
                f"{', '.join(sorted(actions))}"
            )
        if match[1] not in NAMES:
            raise ConfigError(f"{VARIABLE}: there is no failpoint {match[1]}")
        wanted[match[1], int(match[2])] = actions[match[3]]
    return Failpoints(wanted)
