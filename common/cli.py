"""The frame around every command: one line for an error, a documented exit code, a traceback on request."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from common.errors import MdicError

EXIT_DEFECT = 70
"""An exception that is not in `common/errors.py`: a defect of ours (EX_SOFTWARE of sysexits)."""
EXIT_INTERRUPT = 130
EXIT_BROKEN_PIPE = 141

DEBUG_FLAG = "--debug"


def run_main(main: Callable[[list[str] | None], int], argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command's `main` and leave the process with the exit code that fits what happened.

    `--debug` may stand anywhere in the arguments; it is taken out before `main` sees them.

    Args:
        main: takes the arguments without the program's name, returns the exit code.
        argv: arguments; None means those of the process.

    Raises:
        SystemExit: always; an MdicError gives its `exit_code` and one `error: ...` line on stderr.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = DEBUG_FLAG in arguments
    arguments = [argument for argument in arguments if argument != DEBUG_FLAG]
    sys.exit(_guarded(main, arguments, debug))


def _guarded(main: Callable[[list[str] | None], int], arguments: list[str], debug: bool) -> int:
    """Return the exit code of `main(arguments)`, reporting whatever it raises."""
    try:
        code = main(arguments)
        sys.stdout.flush()  # so that a closed pipe shows here and not in the interpreter's last breath
        return code
    except MdicError as error:
        return _report(str(error), error.exit_code, debug)
    except KeyboardInterrupt:
        return _report("interrupted", EXIT_INTERRUPT, debug)
    except BrokenPipeError:
        # The reader of our stdout left (`| head`): nothing to say, and nothing may be written at exit either.
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        hint = "" if debug else f" (run again with {DEBUG_FLAG} for the traceback)"
        return _report(f"internal error, {text}{hint}", EXIT_DEFECT, debug)


def _report(line: str, code: int, debug: bool) -> int:
    """Write one error line to stderr, after the traceback when debugging, and return `code`."""
    if debug:
        traceback.print_exc()
    print(f"error: {line}", file=sys.stderr, flush=True)
    return code


def _silence_stdout() -> None:
    """Point stdout's descriptor at nothing, so the final flush cannot raise."""
    # Where stdout is not a real file (a test's capture) there is no final flush to fear.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
