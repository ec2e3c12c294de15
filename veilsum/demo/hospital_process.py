"""One hospital of the demo: a site like any other, with the witness in its worker.

Run as `python -m veilsum.demo.hospital_process SITE.toml`.
"""

import sys
from pathlib import Path

from veilsum.federation.site import run_site

from .witness import serve

if __name__ == "__main__":
    run_site(Path(sys.argv[1]), serve)
