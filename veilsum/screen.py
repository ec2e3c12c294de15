"""What a peer has sent, before a person sees it: nothing of it steers the terminal."""

import unicodedata
from typing import Final

# control characters, those that turn the direction of writing or have no width, and line breaks
_STEERS: Final = frozenset(["Cc", "Cf", "Cs", "Co", "Zl", "Zp"])


def on_screen(text: str) -> str:
    """Return a text of lines with what would steer a terminal written out: `\\x1b`, `\\u202e`."""
    return _written(text, keep="\n\t")


def in_line(text: str) -> str:
    """Return what is to be one part of a line, likewise, with its line breaks written out too."""
    return _written(text, keep="")


def _written(text: str, keep: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each in keep or unicodedata.category(each) not in _STEERS else ascii(each)[1:-1]
        for each in text
    )
