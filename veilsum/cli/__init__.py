"""The command `veilsum`. Each command imports what it needs when it runs."""

import typer

from veilsum.process import silence_grpc

from . import settle_judge  # noqa: F401  it adds commands to `settle`
from .audit import audit_app
from .bench import bench_app
from .budget import budget_app
from .config import config_app
from .demo import VERDICTS, demo
from .doctor import VERDICTS as FINDINGS
from .doctor import doctor
from .explain import explain
from .members import (
    aggregator_app,
    auditor_app,
    coordinator_app,
    operator_app,
    participant_app,
)
from .settle import settle_app
from .settle_open import add_opening
from .surface import Answer, Root, command

app = typer.Typer(
    name="veilsum",
    cls=Root,
    # Help is read a hundred times a day, and Rich takes longer to load than all of the rest.
    rich_markup_mode=None,
    help="Privacy-preserving secure aggregation for hospitals and banks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@command(app, "version")
def version() -> Answer:
    """Print the version."""
    from veilsum.release import RELEASE  # noqa: PLC0415

    return Answer({"version": RELEASE}, RELEASE)


command(app, "demo", verdicts=VERDICTS)(demo)
command(app, "doctor", verdicts=FINDINGS)(doctor)
command(app, "explain")(explain)
app.add_typer(config_app, name="config")
app.add_typer(coordinator_app, name="coordinator")
app.add_typer(operator_app, name="operator")
app.add_typer(participant_app, name="participant")
app.add_typer(auditor_app, name="auditor")
app.add_typer(aggregator_app, name="aggregator")
app.add_typer(audit_app, name="audit")
app.add_typer(budget_app, name="budget")
add_opening(settle_app)
app.add_typer(settle_app, name="settle")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Run the command line."""
    silence_grpc()
    app()
