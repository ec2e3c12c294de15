"""Pure functions remembered: the same documents are encoded, signed and checked again and again.

Nothing but time changes: a value has one encoding, and a key one signature of it.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps

from privacy import canonical, records, signing

PURE = (canonical.encode, canonical.decode, records.digest_of, signing.sign, signing.verify)
OURS = ("privacy", "coordinator", "participant", "tests")


def _remembered(function: Callable[..., object]) -> Callable[..., object]:
    cached = lru_cache(maxsize=1 << 16)(function)

    @wraps(function)
    def remembered(*args: object, **named: object) -> object:
        try:
            return cached(*args, **named)
        except TypeError:  # what has no hash is not remembered
            return function(*args, **named)

    return remembered


_QUICK = {function: _remembered(function) for function in PURE}


@contextmanager
def quickly() -> Iterator[None]:
    """Remember the answers of pure functions while the block runs."""
    _swap(dict(_QUICK))
    try:
        yield
    finally:
        _swap({quick: slow for slow, quick in _QUICK.items()})


def _swap(to: dict[Callable[..., object], Callable[..., object]]) -> None:
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in OURS and name != __name__:
            for attribute, value in list(vars(module).items()):
                if callable(value) and type(value).__name__ == "function" and value in to:
                    setattr(module, attribute, to[value])
