"""The command line: `logreg-accel VERB`.

Verbs call the public API; their modules are loaded when they run. Exit codes: 0 done, 1 a bug in the program,
2 usage, 3 bad data, 4 not converged (with --strict), 5 input or output, 130 Ctrl-C.
"""

import importlib
import sys

from .parser import command_line

USAGE, BAD_DATA, NOT_CONVERGED, IO, INTERRUPTED = 2, 3, 4, 5, 130


class UsageError(Exception):
    """A request on the command line that cannot be fulfilled."""


def main(argv=None):
    """Run a command line and return the exit code."""
    options = command_line().parse_args(argv)
    try:
        run = importlib.import_module(f".{options.module}", __name__)
        return getattr(run, options.verb)(options) or 0
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return IO
    except Exception as error:
        if options.debug:
            raise
        codes = {UsageError: USAGE, OSError: IO}
        codes |= dict.fromkeys((ValueError, TypeError, MemoryError), BAD_DATA)
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
        hint = "" if code != 1 else " (this is a fault of the program; --debug shows where)"
        return _fail(f"{error if code != 1 else f'{type(error).__name__}: {error}'}{hint}", code)


def _fail(message, code):
    from .output import shown

    print(f"logreg-accel: {shown(message)}", file=sys.stderr)
    return code
