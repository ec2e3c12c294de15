"""Make the frozen bundles of tests/vectors: `python -m tests.processes.evidence_vectors FOLDER`.

Once for each version of the format, before its release. A frozen bundle that is not verified any
more is a defect of the verifier: making another one would hide it.
"""

import sys
import time
from pathlib import Path

from veilsum.audit.export import export
from veilsum.audit.trusted import keys_text

from .federation import federation

SEATS = {"ckks": (), "shares": ("seat-1", "seat-2", "seat-3")}


def main(folder: Path) -> None:
    """Run one round of real processes under each scheme, and export what it leaves."""
    for scheme, seats in SEATS.items():
        with federation(folder / scheme, seats=seats, wanted=1) as made:
            made.run_to_the_end()
            # The run first, so that it has seen no more of the site than the site's own bundle.
            for name, state in (
                ("run", made.places.coordinator),
                ("site", made.places.site("site-a")),
            ):
                text = export(state, time.time)
                (folder / f"evidence_v1_{scheme}_{name}.bundle").write_bytes(text)
            print(scheme, keys_text(made.places.site("site-a") / "site.toml"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
