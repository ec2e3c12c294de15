"""Types that msgspec has worked out whole before any thread reads by them.

msgspec works a type out when it is first asked for, and lets other threads use what it has so far:
two that read a kind of document for the first time at one moment end the process, by SIGSEGV.
Nothing here decodes with a type that is not learned (`tests/privacy/test_learned.py`).
"""

import threading
from typing import Any, Final, TypeVar

import msgspec

Kind = TypeVar("Kind")

_LEARNED: Final[set[Any]] = set()
_LOCK: Final = threading.Lock()


def learned(kind: Kind) -> Kind:
    """Return a type, once msgspec knows all of it; one thread at a time has it learn."""
    if kind not in _LEARNED:
        with _LOCK:
            msgspec.json.Decoder(kind)
            _LEARNED.add(kind)
    return kind
