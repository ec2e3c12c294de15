"""`veilsum budget`: what a site's data may still give away, and who may change that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veilsum.process import exit_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from veilsum.audit.budget import Order
    from veilsum.audit.signed_elsewhere import Paper

budget_app = typer.Typer(no_args_is_help=True, help="Limits of a site's privacy budget.")

State = Annotated[Path | None, typer.Option(help="The site's state folder, with site.toml in it.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="The site's settings, where they are elsewhere.")
]
Officer = Annotated[str, typer.Option(help="Your name in policy.officers.")]
OfficerKey = Annotated[Path, typer.Option("--key", help="Your private key.")]
KeyHere = Annotated[
    Path | None,
    typer.Option("--key", help="Your private key, if it is on this machine; else see --out."),
]
Unsigned = Annotated[
    Path | None, typer.Option("--out", help="Write a file to be signed on your own machine.")
]
Dataset = Annotated[str, typer.Option(help="The dataset; by default the one in the settings.")]
Noise = Annotated[
    str,
    typer.Option("--noise-multiplier", help="Deviation of the noise over the clip, as a decimal."),
]
Rate = Annotated[
    str, typer.Option("--sampling-rate", help="Chance of a record to be used; 1 for all.")
]
Steps = Annotated[int, typer.Option(help="Noisy sums.")]
VectorNoise = Annotated[
    str,
    typer.Option("--vector-noise-multiplier", help="Of one site's part, where noise is shared."),
]
Why = Annotated[str, typer.Option("--text", help="What was done and why; it goes into evidence.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@budget_app.command("officer")
def budget_officer(
    *, out: Annotated[Path, typer.Option(help="The file for the private key; it must be new.")]
) -> None:
    """Make an officer's key; print its public half as a line for policy.officers."""
    from veilsum.audit.budget import make_officer  # noqa: PLC0415

    with exit_status():
        public = make_officer(out)
    typer.echo(f'{out.stem} = "{public}"')


@budget_app.command("set")
def budget_set(
    *,
    state: State = None,
    config: Config = None,
    officer: Officer,
    key: KeyHere = None,
    out: Unsigned = None,
    delta: Annotated[str, typer.Option(help="A decimal; what you leave out stays.")] = "",
    epsilon_for_life: Annotated[str, typer.Option(help="Towards who sees sums only.")] = "",
    epsilon_per_round: Annotated[str, typer.Option(help="The same for one round.")] = "",
    vector_epsilon_for_life: Annotated[
        str, typer.Option(help="Towards who can open one update.")
    ] = "",
    vector_epsilon_per_round: Annotated[str, typer.Option(help="The same for one round.")] = "",
    dataset: Annotated[
        list[str] | None, typer.Option(help="A dataset that may begin a budget of its own.")
    ] = None,
    officers_from_site_toml: Annotated[
        bool, typer.Option("--officers-from-site-toml", help="Also replace the officers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Propose limits as one officer; a higher one counts once another officer approves.

    With the key at hand, or with --out, sign and submit, where the key stays with the officer.
    """
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit.budget import Change, propose, text_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.audit.signed_elsewhere import draft_proposal  # noqa: PLC0415

    limits = {
        "delta": delta,
        "epsilon_for_life": epsilon_for_life,
        "epsilon_per_round": epsilon_per_round,
        "vector_epsilon_for_life": vector_epsilon_for_life,
        "vector_epsilon_per_round": vector_epsilon_per_round,
    }
    given = {name: value for name, value in limits.items() if value}
    with exit_status():
        change = Change(given, tuple(dataset or ()), officers_from_site_toml)
        site = site_of(state, config)
        if out is not None:
            _draft(draft_proposal(site, officer, change, time.time), out)
            return
        done = propose(site, officer, _key(key), change, time.time, _show_first(as_json))
    typer.echo(msgspec.json.encode(done).decode() if as_json else text_of(done))


@budget_app.command("approve")
def budget_approve(
    *,
    state: State = None,
    config: Config = None,
    row: Annotated[int, typer.Option(help="The row of the proposal.")],
    proposal: Annotated[
        str, typer.Option(help="The digest of what you approve; asked for if left out.")
    ] = "",
    officer: Officer,
    key: KeyHere = None,
    out: Unsigned = None,
    as_json: AsJson = False,
) -> None:
    """Approve what another officer has proposed, after it was shown to you."""
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit.budget import approve, text_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.audit.signed_elsewhere import draft_approval  # noqa: PLC0415

    def consents(words: str, digest: str) -> None:
        _show_first(as_json)(f"{words}\nproposal {digest}")
        _require_consent(proposal, digest, row)

    with exit_status():
        site = site_of(state, config)
        if out is not None:
            _draft(draft_approval(site, row, officer, time.time), out)
            return
        limits = approve(site, row, officer, _key(key), time.time, consents)
    typer.echo(msgspec.json.encode(limits).decode() if as_json else text_of(limits))


@budget_app.command("sign")
def budget_sign(
    *,
    file: Annotated[Path, typer.Argument(help="What the site has written with --out.")],
    key: OfficerKey,
    proposal: Annotated[
        str, typer.Option(help="The digest of what you sign; asked for if left out.")
    ] = "",
) -> None:
    """Sign a proposal, or its approval, on your own machine: no ledger and no network is needed."""
    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415

    with exit_status():
        paper = papers.read(file)
        _show_first(True)(papers.words_of(paper))
        _require_consent(proposal, papers.digest_in(paper), str(file))
        papers.write(papers.sign(paper, key), file)
    typer.echo(f"signed; give it back to the site: veilsum budget submit {file}")


@budget_app.command("submit")
def budget_submit(
    *,
    file: Annotated[Path, typer.Argument(help="What an officer has signed.")],
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Record what an officer has signed on another machine."""
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415
    from veilsum.audit.budget import text_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    with exit_status():
        done = papers.submit(site_of(state, config), papers.read(file), time.time)
    typer.echo(msgspec.json.encode(done).decode() if as_json else text_of(done))


@budget_app.command("dataset")
def budget_dataset(*, state: State = None, config: Config = None, as_json: AsJson = False) -> None:
    """Begin a budget for the dataset that the settings name, beside those that there are."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import begin_dataset  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    with exit_status():
        begin_dataset(site_of(state, config), time.time)
    _show(state, config, as_json=as_json)


@budget_app.command("forecast")
def budget_forecast(
    *,
    state: State = None,
    config: Config = None,
    dataset: Dataset = "",
    noise_multiplier: Noise = "",
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
    as_json: AsJson = False,
) -> None:
    """Say how many rounds still fit, and until when: at the last round's cost, or at another."""
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit.budget import ahead_of, words_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.audit.standing import open_reading  # noqa: PLC0415

    order = None
    if noise_multiplier:
        order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    with exit_status():
        site = site_of(state, config)
        ledger = open_reading(site)
        try:
            ahead = ahead_of(ledger, dataset or site.dataset.id, order, time.time)
        finally:
            ledger.close()
    typer.echo(msgspec.json.encode(ahead).decode() if as_json else words_of(ahead))


@budget_app.command("preprocess")
def budget_preprocess(
    *,
    state: State = None,
    config: Config = None,
    dataset: Dataset = "",
    noise_multiplier: Noise,
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
    text: Why,
    as_json: AsJson = False,
) -> None:
    """Spend a use of the data outside of rounds, before you make it; refused if it does not fit."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import preprocess  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    with exit_status():
        site = site_of(state, config)
        preprocess(site, dataset or site.dataset.id, order, text, time.time)
    _show(state, config, as_json=as_json)


@budget_app.command("adjust")
def budget_adjust(
    *,
    state: State = None,
    config: Config = None,
    dataset: Dataset = "",
    noise_multiplier: Noise,
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
    text: Why,
    as_json: AsJson = False,
) -> None:
    """Add what was spent and not recorded; it may end above the limit. Nothing is taken off."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import adjust  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    with exit_status():
        site = site_of(state, config)
        adjust(site, dataset or site.dataset.id, order, text, time.time)
    _show(state, config, as_json=as_json)


@budget_app.command("retire")
def budget_retire(
    *,
    state: State = None,
    config: Config = None,
    reservation: Annotated[str, typer.Option(help="As veilsum audit status names it.")],
    evidence: Annotated[
        Path, typer.Option(help="The file that shows the rounds to be over; its SHA-256 is kept.")
    ],
    as_json: AsJson = False,
) -> None:
    """Give back what of a reservation is not committed; what is committed stays."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import retire  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    with exit_status():
        retire(site_of(state, config), reservation, evidence, time.time)
    _show(state, config, as_json=as_json)


def _order(noise: str, rate: str, steps: int, vector_noise: str) -> "Order":
    from veilsum.audit.budget import Order  # noqa: PLC0415

    return Order(noise, rate, steps, vector_noise)


def _show_first(as_json: bool) -> "Callable[[str], None]":
    """Return what shows an officer, before a signature, what is about to be signed."""
    return lambda words: typer.echo(f"to be signed (* is not as agreed):\n{words}", err=as_json)


def _key(key: Path | None) -> Path:
    from privacy.errors import ConfigError  # noqa: PLC0415

    if key is None:
        raise ConfigError("name your key with --key, or a file to be signed elsewhere with --out")
    return key


def _draft(paper: "Paper", out: Path) -> None:
    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415

    papers.write(paper, out)
    typer.echo(f"to be signed (* is not as agreed):\n{papers.words_of(paper)}", err=True)
    typer.echo(f"nothing is signed yet; the officer signs it: veilsum budget sign {out}")


def _require_consent(expected: str, digest: str, row: int | str) -> None:
    """Return if the officer wants the proposal of this digest; without one, ask."""
    from privacy.errors import ConfigError  # noqa: PLC0415

    if expected and expected != digest:
        raise ConfigError(f"{_named(row)} proposes {digest}, not {expected}; nothing is signed")
    if not expected and not _agrees(row):
        raise ConfigError(
            f"{_named(row)} is not signed; where nobody can be asked, name what you approve with "
            f"--proposal {digest}"
        )


def _named(row: int | str) -> str:
    return row if isinstance(row, str) else f"row {row}"


def _agrees(row: int | str) -> bool:
    try:
        return typer.confirm(f"Sign {_named(row)}?", err=True)
    except typer.Abort:
        return False


def _show(state: Path | None, config: Path | None, *, as_json: bool) -> None:
    import time  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from veilsum.audit.standing import standing_of, words_of  # noqa: PLC0415

    with exit_status():
        standing = standing_of(state, config, time.time)
    typer.echo(msgspec.json.encode(standing).decode() if as_json else words_of(standing))
