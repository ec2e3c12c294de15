"""A missing tool may cost a developer a test, but never CI."""

import pytest

from tests.missing_tools import require_tool


def test_a_present_tool_is_found() -> None:
    """The test goes on with the tool's path."""
    found = require_tool("sh", "dash")

    assert found.name == "sh"


def test_a_missing_tool_skips_and_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer reads what to install, and where it is missing."""
    monkeypatch.delenv("TESTS_IN_CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"no-such-tool is missing: .* package nothing"):
        require_tool("no-such-tool", "nothing")


def test_a_missing_tool_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI installs the tools; a skip there would hide a test that never ran."""
    monkeypatch.setenv("TESTS_IN_CI", "1")

    with pytest.raises(pytest.fail.Exception, match="no-such-tool"):
        require_tool("no-such-tool", "nothing")
