"""The release that goes over the wire is the one in pyproject.toml."""

import tomllib

from tests.source_tree import ROOT
from veilsum.release import RELEASE


def test_the_installed_release_is_that_of_the_project():
    """An editable install that is older than the file says a release that it is not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == RELEASE
