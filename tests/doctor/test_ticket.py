"""The text for the firewall says all that a network team asks back about."""

from datetime import UTC, datetime

from veilsum.doctor.finding import NETWORK, Finding, problem
from veilsum.doctor.report import lines, report_of
from veilsum.doctor.ticket import ticket

from .servers import way_to

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
FINDINGS = [
    Finding("dns", "agg.example", "203.0.113.7"),
    problem("tls_intercepted", "agg.example:8443", "issued by 'KH Root'", "exempt it", NETWORK),
]


def test_a_ticket_names_address_direction_protocol_and_what_was_found():
    text = ticket(way_to(8443), FINDINGS, NOW)

    assert "127.0.0.1:8443" in text
    assert "No inbound port is needed" in text
    assert "TLS inspection" in text
    assert "issued by 'KH Root'" in text
    assert "2026-11-22 01:00Z" in text


def test_a_ticket_names_the_proxy_that_is_used():
    assert "through the proxy 127.0.0.1:3128 by HTTP CONNECT" in ticket(way_to(8443, 3128), [], NOW)


def test_each_finding_is_a_line_and_each_complaint_has_its_fix_below():
    text = lines(report_of("agg.example:8443", FINDINGS)).splitlines()

    assert text[0].startswith("ok   dns")
    assert text[1].startswith("FAIL tls_intercepted")
    assert "fix: exempt it" in text[2]
    assert f"who acts: {NETWORK}" in text[3]
    assert text[-1] == "1 to mend, 0 to look at, of 2 findings"
