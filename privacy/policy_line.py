"""One line of a member's own file, as a refusal names it: file, key and value."""

from dataclasses import dataclass
from typing import Final

_LONGEST_VALUE: Final = 160


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """`site.toml: policy.smallest_cohort = 3`, for whoever has to look it up, or to change it.

    Attributes:
        key: dotted, with its table: `policy.schemes`, `dataset.records`.
        value: as TOML writes it; what is longer than a line is cut.
    """

    file: str
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key} = {self.value}"


def written(value: object) -> str:
    """Return a setting's value as a file says it, cut to the length of a line."""
    text = _written(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _written(value: object) -> str:
    match value:
        case None:
            return "(not set)"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case tuple() | list():
            return f"[{', '.join(_written(each) for each in value)}]"
        case _:
            return str(value)
