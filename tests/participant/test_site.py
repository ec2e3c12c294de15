"""How a hospital's own site is found and what is asked of it."""

import subprocess
import sys

import pytest
from torch import nn

from participant.site import Site, initial_vector, load_site, model_shapes
from privacy.errors import ConfigError


class Whole:
    def model(self):
        return nn.Linear(3, 2)

    def records(self):
        return []

    def loss(self, output, target):
        return output


class Half:
    def model(self):
        return nn.Linear(3, 2)


class Choosy(Whole):
    def __init__(self, path):
        self.path = path


NOT_A_CLASS = 3


def test_a_site_is_loaded_by_its_name():
    """The one setting by which a hospital brings its data."""
    site = load_site(f"{__name__}:Whole")

    assert isinstance(site, Site)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no_colon", "package.module:Class"),
        (":Whole", "package.module:Class"),
        ("module:", "package.module:Class"),
        ("no.such.module:Whole", "cannot be imported"),
        (f"{__name__}:Nobody", "has no Nobody"),
        (f"{__name__}:NOT_A_CLASS", "is not a class"),
        (f"{__name__}:Half", "has no records, loss"),
        (f"{__name__}:Choosy", "without arguments"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name, says):
    """The operator must act, and reads only this line."""
    with pytest.raises(ConfigError, match=says):
        load_site(name)


def test_shapes_are_those_of_the_model():
    """In the model's own order, which the plan fixes for everyone."""
    assert model_shapes(Whole()) == (("weight", (2, 3)), ("bias", (2,)))


def test_the_first_model_does_not_come_from_torch():
    """Two calls build two torch models with different weights, and give one vector."""
    first, second = initial_vector(Whole(), "text"), initial_vector(Whole(), "text")

    assert first.tolist() == second.tolist()
    assert first.shape == (8,)


def test_the_agent_can_import_it_without_torch():
    """Only the worker, which ends after training, loads the heavy libraries."""
    names = (
        "participant.site, participant.training.privatise, privacy.local_training, privacy.vectors"
    )
    code = f"import sys, {names}; sys.exit('torch' in sys.modules or 'opacus' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
