"""The compiled contracts, read from the artefacts that are committed beside their sources."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class Artefact(msgspec.Struct, frozen=True, rename={"deployed_bytecode": "deployedBytecode"}):
    """One contract: its interface, the code that deploys it, the code that then runs."""

    contract: str
    abi: tuple[dict[str, Any], ...]
    bytecode: str
    deployed_bytecode: str


@cache
def load(name: str) -> Artefact:
    """Return the artefact of the contract `name`, such as `Settlement`."""
    return parse(files(__package__).joinpath("artifacts", f"{name}.json").read_bytes())


def parse(body: bytes) -> Artefact:
    """Return the artefact that `body`, written by `build.mjs`, holds."""
    return msgspec.convert(json.loads(body), Artefact)
