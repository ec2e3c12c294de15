"""A site's state folder as its agent leaves it: keys, ledger, policy, and what was signed."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from participant.kept import FOLDER, Kept
from participant.keys import make_keys
from privacy.documents import Signed
from tests.privacy import example_round as example
from tests.privacy.evidence import example_bundle as made

TEXT = """
federation = "oncology"
participant = "amber"
state = "{state}"
[coordinator]
address = "127.0.0.1:1"
authority = "authority.pem"
certificate = "certificate.pem"
[dataset]
id = "ward"
site = "ward.site:Ward"
records = 100
[policy]
roster = "{roster}"
openers = ["amber", "birch", "cedar"]
first_model = "first"
schemes = ["ckks/1"]
smallest_cohort = 3
epsilon_per_round = "9"
epsilon_for_life = "60"
delta = "0.001"
unit = "patient"
neighbouring = "add_remove"
releases = ["participation"]
"""


def make(folder: Path, rounds: int = 1) -> None:
    """Leave in `folder` what a site has after some rounds of the example."""
    make_keys(folder / "keys", os.urandom)
    (folder / "keys" / "signing.key").write_bytes(_pem(example.signing_key(made.SITE)))
    text = TEXT.replace("{state}", str(folder)).replace("{roster}", example.roster().digest())
    (folder / "site.toml").write_text(text)
    ledger = made.open_ledger(folder)
    made.begin(ledger)
    for number in range(1, rounds + 1):
        made.spend(ledger, number)
    ledger.close()
    keep(folder, rounds)


def keep(folder: Path, rounds: int) -> None:
    """Keep what was signed in some rounds, as a site's agent does."""
    kept = Kept(folder / FOLDER)
    for one in made.documents(*range(1, rounds + 1)):
        signatures = {name: bytes.fromhex(each) for name, each in one.signatures.items()}
        kept.keep(one.purpose, one.round, Signed(one.body, signatures))


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
