"""Looks for secrets where they must not be: as they are, in hex and in base64, at any offset."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def forms(secret: bytes) -> set[bytes]:
    """Every way in which a secret of some length is commonly written."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        # What stands before a secret moves where base64 cuts; the ends depend on neighbours.
        padded = b"\0" * shift + secret
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).rstrip(b"=")
            found.add(text[4 if shift else 0 : len(text) // 4 * 4 - 4])
    return {each for each in found if len(each) >= 8}


def files_below(folder: Path, spared: Iterable[Path] = ()) -> Iterator[Path]:
    """Every file below a folder, but those in the folders, or of the names, that are spared."""
    away = tuple(spared)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path == each or each in path.parents for each in away):
            yield path


def hits(secrets: Mapping[str, bytes], places: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return which secret is where, each once."""
    wanted = {name: forms(secret) for name, secret in secrets.items()}
    return [
        (name, place)
        for place, body in places.items()
        for name, needles in wanted.items()
        if any(needle in body for needle in needles)
    ]
