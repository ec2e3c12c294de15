"""Audit what is shipped, and then what is broken on purpose."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TypeVar

from privacy.errors import ConfigError
from privacy.plan import CKKS, SHARES, Mechanism

from .controls import controls_of
from .result import PrivacyAudit, PrivacyAudits, Verdict
from .standard import CANARIES, EPSILON, for_control, settings
from .workers import Job, audited

EXIT = {Verdict.PASSED: 0, Verdict.VIOLATED: 1, Verdict.TOO_WEAK: 3}
"""The exit status of each verdict; 3, as where evidence is missing: nothing is known."""

Chosen = TypeVar("Chosen")

_SCHEMES = {"ckks": CKKS, "shares": SHARES}


def run(
    mechanisms: Iterable[Mechanism] = tuple(Mechanism),
    schemes: Iterable[str] = (CKKS, SHARES),
    *,
    epsilon: float = EPSILON,
    canaries: int = CANARIES,
    controls: bool = False,
    say: Callable[[PrivacyAudit], None] = lambda _: None,
    count: Callable[[int], None] = lambda _: None,
) -> PrivacyAudits:
    """Audit each mechanism under each scheme, and with `controls` its defective doubles.

    Args:
        say: is told of each audit, in order.
        count: is told before the first one how many there are.

    Raises:
        ConfigError: a process of the audit died.
        UnsafeParameters: too few canaries, or an epsilon that no noise reaches.
    """
    started, mechanisms = time.monotonic(), tuple(mechanisms)
    shipped = settings(mechanisms, schemes, epsilon=epsilon, canaries=canaries)
    jobs = [Job(setting) for setting in shipped]
    as_shipped = len(jobs)
    jobs += _controls(mechanisms, epsilon, canaries) if controls else ()
    count(len(jobs))
    with closing(audited(jobs)) as results:
        made = tuple(_told(results, say))
    seconds = round(time.monotonic() - started, 1)
    return PrivacyAudits(made[:as_shipped], made[as_shipped:], seconds)


def chosen(mechanism: str, scheme: str) -> tuple[tuple[Mechanism, ...], tuple[str, ...]]:
    """Return the mechanisms and schemes that a command line names; all where it names none.

    Raises:
        ConfigError: there is none of that name.
    """
    mechanisms = {each.value: each for each in Mechanism}
    return _named("mechanism", mechanism, mechanisms), _named("scheme", scheme, _SCHEMES)


def _named(what: str, name: str, known: Mapping[str, Chosen]) -> tuple[Chosen, ...]:
    if not name:
        return tuple(known.values())
    if name not in known:
        raise ConfigError(f"{what} {name!r}: choose among {', '.join(known)}")
    return (known[name],)


def _controls(mechanisms: Iterable[Mechanism], epsilon: float, canaries: int) -> Iterator[Job]:
    for mechanism in mechanisms:
        setting = for_control(mechanism, epsilon=epsilon, canaries=canaries)
        for control in controls_of(mechanism):
            yield Job(setting, control.name)


def _told(
    audits: Iterator[PrivacyAudit], say: Callable[[PrivacyAudit], None]
) -> Iterator[PrivacyAudit]:
    for each in audits:
        say(each)
        yield each
