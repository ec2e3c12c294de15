"""The one door to CrypTen, which was written for an older PyTorch.

CrypTen 0.4.1 imports ``onnx`` and a registry that PyTorch has since removed, both
only to read model files, which Veilsum never does. Empty stand-ins take their names
while CrypTen loads, and are gone before anybody else could mistake them for the real
ones.

CrypTen's own random numbers must never hide anything: its generator has 32 bits of
seed on a processor. It computes on shares; it does not make them.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final, cast

from .errors import MissingDependency

# What CrypTen takes from each module while it loads, and never uses afterwards.
_STAND_INS: Final = {
    "onnx": "numpy_helper",
    "torch.onnx._internal.registration": "registry",
}


def import_crypten() -> ModuleType:
    """CrypTen, ready to compute on shares.

    Raises:
        MissingDependency: CrypTen, or what it needs to load, is not installed.
    """
    try:
        with _stand_ins():
            import crypten  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy, and optional
    except ImportError as missing:
        raise MissingDependency(
            f"secret shares need CrypTen 0.4.1 and its configuration reader ({missing}): "
            "pip install --no-deps crypten==0.4.1 omegaconf==2.4.0 pyyaml==6.0.3"
        ) from missing
    return cast("ModuleType", crypten)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Fill the names that CrypTen asks for, as long as nothing real has them."""
    added = [name for name in _STAND_INS if name not in sys.modules]
    for name in added:
        sys.modules[name] = _empty_module(name, _STAND_INS[name])
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)


def _empty_module(name: str, attribute: str) -> ModuleType:
    """A module that holds one name and nothing behind it."""
    module = ModuleType(name)
    setattr(module, attribute, None)
    return module
