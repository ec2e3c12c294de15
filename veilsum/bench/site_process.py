"""One site of a measured round: a site like any other, untrained updates in its worker.

Run as `python -m veilsum.bench.site_process SITE.toml`.
"""

import sys
from pathlib import Path

from veilsum.federation.site import run_site

from .workshop import serve

if __name__ == "__main__":
    run_site(Path(sys.argv[1]), serve)
