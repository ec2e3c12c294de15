"""The round's state diagram, drawn from the transition table: `python -m tests.diagram`."""

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import coordinator.rounds.round as machine
from coordinator.rounds import seated, state
from coordinator.rounds.round import TRANSITIONS, Phase


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
    found = set(_set_by(transition, set()))
    return [phase.name for phase in Phase if phase.name in found]


def _set_by(function: Any, seen: set[Any]) -> Iterator[str]:
    ours = (machine.__name__, seated.__name__, state.__name__)
    if not inspect.isfunction(function) or function in seen or function.__module__ not in ours:
        return
    seen.add(function)
    for node in ast.walk(ast.parse(inspect.getsource(function))):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "phase" and isinstance(keyword.value, ast.Attribute):
                yield keyword.value.attr
        yield from _set_by(_named(node.func, function.__globals__), seen)


def _named(callee: ast.expr, known: dict[str, Any]) -> Any:
    match callee:
        case ast.Name(name):
            return known.get(name)
        case ast.Attribute(ast.Name(module), name):
            return getattr(known.get(module), name, None)
    return None


if __name__ == "__main__":
    print(mermaid())
