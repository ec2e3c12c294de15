"""A key and a sum as the running TenSEAL release makes them, to be opened under another one.

`python -m tests.ckks_golden` prints tests/vectors/ckks_tenseal_<release>.json. The secret is
published on purpose and used nowhere else.
"""

import base64
import json
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import numpy as np

from privacy.schemes.base import Integers
from privacy.schemes.ckks import CkksProtector, make_cohort_key
from privacy.schemes.ckks_parameters import CkksParameters
from privacy.schemes.ckks_sum import CkksCombiner
from privacy.schemes.masks import Mask

PARAMETERS = CkksParameters(21, 16, 8, values_per_half=2)
DIMENSION = 8192 + 5000
"""Two chunks; the second one, which is kept, is short and has both fields in use."""


def update(site: int) -> Integers:
    """One site's values of the second chunk: any of 16 bits, by a linear congruence."""
    index = np.arange(5000) + 10_007 * site
    return (index * 1_664_525 + 1_013_904_223) % (2**16 - 1) - (2**15 - 1)


def mask(site: int) -> Mask:
    """One site's mask: its secret is published, as the key's is."""
    return Mask(PARAMETERS, bytes([site]) * 32, b"ckks_golden")


def vector() -> dict[str, Any]:
    """All that the file holds."""
    key, release = make_cohort_key(PARAMETERS), version("tenseal")
    payloads = [
        CkksProtector(PARAMETERS, DIMENSION, key.public, mask(site)).protect(1, update(site))
        for site in range(3)
    ]
    total = CkksCombiner(PARAMETERS, DIMENSION).combine(1, payloads)
    values = sum(update(site) for site in range(3))
    return {
        "source": f"Written by tests/ckks_golden.py with TenSEAL {release}; the secret is "
        "published on purpose and used nowhere else",
        "release": release,
        "sum_sha256": sha256(np.asarray(values).astype("<i8").tobytes()).hexdigest(),
        "public": base64.b64encode(key.public).decode(),
        "secret": base64.b64encode(key.secret).decode(),
        "total": base64.b64encode(total).decode(),
    }


if __name__ == "__main__":
    print(json.dumps(vector(), indent=2))
