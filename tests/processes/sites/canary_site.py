"""The tiny site with a marked patient: numbers that nothing else has."""

import torch
from tiny_site import TinySite
from torch import Tensor

MARKS = (0.6180339887498949, -0.5772156649015329, 0.9159655941772190)


class CanarySite(TinySite):
    """Eight patients, of whom one is marked."""

    def records(self) -> list[tuple[Tensor, Tensor]]:
        rows = super().records()
        marked = torch.tensor(MARKS * 32).reshape(1, 96)
        return [(marked, marked.flip(1)), *rows[1:]]
