"""What the line up carries, and what that means for a plan."""

from .asking import Uplink
from .finding import NETWORK, Finding, warning
from .way import Way


def check_uplink(
    way: Way, uplink: Uplink, upload_bytes: int | None = None, seconds: float | None = None
) -> Finding:
    """Return how fast the line up is, and how long one upload of a plan takes on it.

    Args:
        upload_bytes: what a site sends in one round; None if no plan is known.
        seconds: how long a round waits for a site's next bytes; None if not known.
    """
    to, speed = str(way.to), uplink.bytes_per_second
    found = f"at least {speed * 8 / 1e6:.1f} Mbit/s, by {uplink.sent_bytes >> 10} KiB sent"
    if upload_bytes is None:
        return Finding("uplink", to, found)
    takes = upload_bytes / speed
    found += f"; one upload of this plan, {upload_bytes / 1e6:.1f} MB, takes {spoken(takes)}"
    # Deadlines go by progress: a round waits as long as chunks keep coming.
    if seconds is not None and (1 << 20) / speed > seconds:
        fix = f"have more bandwidth for {to}, or a plan with more rounds.deadline.progress_seconds"
        found += "; a chunk takes longer than a round waits"
        return warning("uplink", to, found, fix, NETWORK)
    return Finding("uplink", to, found)


def spoken(seconds: float) -> str:
    """Return a time in the unit in which people say it."""
    if seconds < 0.1:
        return "less than 0.1 s"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
