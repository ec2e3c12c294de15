"""Which sockets this process listens on, as the kernel sees it."""

from pathlib import Path
from socket import inet_ntoa

_LISTENING = "0A"


def listening() -> set[tuple[str, int]]:
    """IPv4 addresses and ports, and those of IPv6 as the kernel writes them."""
    own = {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}
    rows = [
        row.split()
        for name in ("tcp", "tcp6")
        for row in Path("/proc/self/net", name).read_text().splitlines()[1:]
    ]
    return {
        _address(row[1]) for row in rows if row[3] == _LISTENING and f"socket:[{row[9]}]" in own
    }


def _address(text: str) -> tuple[str, int]:
    host, port = text.split(":")
    return inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else host, int(port, 16)
