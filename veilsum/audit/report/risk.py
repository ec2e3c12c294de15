"""What epsilon means for one person: how sure an attacker can become."""

import math
from collections.abc import Iterator, Sequence

from veilsum.audit.second_opinion import Opinions, gaussian_mu

from .contents import DatasetSpend, Risk, View

PRIORS = (0.01, 0.1, 0.5)
"""How sure the attacker was before."""


def risks_of(datasets: Sequence[DatasetSpend]) -> Iterator[Risk]:
    """Yield what the largest epsilon of each view means, of the release and for life."""
    for name in ("sums", "vector"):
        views: list[View] = [getattr(one, name) for one in datasets]
        for scope in ("release", "lifetime"):
            known = [(getattr(one, scope), getattr(one, f"{scope}_opinions")) for one in views]
            known = [each for each in known if each[0] is not None]
            if known:
                yield _risk(name, scope, *max(known, key=_epsilon))


def posterior(prior: float, epsilon: float) -> float:
    """Return the most that an attacker who began at `prior` can be sure, at this epsilon.

    Delta is left out: about so often the bound does not hold.

    Source: Wood et al., "Differential Privacy: A Primer for a Non-Technical Audience" (2018).
    """
    return 1.0 / (1.0 + math.exp(-epsilon) * (1.0 - prior) / prior)


def _risk(view: str, scope: str, epsilon: float, said: Opinions | None) -> Risk:
    exact = said is not None and said.mu is not None
    return Risk(
        view=view,
        scope=scope,
        epsilon=epsilon,
        posterior={f"{prior:g}": posterior(prior, epsilon) for prior in PRIORS},
        mu=_mu(said),
        mu_is_exact=exact,
    )


def _mu(said: Opinions | None) -> float | None:
    if said is None:
        return None
    return gaussian_mu(said.google_pld, said.delta) if said.mu is None else said.mu


def _epsilon(pair: tuple[float, Opinions | None]) -> float:
    return pair[0]
