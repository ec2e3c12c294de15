"""This machine's clock beside the coordinator's."""

from typing import Final

from .asking import Clock
from .finding import SITE, Finding, problem, warning
from .way import Way

NOTED_SECONDS: Final = 30.0
LARGEST_SECONDS: Final = 300.0
"""A certificate is renewed after its end by a request that is no more than five minutes off."""

_FIX: Final = "have this machine's clock set by NTP: timedatectl set-ntp true, or chrony"


def check_clock(way: Way, clock: Clock | None, *, proven: bool) -> Finding:
    """Return how far apart the two clocks are.

    Args:
        proven: whether it is known that the coordinator said its time, and nobody else.
    """
    to = str(way.to)
    if clock is None:
        fix = "compare the two clocks by hand, or have the coordinator upgraded"
        return warning("clock", to, "who answers there does not say its time", fix, SITE)
    apart = abs(clock.ahead_seconds)
    side = "behind" if clock.ahead_seconds > 0 else "ahead"
    found = f"this machine's clock is {apart:.1f} s {side} (within {clock.within_seconds:.1f} s)"
    if not proven:
        found += ", if who answers is the coordinator"
    if apart - clock.within_seconds > LARGEST_SECONDS:
        return problem("clock", to, f"{found}; certificates and renewals fail", _FIX, SITE)
    if apart - clock.within_seconds > NOTED_SECONDS:
        return warning("clock", to, found, _FIX, SITE)
    return Finding("clock", to, found)
