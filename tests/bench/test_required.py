"""A measurement whose libraries are not installed is refused in words."""

import pytest

from privacy.errors import MissingDependency
from veilsum.bench.required import require


def test_what_is_installed_is_enough() -> None:
    """Nothing is imported to find out."""
    require("demo", "tenseal", "tomlkit")


def test_what_is_missing_is_named_with_its_extra() -> None:
    """So that the operator knows what to install."""
    with pytest.raises(MissingDependency, match=r"no_such is not .* 'veilsum\[demo\]'"):
        require("demo", "tenseal", "no_such")
