"""What a site's line may carry, as its policy writes it: `Mo-Fr 07:00-19:00 2`. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from privacy.errors import ConfigError

from .hours import Window, time_zone, window

LEAST_MEGABITS: Final = Fraction(1, 10)
"""Slower, a chunk takes longer than a coordinator lets a stream stand still while others wait."""

_BYTES_PER_MEGABIT: Final = 125_000
_LINE: Final = "policy.bandwidth"


@dataclass(frozen=True, slots=True)
class Limit:
    """So many bytes a second each way, in a window of the week or always."""

    bytes_per_second: float
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Limits, of which the first that is in its window counts; none of them: no limit."""

    limits: tuple[Limit, ...]
    zone: ZoneInfo

    def bytes_per_second(self, now: float) -> float | None:
        """Return the limit at `now`, in seconds since 1970; None without one."""
        local = datetime.fromtimestamp(now, self.zone)
        for limit in self.limits:
            if limit.window is None or limit.window.holds(local):
                return limit.bytes_per_second
        return None


def bandwidth(written: Sequence[str], zone: str) -> Bandwidth:
    """Return the limits that `policy.bandwidth` says, in Mbit/s: 10^6 bits a second.

    Raises:
        ConfigError: not of the form, or slower than a round can be.
    """
    return Bandwidth(tuple(map(_limit, written)), time_zone(zone))


def _limit(text: str) -> Limit:
    when, _, number = text.rpartition(" ")
    try:
        megabits = Fraction(number)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f'{_LINE}: {text!r} is not of the form "20" or "Mo-Fr 07:00-19:00 2", in Mbit/s'
        ) from None
    if not LEAST_MEGABITS <= megabits <= 1_000_000:
        raise ConfigError(
            f"{_LINE}: {text!r} is not from {float(LEAST_MEGABITS)} to 1000000 Mbit/s; to send "
            "nothing at some hours, use policy.hours"
        )
    return Limit(float(megabits * _BYTES_PER_MEGABIT), window(when, _LINE) if when else None)
