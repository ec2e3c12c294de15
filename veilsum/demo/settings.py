"""The demo's agreed numbers: what its plans say under each mechanism, and about which model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from privacy.distributed_sum import DistributedSum
from privacy.grid import Grid
from privacy.local_training import LocalTraining
from privacy.mechanism import Training
from privacy.plan import Mechanism
from privacy.vectors import Shapes

DELTA = "0.001"
"""Below 1/67, one over the number of patients of the smallest hospital."""

LEAVES_PER_CHUNK = 9
"""Under shares: so few that an upload has two chunks, and can be cut off between them."""

SCORE_STEP_LOG2 = 24
"""Scores are rounded to steps of 2^24 squared grid steps, which is 4 = 2^(24 - 2·11).

The noise alone spreads the squared norm of an update by 3.3 (0.135² · sqrt(2 · 16,353)).
"""

HIDDEN = 511
"""Hidden units; 30 · 511 + 511 + 511 + 1 = 16,353 parameters, two ciphertexts."""


@dataclass(frozen=True, slots=True)
class Job:
    """One training, agreed before its first round.

    Attributes:
        rounds: released models wanted.
        training: what one round does to each site's data.
        clip: L2 bound of a whole update.
        cohort_minimum: fewest hospitals in a sum.
        epsilon_limit, vector_epsilon_limit: what each hospital's policy allows for life, for
            who sees sums only and for who can open one update.
        model_text: the public text that the first global model is expanded from.
        sites: the module whose classes bring the hospitals' data.
        failpoint: where the killed hospital is when it is killed.
    """

    mechanism: Mechanism
    rounds: int
    training: Training
    clip: str
    grid: Grid
    cohort_minimum: int
    server_learning_rate: str
    epsilon_limit: str
    vector_epsilon_limit: str
    shapes: Shapes
    model_text: str
    sites: str
    failpoint: str


LOCAL = Job(
    mechanism=Mechanism.LOCAL,
    rounds=3,
    # Three rounds cost epsilon 2.83 at `DELTA` (Renyi accounting).
    training=LocalTraining(
        sampling_rate="0.5",
        noise_multiplier="2.75",
        steps=6,
        clip="1",
        learning_rate="1",
        divisor=50,
    ),
    # The noise of an update alone is 17.2 long (2.75 · sqrt(6 · 16,353) / 50).
    clip="20",
    # Steps of 2^-11 within ±32, which `clip` cannot leave. So few bits that two values go into
    # each half of a slot; and a step is a 276th of the noise on a value, which is 0.135
    # (2.75 · sqrt(6) / 50).
    grid=Grid(fraction_bits=11, value_bits=17),
    cohort_minimum=3,
    server_learning_rate="1",
    epsilon_limit="3",
    vector_epsilon_limit="3",
    shapes=(
        ("hidden.weight", (HIDDEN, 30)),
        ("hidden.bias", (HIDDEN,)),
        ("output.weight", (1, HIDDEN)),
        ("output.bias", (1,)),
    ),
    model_text="veilsum demo model 1",
    sites="veilsum.demo.hospitals",
    # Round one sends two chunks; the third passage is the first chunk of round two.
    failpoint="send.after_chunk:3=pause",
)
"""A network of one hidden layer, trained by DP-SGD at each hospital."""

DISTRIBUTED = Job(
    mechanism=Mechanism.DISTRIBUTED,
    rounds=20,
    # Twenty rounds cost epsilon 1.00 at `DELTA`, and 1.90 for who can open one update. Three of
    # the four hospitals add all of the noise, since one may know, or leave out, its own part.
    training=DistributedSum(
        sampling_rate="1",
        noise_multiplier="13",
        clip="0.5",
        units_cap=150,
        divisor=400,
        honest=3,
        colluders=1,
    ),
    clip="75",
    # 150 patients of 0.5 and twelve deviations of 3.8 (13 · 0.5 / sqrt(3)) stay within ±128.
    grid=Grid(fraction_bits=13, value_bits=21),
    cohort_minimum=4,
    server_learning_rate="4",
    epsilon_limit="1",
    vector_epsilon_limit="2",
    shapes=(("output.weight", (1, 30)), ("output.bias", (1,))),
    model_text="veilsum demo model 2",
    sites="veilsum.demo.logistic_hospitals",
    # An upload is one ciphertext: it is killed when it has paid for round two, and sent nothing.
    failpoint="contribute.after_commit:2=pause",
)
"""A logistic regression, by one noisy full-batch gradient over all hospitals a round."""

JOBS: Final[Mapping[str, Job]] = {"local": LOCAL, "distributed": DISTRIBUTED}
"""The demo's training under each mechanism."""
