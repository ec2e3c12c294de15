"""Commands whose exit status is a verdict: what is no verdict ends with a status of its own."""

import traceback
from typing import Any, Final

import typer
from typer.core import TyperCommand

USAGE: Final = 64
"""EX_USAGE of sysexits.h. Elsewhere it is 2, which would say here that evidence was changed."""

_LIBRARYS: Final = 2

SOFTWARE: Final = 70
"""EX_SOFTWARE. Python's own is 1, which would say here that a policy was breached."""

INTERRUPTED: Final = 130
"""As shells have it; elsewhere it is 1."""


class Verdicts(TyperCommand):
    """A command that ends with a verdict only if it has come to one."""

    def make_context(self, *words: Any, **named: Any) -> Any:  # noqa: ANN401 - as it is inherited
        """Read the command line; a mistake in it ends with `USAGE`."""
        try:
            return super().make_context(*words, **named)
        except Exception as error:
            # The library's class of these mistakes is not public; their status is.
            if getattr(error, "exit_code", 0) == _LIBRARYS:
                setattr(error, "exit_code", USAGE)  # noqa: B010 - as above
            raise

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as it is inherited
        """Run the command; what nobody has foreseen ends with `SOFTWARE`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception:  # the process's edge
            traceback.print_exc()
            raise SystemExit(SOFTWARE) from None
