"""`veilsum budget`: what a site's data may still give away, and who may change that."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .surface import Answer, AsJson, Sets, command, over

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


@command(budget_app, "officer")
def budget_officer(
    *, out: Annotated[Path, typer.Option(help="The file for the private key; it must be new.")]
) -> Answer:
    """Make an officer's key; print its public half as a line for policy.officers."""
    from veilsum.audit.budget import make_officer  # noqa: PLC0415

    public = make_officer(out)
    return Answer({"officer": out.stem, "key": public}, f'{out.stem} = "{public}"')


@command(budget_app, "set")
def budget_set(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
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
) -> Answer:
    """Propose limits as one officer; a higher one counts once another officer approves.

    With the key at hand, or with --out, sign and submit, where the key stays with the officer.
    """
    import time  # noqa: PLC0415

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
    change = Change(given, tuple(dataset or ()), officers_from_site_toml)
    site = site_of(state, config, over(sets))
    if out is not None:
        return _draft(draft_proposal(site, officer, change, time.time), out)
    done = propose(site, officer, _key(key), change, time.time, _show_first(as_json))
    return Answer(done, text_of(done))


@command(budget_app, "approve")
def budget_approve(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
    row: Annotated[int, typer.Option(help="The row of the proposal.")],
    proposal: Annotated[
        str, typer.Option(help="The digest of what you approve; asked for if left out.")
    ] = "",
    officer: Officer,
    key: KeyHere = None,
    out: Unsigned = None,
    as_json: AsJson = False,
) -> Answer:
    """Approve what another officer has proposed, after it was shown to you."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import approve, text_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.audit.signed_elsewhere import draft_approval  # noqa: PLC0415

    def consents(words: str, digest: str) -> None:
        _show_first(as_json)(f"{words}\nproposal {digest}")
        _require_consent(proposal, digest, row)

    site = site_of(state, config, over(sets))
    if out is not None:
        return _draft(draft_approval(site, row, officer, time.time), out)
    limits = approve(site, row, officer, _key(key), time.time, consents)
    return Answer(limits, text_of(limits))


@command(budget_app, "sign")
def budget_sign(
    *,
    file: Annotated[Path, typer.Argument(help="What the site has written with --out.")],
    key: OfficerKey,
    proposal: Annotated[
        str, typer.Option(help="The digest of what you sign; asked for if left out.")
    ] = "",
) -> Answer:
    """Sign a proposal, or its approval, on your own machine: no ledger and no network is needed."""
    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415

    paper = papers.read(file)
    _show_first(True)(papers.words_of(paper))
    _require_consent(proposal, papers.digest_in(paper), str(file))
    papers.write(papers.sign(paper, key), file)
    return Answer(
        {"signed": str(file)}, f"signed; give it back to the site: veilsum budget submit {file}"
    )


@command(budget_app, "submit")
def budget_submit(
    *,
    file: Annotated[Path, typer.Argument(help="What an officer has signed.")],
    state: State = None,
    config: Config = None,
    sets: Sets = None,
) -> Answer:
    """Record what an officer has signed on another machine."""
    import time  # noqa: PLC0415

    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415
    from veilsum.audit.budget import text_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    done = papers.submit(site_of(state, config, over(sets)), papers.read(file), time.time)
    return Answer(done, text_of(done))


@command(budget_app, "dataset")
def budget_dataset(*, state: State = None, config: Config = None, sets: Sets = None) -> Answer:
    """Begin a budget for the dataset that the settings name, beside those that there are."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import begin_dataset  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    begin_dataset(site_of(state, config, over(sets)), time.time)
    return _standing(state, config, sets)


@command(budget_app, "forecast")
def budget_forecast(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
    dataset: Dataset = "",
    noise_multiplier: Noise = "",
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
) -> Answer:
    """Say how many rounds still fit, and until when: at the last round's cost, or at another."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import ahead_of, words_of  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415
    from veilsum.audit.standing import open_reading  # noqa: PLC0415

    order = None
    if noise_multiplier:
        order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    site = site_of(state, config, over(sets))
    ledger = open_reading(site)
    try:
        ahead = ahead_of(ledger, dataset or site.dataset.id, order, time.time)
    finally:
        ledger.close()
    return Answer(ahead, words_of(ahead))


@command(budget_app, "preprocess")
def budget_preprocess(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
    dataset: Dataset = "",
    noise_multiplier: Noise,
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
    text: Why,
) -> Answer:
    """Spend a use of the data outside of rounds, before you make it; refused if it does not fit."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import preprocess  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    site = site_of(state, config, over(sets))
    preprocess(site, dataset or site.dataset.id, order, text, time.time)
    return _standing(state, config, sets)


@command(budget_app, "adjust")
def budget_adjust(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
    dataset: Dataset = "",
    noise_multiplier: Noise,
    sampling_rate: Rate = "1",
    steps: Steps = 1,
    vector_noise_multiplier: VectorNoise = "",
    text: Why,
) -> Answer:
    """Add what was spent and not recorded; it may end above the limit. Nothing is taken off."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import adjust  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    order = _order(noise_multiplier, sampling_rate, steps, vector_noise_multiplier)
    site = site_of(state, config, over(sets))
    adjust(site, dataset or site.dataset.id, order, text, time.time)
    return _standing(state, config, sets)


@command(budget_app, "retire")
def budget_retire(
    *,
    state: State = None,
    config: Config = None,
    sets: Sets = None,
    reservation: Annotated[str, typer.Option(help="As veilsum audit status names it.")],
    evidence: Annotated[
        Path, typer.Option(help="The file that shows the rounds to be over; its SHA-256 is kept.")
    ],
) -> Answer:
    """Give back what of a reservation is not committed; what is committed stays."""
    import time  # noqa: PLC0415

    from veilsum.audit.budget import retire  # noqa: PLC0415
    from veilsum.audit.folder import site_of  # noqa: PLC0415

    retire(site_of(state, config, over(sets)), reservation, evidence, time.time)
    return _standing(state, config, sets)


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


def _draft(paper: "Paper", out: Path) -> Answer:
    from veilsum.audit import signed_elsewhere as papers  # noqa: PLC0415

    papers.write(paper, out)
    return Answer(
        {"to_be_signed": str(out)},
        f"nothing is signed yet; the officer signs it: veilsum budget sign {out}",
        notes=(f"to be signed (* is not as agreed):\n{papers.words_of(paper)}",),
    )


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


def _standing(state: Path | None, config: Path | None, sets: list[str] | None) -> Answer:
    import time  # noqa: PLC0415

    from veilsum.audit.standing import standing_of, words_of  # noqa: PLC0415

    standing = standing_of(state, config, time.time, over(sets))
    return Answer(standing, words_of(standing))
