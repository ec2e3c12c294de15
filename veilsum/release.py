"""Which release of Veilsum this is, as its installed package says, and how it is said on a wire."""

from importlib.metadata import version
from typing import Final

RELEASE: Final = version("veilsum")
"""Such as 0.1.0."""

METADATA: Final = "veilsum-release"
"""Each call carries the caller's release under this name, and each answer the server's."""

TIME: Final = "veilsum-time"
"""Each answer of a coordinator carries its clock under this name: seconds since 1970."""
