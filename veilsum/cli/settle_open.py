"""`veilsum settle deploy`, `open`, `verify` and `register`: what comes before and after rounds."""

from pathlib import Path
from typing import Annotated

import typer

from .config_file import ConfigFile
from .surface import Answer, Sets, command, over

_VERIFIED = {
    0: "The contracts are this release's; where settings were given, the programme is by them.",
    3: "Something is not what it must be; what it is stands there.",
    5: "Nothing answers, or the contracts are not final yet.",
}

_Settings = Annotated[
    Path | None,
    typer.Option("--config", help="The TOML file of a coordinator, site, auditor or seat."),
]
_Url = Annotated[str | None, typer.Option(help="The chain's URL, where there is no file.")]
_Address = Annotated[str, typer.Option(metavar="ADDRESS", help="The registry of models.")]


def add_opening(app: typer.Typer) -> None:
    """Give `veilsum settle` what a programme's operator does."""
    command(app, "deploy")(_deploy)
    command(app, "open")(_open)
    command(app, "verify", verdicts=_VERIFIED)(_verify)
    command(app, "register")(_register)


def _deploy(
    *,
    config: _Settings = None,
    rpc: _Url = None,
    keystore: Annotated[Path | None, typer.Option(help="The key that pays, a file.")] = None,
    passphrase: Annotated[Path | None, typer.Option(help="The file with its passphrase.")] = None,
    transactions: Annotated[
        Path | None, typer.Option(help="The folder for what the key sends; keep it.")
    ] = None,
    sets: Sets = None,
) -> Answer:
    """Deploy the contracts, once for each key, and say where they stand.

    With --config, contract and programme need not be in the file. After a crash, run it again.
    """
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.deploying import deploy  # noqa: PLC0415
    from veilsum.settling.founding import Typed, means_of  # noqa: PLC0415
    from veilsum.settling.founding_words import of_contracts  # noqa: PLC0415

    start_log()
    typed = Typed(rpc, keystore, passphrase, transactions)
    made = deploy(means_of(config, typed, over(sets)))
    return Answer(made, of_contracts(made))


def _open(
    *,
    config: ConfigFile,
    terms: Annotated[Path, typer.Option(help="The TOML file with the programme's terms.")],
    fund: Annotated[bool, typer.Option(help="Fill the escrow with this key's tokens.")] = True,
    bond: Annotated[bool, typer.Option(help="Bond with this key's tokens.")] = True,
    sets: Sets = None,
) -> Answer:
    """Open a programme with a coordinator's key, fund it and bond; say what goes into files.

    The same terms open one programme: after a crash, run it again.
    """
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.founding_words import of_opened  # noqa: PLC0415
    from veilsum.settling.opening import opening_of  # noqa: PLC0415
    from veilsum.settling.terms_file import read_terms  # noqa: PLC0415

    start_log()
    opening = opening_of(config, read_terms(terms), over(sets))
    opened = opening.open(fund=fund, bond=bond)
    return Answer(opened, of_opened(opened))


def _verify(
    *,
    config: _Settings = None,
    rpc: _Url = None,
    contract: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The settlement, where there is no file.")
    ] = "",
    registry: _Address = "",
    sets: Sets = None,
) -> Answer:
    """Compare the contracts' code with this release's, and a programme with a file of settings.

    No key is needed with --rpc and --contract.
    """
    from veilsum.settling.verifying import verify, words_of  # noqa: PLC0415

    found = verify(config, rpc, contract, registry, over(sets))
    return Answer(found, words_of(found), 3 if found.wrong() else 0)


def _register(
    *,
    config: ConfigFile,
    registry: _Address,
    sets: Sets = None,
) -> Answer:
    """Register the model of each round that has matured, in order; anyone may, for its gas."""
    from veilsum.chain.endpoint import signer_of  # noqa: PLC0415
    from veilsum.process import start_log  # noqa: PLC0415
    from veilsum.settling.founding_words import of_versions  # noqa: PLC0415
    from veilsum.settling.place import place_of, typed_address  # noqa: PLC0415
    from veilsum.settling.registering import Registering, registry_at  # noqa: PLC0415

    start_log()
    address, place = typed_address("--registry", registry), place_of(config, over(sets))
    programme, key = place.on_chain(), signer_of(place.access)
    at = registry_at(programme, address)
    versions = Registering(programme, at, key, place.journal()).register()
    return Answer({"registered": versions}, of_versions(versions))
