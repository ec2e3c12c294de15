"""Kinds of settings files, and the type of each; a type is imported when it is asked for."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import msgspec


class Kind(StrEnum):
    """Whose file it is."""

    COORDINATOR = "coordinator"
    SITE = "site"
    AUDITOR = "auditor"
    AGGREGATOR = "aggregator"
    OPERATOR = "operator"
    DRIVER = "driver"


def type_of(kind: Kind) -> "type[msgspec.Struct]":
    """Return the type of a kind of file."""
    from importlib import import_module  # noqa: PLC0415

    modules = {
        Kind.COORDINATOR: ("coordinator.config", "Settings"),
        Kind.DRIVER: ("coordinator.config", "DriverSettings"),
        Kind.SITE: ("participant.config", "SiteConfig"),
        Kind.AUDITOR: ("participant.auditing.config", "AuditorConfig"),
        Kind.AGGREGATOR: ("participant.seat.config", "AggregatorConfig"),
        Kind.OPERATOR: ("participant.joining.operator_config", "OperatorConfig"),
    }
    module, name = modules[kind]
    found: type[msgspec.Struct] = getattr(import_module(module), name)
    return found
