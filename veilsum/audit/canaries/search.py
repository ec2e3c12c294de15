"""The largest argument for which something still holds."""

from collections.abc import Callable

HALVINGS = 24


def largest(holds: Callable[[float], bool], limit: float = 64.0) -> float:
    """Return the largest x in [0, limit] for which `holds`, which stays false once it is.

    Rounded down, by less than `limit` / 2^24; 0.0 if it does not hold there.
    """
    low, high = 0.0, limit
    if not holds(low):
        return low
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
