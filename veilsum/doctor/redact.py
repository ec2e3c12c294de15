"""What of a text may leave this machine: no key, no token, no passphrase, no password.

What is taken out is known by its form: a secret that has none is never read in the first place.
"""

import re
from typing import Final

REMOVED: Final = "[removed]"
"""What stands where something was taken out."""

_PEM: Final = re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)
_LINK: Final = re.compile(r"veilsum://\S*")
_LOGIN: Final = re.compile(r"(?<=://)[^/\s@\"']+@")
_QUERY: Final = re.compile(r"(?<=[?&])([^=&\s\"']*)=[^&\s\"']+")
_SAID: Final = re.compile(
    r"""(?P<name>["']?[\w.-]*(?:password|passphrase|secret|token|private|api[_-]?key|credential|authorization)[\w.-]*["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|(?:bearer\s+|basic\s+)?[^\s,;}\]]+)""",
    re.IGNORECASE,
)
_LONG: Final = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{40,}={0,2}(?![A-Za-z0-9+/=_-])")
_PATHS: Final = re.compile(r"^/?(?:[\w.-]+/)+[\w.-]+$")


def redacted(text: str) -> str:
    """Return a text of ours, a log's or a finding's, without what might be a secret.

    Long words that look like keys go, digests among them: what is missing can be asked for, and
    what has left cannot be taken back.
    """
    text = without_keys(text)
    text = _LINK.sub(f"veilsum://{REMOVED}", text)
    text = without_secrets(text)
    text = _SAID.sub(lambda found: found["name"] + f'"{REMOVED}"', text)
    return _LONG.sub(_long, text)


def without_keys(text: str) -> str:
    """Return a text without private keys in PEM, over however many lines."""
    return _PEM.sub(REMOVED, text)


def without_secrets(url: str) -> str:
    """Return a URL, or a text with some, without passwords and what is asked for with `?`."""
    return _QUERY.sub(rf"\1={REMOVED}", _LOGIN.sub("", url))


def _long(found: re.Match[str]) -> str:
    # A path has letters enough for a key, and is what a finding is about.
    return found[0] if _PATHS.match(found[0]) else REMOVED
