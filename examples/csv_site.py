"""A hospital's site over one CSV file: patient, 30 features, 0 or 1; a patient may have many rows.

PYTHONPATH=examples COHORT_CSV=cohort.csv \\
    veilsum participant run --config site.toml --site csv_site:CsvSite

Set `dataset.records_per_unit` in site.toml to the most rows that one patient has.
"""

import csv
import os
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor, nn

CENTRE, SPREAD = 50.0, 10.0  # public constants: never the mean or deviation of your own patients


class CsvSite:
    """Data, model and loss of one hospital."""

    def model(self) -> nn.Module:
        """Return the network that the federation agreed on."""
        return nn.Sequential(nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 1))

    def records(self) -> list[tuple[Tensor, Tensor]]:
        """Return one element per patient: all of that patient's rows."""
        with Path(os.environ["COHORT_CSV"]).open(newline="") as file:
            rows = sorted(list(csv.reader(file))[1:], key=lambda row: row[0])
        return [self._patient(list(own)) for _, own in groupby(rows, key=lambda row: row[0])]

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return one loss per row."""
        return nn.functional.binary_cross_entropy_with_logits(
            output[:, 0], target, reduction="none"
        )

    def _patient(self, rows: list[list[str]]) -> tuple[Tensor, Tensor]:
        values = torch.tensor([[float(cell) for cell in row[1:]] for row in rows])
        return (values[:, :-1] - CENTRE) / SPREAD, values[:, -1]
