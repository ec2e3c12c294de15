"""The round's state diagram, drawn from the transition table: `python -m tests.diagram`."""

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import coordinator.round as machine
from coordinator.round import TRANSITIONS, Phase


def mermaid() -> str:
    """Return the diagram, one arrow for each thing that an event can do to a phase."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.KEYING.name}"]
    for (phase, event), transition in TRANSITIONS.items():
        for target in targets(transition) or [phase.name]:
            lines.append(f"    {phase.name} --> {target}: {event.__name__}")
    lines += [f"    {phase.name} --> [*]" for phase in (Phase.DONE, Phase.ABORTED)]
    return "\n".join(lines)


def targets(transition: Callable[..., Any]) -> list[str]:
    """Return the phases that a transition can set, in the order of the phases."""
    found = set(_set_by(transition.__name__, set()))
    return [phase.name for phase in Phase if phase.name in found]


def _set_by(name: str, seen: set[str]) -> Iterator[str]:
    function = getattr(machine, name, None)
    if name in seen or not inspect.isfunction(function) or function.__module__ != machine.__name__:
        return
    seen.add(name)
    for node in ast.walk(ast.parse(inspect.getsource(function))):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "phase" and isinstance(keyword.value, ast.Attribute):
                yield keyword.value.attr
        if isinstance(node.func, ast.Name):
            yield from _set_by(node.func.id, seen)


if __name__ == "__main__":
    print(mermaid())
