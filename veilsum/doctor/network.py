"""Names, routes and proxies: whether this machine gets a connection at all."""

import socket
from typing import Final

from participant.wire.proxy import ProxyRefused

from .edges import Edges
from .finding import NETWORK, OPERATOR, SITE, Finding, problem, warning
from .way import Way

_ENVIRONMENT: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")
_SETTING: Final = "coordinator.proxy"


def check_name(way: Way, edges: Edges) -> Finding:
    """Return what the name to which this machine connects resolves to."""
    host = way.first.host
    try:
        found = edges.resolve(host, way.first.port, way.seconds)
    except TimeoutError:
        fix = "look at the name servers in /etc/resolv.conf, and at the firewall's rule for DNS"
        return problem("dns", host, f"no name server answers in {way.seconds:.0f} s", fix, SITE)
    except OSError as error:
        fix = "correct the address, or have this machine's name server know that name"
        return problem("dns", host, f"no such host ({_words(error)})", fix, SITE)
    return Finding("dns", host, ", ".join(found[:4]))


def check_route(way: Way) -> Finding:
    """Return whether a connection comes about: to the address, or to the proxy and through it."""
    check, first = ("route", str(way.first)) if way.proxy is None else ("proxy", str(way.first))
    try:
        with way.open():
            return Finding(check, first, _reached(way))
    except ProxyRefused as error:
        found = str(error).partition("; ")[0]
        fix = f"have that proxy allow CONNECT to {way.to} from this machine, without a password"
        return problem(check, first, found, fix, NETWORK)
    except TimeoutError:
        found = f"no answer within {way.seconds:.0f} s: something on the way drops it"
        fix = f"let outbound TCP from this machine to {first} pass; --ticket writes what to ask for"
        return problem(check, first, found, fix, NETWORK)
    except ConnectionRefusedError:
        return _nobody_listens(check, way)
    except OSError as error:
        fix = f"let this machine open TCP connections to {first}"
        return problem(check, first, f"no connection ({_words(error)})", fix, NETWORK)


def check_environment(way: Way, edges: Edges, *, reached: bool) -> Finding:
    """Return whether the environment names a proxy; none but the settings' is ever used.

    Args:
        reached: whether the address can be reached as the settings say.
    """
    named = next((name for name in _ENVIRONMENT if edges.environment.get(name)), "")
    if way.proxy is not None:
        return Finding("proxy_setting", _SETTING, f"http://{way.proxy} is used, as set")
    if not named:
        return Finding("proxy_setting", _SETTING, "none is set, and none is used")
    # Its value is not shown: some have a password in it.
    found = f"none is set; the environment has {named}, which is never used"
    if reached:
        return Finding("proxy_setting", _SETTING, f"{found}, and not needed here")
    fix = f"if others leave this network by that proxy, name it: {_SETTING}, or --proxy here"
    return warning("proxy_setting", _SETTING, found, fix, SITE)


def _reached(way: Way) -> str:
    if way.proxy is None:
        return "a connection comes about"
    return f"the proxy opens a tunnel to {way.to} (HTTP CONNECT)"


def _nobody_listens(check: str, way: Way) -> Finding:
    if way.proxy is not None:
        found, fix = "connection refused: no proxy is there", f"correct {_SETTING}, or start it"
        return problem(check, str(way.proxy), found, fix, NETWORK)
    fix = "start the coordinator there, or correct the address and its port"
    return problem(check, str(way.to), "connection refused: nobody listens", fix, OPERATOR)


def _words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return str(error.strerror or "no address")
    return str(error.strerror or type(error).__name__)
