"""The product's own source files, as the tests about the whole tree read them."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = ("coordinator", "participant", "privacy", "veilsum")
_NOT_OURS = {"node_modules", "__pycache__", "v1"}


def source_files() -> list[Path]:
    """Every hand-written module, as a path below the root."""
    found = (path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    return sorted(
        path.relative_to(ROOT) for path in found if not _NOT_OURS.intersection(path.parts)
    )


def module_name(path: Path) -> str:
    """The name under which Python imports the file at `path`."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def parsed(path: Path) -> ast.Module:
    """The syntax tree of one source file."""
    return ast.parse((ROOT / path).read_text())


def public_definitions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Functions and classes that others may use, and the public methods of such classes."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_"):
            continue
        yield node  # type: ignore[misc]
        if isinstance(node, ast.ClassDef):
            yield from public_definitions(node)


def pyproject() -> dict[str, Any]:
    """The project's metadata and the settings of its tools."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
