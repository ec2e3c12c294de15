"""Libraries without which something cannot be measured."""

from importlib.util import find_spec

from privacy.errors import MissingDependency


def require(extra: str, *libraries: str) -> None:
    """Return if these libraries are installed.

    Raises:
        MissingDependency: one is not; the message names the extra that brings it.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise MissingDependency(f"{library} is not installed: pip install 'veilsum[{extra}]'")
