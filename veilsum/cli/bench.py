"""`veilsum bench`: what protection, rounds and settlement cost."""

from typing import Annotated

import typer

from .surface import Answer, command

bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine.")

_VERDICTS = {1: "A sum, or a model, is not exactly what the plaintext gives."}


@command(bench_app, "scheme", verdicts=_VERDICTS)
def bench_scheme(
    *,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 1_000_000,
    participants: Annotated[int, typer.Option(help="Contributions in the sum.")] = 8,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
) -> Answer:
    """Measure a scheme beside its library's own way: bytes, time, memory, exactness."""
    from veilsum.bench.scheme import run, show  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    with meter("measuring", "steps") as watcher:
        report = run(
            scheme=scheme,
            parameters=parameters,
            participants=participants,
            value_bits=value_bits,
            watcher=watcher,
        )
    return Answer(report, lambda: show(report), 0 if report.exact else 1)


@command(bench_app, "round", verdicts=_VERDICTS)
def bench_round(
    *,
    participants: Annotated[int, typer.Option(help="Sites, each in its own processes.")] = 8,
    parameters: Annotated[int, typer.Option(help="Length of each site's vector.")] = 11_700_000,
    value_bits: Annotated[int, typer.Option(help="Bits of a signed grid integer.")] = 16,
    auditor: Annotated[bool, typer.Option(help="An auditor adds the sum again and signs.")] = True,
    scheme: Annotated[str, typer.Option(help="The protection scheme: ckks or shares.")] = "ckks",
) -> Answer:
    """Measure a whole round in real processes over mutual TLS, without training."""
    from veilsum.bench.required import require  # noqa: PLC0415

    require("demo", "tenseal", "tomlkit")
    if scheme == "shares":
        require("shares", "crypten")
    from veilsum.bench.round import run  # noqa: PLC0415
    from veilsum.bench.round_screen import show  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    with meter("the round", "steps of sites") as watcher:
        report = run(
            participants=participants,
            parameters=parameters,
            value_bits=value_bits,
            auditor=auditor,
            scheme=scheme,
            watcher=watcher,
        )
    return Answer(report, lambda: show(report), 0 if report.exact else 1)


@command(bench_app, "settlement")
def bench_settlement(
    *,
    participants: Annotated[
        list[int] | None,
        typer.Option(help="How many are in a round and its payouts; repeat it."),
    ] = None,
) -> Answer:
    """Measure the gas of every operation on a chain in this machine's memory."""
    from veilsum.bench.required import require  # noqa: PLC0415

    require("demo", "eth_tester", "web3")
    from veilsum.bench.settlement import SIZES, run  # noqa: PLC0415
    from veilsum.bench.settlement_screen import show  # noqa: PLC0415
    from veilsum.progress import meter  # noqa: PLC0415

    with meter("measuring", "parts") as watcher:
        report = run(sizes=participants or SIZES, watcher=watcher)
    return Answer(report, lambda: show(report))
