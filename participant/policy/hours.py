"""Hours of the week as a site's policy writes them, `Mo-Fr 20:00-06:00`. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from privacy.errors import ConfigError

_DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_DAY: Final = f"(?:{'|'.join(_DAYS)})"
_RANGE: Final = f"{_DAY}(?:-{_DAY})?"
_WINDOW: Final = re.compile(
    rf"(?:(?P<days>{_RANGE}(?:,{_RANGE})*) )?(?P<begin>[0-9]{{2}}:[0-9]{{2}})-"
    r"(?P<end>[0-9]{2}:[0-9]{2})"
)
_A_DAY: Final = 24 * 60
_FORM: Final = '"Mo-Fr 20:00-06:00", "Sa,Su 00:00-24:00" or "20:00-06:00"'


@dataclass(frozen=True, slots=True)
class Window:
    """From one minute of some days to another, which is the next day's if it is not later."""

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, local: datetime) -> bool:
        """Return whether a local time is in it."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return day in self.days and self.begin <= minute < self.end
        began_yesterday = (day - 1) % 7 in self.days and minute < self.end
        return began_yesterday or (day in self.days and minute >= self.begin)


@dataclass(frozen=True, slots=True)
class Hours:
    """Windows of local time; without any, it is always within."""

    windows: tuple[Window, ...]
    zone: ZoneInfo

    def holds(self, now: float) -> bool:
        """Return whether `now`, in seconds since 1970, is within a window."""
        local = datetime.fromtimestamp(now, self.zone)
        return not self.windows or any(window.holds(local) for window in self.windows)

    def opens(self, now: float) -> datetime:
        """Return when the next window begins after `now`, in local time."""
        today = datetime.fromtimestamp(now, self.zone).date()
        begins = (
            datetime(day.year, day.month, day.day, *divmod(window.begin, 60), tzinfo=self.zone)
            for day in (today + timedelta(days=ahead) for ahead in range(8))
            for window in self.windows
            if day.weekday() in window.days
        )
        return min(begin for begin in begins if begin.timestamp() > now)


def hours(written: Sequence[str], zone: str, line: str) -> Hours:
    """Return the hours that lines of a policy say.

    Args:
        line: what the message names, as in `policy.hours`.

    Raises:
        ConfigError: not of the form, or a time zone that this machine does not know.
    """
    return Hours(tuple(window(each, line) for each in written), time_zone(zone))


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of that name.

    Raises:
        ConfigError: this machine knows none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"policy.time_zone: this machine knows no {name!r}; write one as in "
            '"Europe/Berlin", and install the system package tzdata if it is missing'
        ) from None


def window(text: str, line: str) -> Window:
    """Return the window that `text` says.

    Raises:
        ConfigError: it is not of the form.
    """
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ConfigError(f"{line}: {text!r} is not of the form {_FORM}")
    days = frozenset(range(7)) if found["days"] is None else _days(found["days"])
    begin, end = _minute(found["begin"], text, line), _minute(found["end"], text, line)
    return Window(days, begin % _A_DAY, end)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 + 7 * (end < begin))}
    return frozenset(found)


def _minute(text: str, whole: str, line: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > _A_DAY:
        raise ConfigError(f"{line}: {whole!r} has a time that no day has: {text}")
    return hour * 60 + minute
