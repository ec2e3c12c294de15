"""What a test does when the machine lacks a tool that pip does not bring."""

import os
import shutil
from pathlib import Path

import pytest


def require_tool(name: str, package: str) -> Path:
    """Return where the tool is; without it, the test is skipped, or fails in CI."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is missing: an administrator installs the package {package}")
    return Path(str(found))


def missing(reason: str) -> None:
    """End the test: skipped on a developer's machine, failed where CI installed the tool."""
    if os.environ.get("TESTS_IN_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
