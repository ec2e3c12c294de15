"""Names for values of PyTorch and CrypTen, which load late and tell a type checker nothing."""

from typing import Any

Tensor = Any
"""A tensor of PyTorch."""

Device = Any
"""Where PyTorch keeps a tensor."""

Operation = Any
"""How PyTorch joins the tensors of several parties."""

Shared = Any
"""A tensor of CrypTen: this seat's share of it."""

CrypTen = Any
"""A class, module or object of CrypTen."""
