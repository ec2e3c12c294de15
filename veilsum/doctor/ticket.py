"""The text that a hospital's IT hands to its network team, so that nobody has to ask back."""

from collections.abc import Sequence
from datetime import datetime

from .finding import Finding, Level
from .way import Way


def ticket(way: Way, findings: Sequence[Finding], now: datetime) -> str:
    """Return what is to be asked of whoever runs the firewall, in Markdown."""
    through = f"through the proxy {way.proxy} by HTTP CONNECT" if way.proxy else "directly"
    return f"""# Outbound connection for Veilsum: {way.to}

Please let this machine open connections as follows. No inbound port is needed.

| | |
| --- | --- |
| from | this machine, any port |
| to | {way.to}, {through} |
| protocol | TCP; in it TLS 1.3 with certificates on both sides, ALPN `h2` (HTTP/2, gRPC) |
| direction | outbound only; the other side never opens a connection |
| idle time | a ping every 75 seconds; do not cut off a connection that was used within 4 minutes |
| size | uploads of up to gigabytes on one connection: no limit on time or size, please |

If `{way.to}` is the address that a join link names, the coordinator has a second one, for
everything after joining: its operator names it. Both need the same.

## Do not inspect TLS for this address

Exempt `{way.to}` from TLS inspection ("SSL bypass", "splice"). Both sides prove who they are by
certificates of the federation's own authority. A proxy that opens TLS cannot show this site's
certificate, and is refused. What passes is encrypted once more inside: updates of a model are
protected so that the coordinator itself cannot read them, and records of patients or customers
never leave this site.

## What was found

{_found(findings, now)}
"""


def _found(findings: Sequence[Finding], now: datetime) -> str:
    rows = [f"Looked at by `veilsum doctor` at {now:%Y-%m-%d %H:%M}Z.", ""]
    for finding in findings:
        rows.append(f"- {finding.level}: {finding.check}, {finding.looked_at}: {finding.found}")
        if finding.level is not Level.OK:
            rows.append(f"  Fix: {finding.fix} ({finding.who_acts})")
    return "\n".join(rows)
