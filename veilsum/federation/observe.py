"""What can be seen of a federation from outside: the coordinator's database, every log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.adapters.sql.store import open_store
from coordinator.ports import Store
from coordinator.rounds import round as machine
from coordinator.rounds.state import Phase, Round


@dataclass
class Observer:
    """Reads the coordinator's database beside it, and writes nothing there."""

    store: Store

    def rounds(self) -> Mapping[int, Round]:
        """Return every round by number."""
        found = {}
        for number in self.store.round_numbers():
            stored = self.store.load_round(number)
            if stored is not None:
                found[number] = machine.decode(stored.state)
        return found

    def is_past_open(self, number: int) -> bool:
        """Return whether a round's cohort is frozen."""
        current = self.rounds().get(number)
        waiting = (Phase.KEYING, Phase.KEYED, Phase.OPEN)
        return current is not None and current.phase not in waiting

    def released(self) -> int:
        """Return how many rounds have released a model."""
        return sum(each.phase is Phase.DONE for each in self.rounds().values())

    def durable_chunks(self, number: int, participant: str) -> int:
        """Return how many chunks of an upload are committed to the coordinator's disk."""
        upload = self.store.upload(number, participant)
        return 0 if upload is None else len(upload.chunks)


def observe(database: str) -> Observer:
    """Return an observer of the coordinator's database."""
    return Observer(open_store(database))


def events(log: Path, name: str = "") -> list[dict[str, object]]:
    """Return the events in a process's log of JSON lines; those of one name, if one is given."""
    found = []
    for line in log.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library's own words
        if isinstance(event, dict) and name in ("", event.get("event")):
            found.append(event)
    return found
