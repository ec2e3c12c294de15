"""The documents point at things that exist: files, headings of pages, tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
TEST = re.compile(r"\[`([\w/]+\.py)::(\w+)`\]")


def defined_in(path: Path) -> set[str]:
    """Names of the test functions in a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, kinds)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A reader who follows a link finds what it promises."""
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]

    missing = [link for link in targets if not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_claims_point_at_tests_that_exist(page: Path) -> None:
    """A claim whose test was renamed or deleted stands behind nothing."""
    named = TEST.findall(page.read_text())

    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).exists() or name not in defined_in(ROOT / "tests" / file)
    ]

    assert missing == []


def test_the_threat_model_names_its_tests() -> None:
    """The check above would pass on a page that claims without tests."""
    named = TEST.findall((ROOT / "docs" / "threat-model.md").read_text())

    assert len(named) > 50
