"""How a hospital brings its own data and model: three methods, in a class of its own.

Nothing here asks for a count, a mean or a loss to be sent anywhere: what leaves a site
is the protected update, and the plan lists whatever else is released.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from privacy import initial
from privacy.errors import ConfigError
from privacy.vectors import Shapes

if TYPE_CHECKING:
    # The agent imports this file and must stay without torch; only the worker loads it.
    from torch import Tensor
    from torch.nn import Module

Unit: TypeAlias = "tuple[Tensor, Tensor]"
"""All that one unit of privacy (a record, or a patient) adds: features and targets of its rows.

Both tensors have one entry per row on their first axis, and at least one. A patient with
several rows is **one** unit with several rows: however many they are, their mean gradient
is clipped once, and so the guarantee is the patient's.
"""


@runtime_checkable
class Site(Protocol):
    """A hospital's data and model, as the training sees them.

    Scale features with public constants only. A mean or maximum of the site's own
    patients is a query on them which nobody accounts for.
    """

    def model(self) -> Module:
        """Return the network of the agreed shapes; its initial weights do not matter."""
        ...

    def records(self) -> Sequence[Unit]:
        """Return the site's data: one element for each unit of privacy."""
        ...

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return one loss per row, shape (rows,), none of which depends on another row."""
        ...


def load_site(name: str) -> Site:
    """Return the site that `name`, "package.module:Class", says; the class takes no arguments.

    Raises:
        ConfigError: no such module or class, or it is not a `Site`.
    """
    module_name, colon, class_name = name.partition(":")
    if not (module_name and colon and class_name):
        raise ConfigError(f"site {name!r} is not written as package.module:Class")
    factory = getattr(_module(name, module_name), class_name, None)
    if factory is None:
        raise ConfigError(f"site {name!r}: module {module_name} has no {class_name}")
    return _site(name, factory)


def model_shapes(site: Site) -> Shapes:
    """Return the names and shapes of the parameters of the site's model, in its own order."""
    parameters = site.model().named_parameters()
    return tuple((name, tuple(parameter.shape)) for name, parameter in parameters)


def initial_vector(site: Site, seed_text: str) -> NDArray[np.float64]:
    """Return the first global model for the site's shapes, from a public text.

    Raises:
        MalformedMessage: the text is empty.
    """
    return initial.initial_vector(model_shapes(site), seed_text)


def _module(name: str, module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"site {name!r} cannot be imported: {error}") from error


def _site(name: str, factory: object) -> Site:
    if not callable(factory):
        raise ConfigError(f"site {name!r} is not a class")
    try:
        site = factory()
    except TypeError as error:
        raise ConfigError(f"site {name!r} cannot be made without arguments: {error}") from error
    missing = [
        verb for verb in ("model", "records", "loss") if not callable(getattr(site, verb, None))
    ]
    if missing:
        raise ConfigError(f"site {name!r} has no {', '.join(missing)}")
    return cast(Site, site)
