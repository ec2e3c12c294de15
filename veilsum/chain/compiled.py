"""The compiled contracts, read from the artefacts that are committed beside their sources."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from eth_utils.crypto import keccak

from privacy.errors import WrongContext
from privacy.learned import learned


class Artefact(
    msgspec.Struct,
    frozen=True,
    rename={"deployed_bytecode": "deployedBytecode"},
):
    """One contract: its interface, the code that deploys it, the code that then runs.

    Attributes:
        source: the file that it was compiled from; with the name, how links name a library.
        immutables: where the running code has values that its constructor was given.
    """

    contract: str
    abi: tuple[dict[str, Any], ...]
    bytecode: str
    deployed_bytecode: str
    source: str = ""
    immutables: tuple[tuple[int, int], ...] = ()

    def placeholder(self) -> str:
        """Return what stands in other code where this one's address belongs, as a library."""
        return f"__${keccak(text=f'{self.source}:{self.contract}').hex()[:34]}$__"

    def linked(self, libraries: Mapping[str, str]) -> "Artefact":
        """Return this contract with the addresses of the libraries that it calls.

        Raises:
            WrongContext: it calls one whose address is not given.
        """
        code, running = self.bytecode, self.deployed_bytecode
        for name, address in libraries.items():
            hole, fill = load(name).placeholder(), address.lower().removeprefix("0x")
            code, running = code.replace(hole, fill), running.replace(hole, fill)
        if "__$" in code or "__$" in running:
            raise WrongContext(f"{self.contract} calls a library whose address is not given")
        return msgspec.structs.replace(self, bytecode=code, deployed_bytecode=running)

    def runs_as(self, code: bytes) -> bool:
        """Return whether `code` is this contract's, whatever its constructor was given."""
        expected, found = bytearray.fromhex(self.deployed_bytecode[2:]), bytearray(code)
        if len(expected) != len(found):
            return False
        for start, length in self.immutables:
            expected[start : start + length] = found[start : start + length] = bytes(length)
        return expected == found


@cache
def load(name: str) -> Artefact:
    """Return the artefact of the contract `name`, such as `Settlement`."""
    return parse(files(__package__).joinpath("artifacts", f"{name}.json").read_bytes())


@cache
def names() -> tuple[str, ...]:
    """Return the names of all artefacts that there are."""
    folder = files(__package__).joinpath("artifacts")
    found = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name[: -len(".json")] for name in found if name.endswith(".json")))


def parse(body: bytes) -> Artefact:
    """Return the artefact that `body`, written by `build.mjs`, holds."""
    found = json.loads(body)
    by_syntax: dict[str, list[dict[str, int]]] = found.pop("immutableReferences", {})
    places = (place for each in by_syntax.values() for place in each)
    found["immutables"] = sorted((place["start"], place["length"]) for place in places)
    return msgspec.convert(found, learned(Artefact))
