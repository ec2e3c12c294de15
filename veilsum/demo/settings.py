"""The demo's agreed numbers: what its plans say about training, clipping, grid and model."""

from privacy.grid import Grid
from privacy.local_training import LocalTraining
from privacy.vectors import Shapes

ROUNDS = 3

DEMO_TRAINING = LocalTraining(
    sampling_rate="0.5",
    noise_multiplier="2.75",
    steps=6,
    clip="1",
    learning_rate="1",
    divisor=50,
)
"""One round at one site. Three rounds cost epsilon 2.84 at `DELTA` (Renyi accounting)."""

DELTA = "0.001"
"""Below 1/67, one over the number of patients of the smallest hospital."""

EPSILON_LIMIT = "3"
"""What each hospital's own policy allows for life."""

UPDATE_CLIP = "20"
"""L2 bound of a whole update. Its noise alone is 17.2 long (2.75 · sqrt(6 · 16,353) / 50)."""

DEMO_GRID = Grid(fraction_bits=11, value_bits=17)
"""Steps of 2^-11 within ±32, which `UPDATE_CLIP` cannot leave.

So few bits that two values go into each half of a slot; and a step is a 276th of the noise on
a value, which is 0.135 (2.75 · sqrt(6) / 50).
"""

SERVER_LEARNING_RATE = "1"

LEAVES_PER_CHUNK = 17
"""Under shares: so few that an upload has two chunks, and can be cut off between them."""

SCORE_STEP_LOG2 = 24
"""Under shares seats open scores in steps of 2^24 squared grid steps, which is 4 = 2^(24 - 2·11).

The noise alone spreads the squared norm of an update by 3.3 (0.135² · sqrt(2 · 16,353)).
"""

MODEL_SEED_TEXT = "veilsum demo model 1"
"""The public text that the first global model is expanded from."""

HIDDEN = 511
"""Hidden units; 30 · 511 + 511 + 511 + 1 = 16,353 parameters, two ciphertexts."""

DEMO_SHAPES: Shapes = (
    ("hidden.weight", (HIDDEN, 30)),
    ("hidden.bias", (HIDDEN,)),
    ("output.weight", (1, HIDDEN)),
    ("output.bias", (1,)),
)
