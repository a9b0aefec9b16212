"""The command line: `logreg-accel VERB`.

Verbs call the public API; their modules are loaded when they run. Exit codes: 0 done, 1 a bug in the program,
2 usage, 3 bad data, 4 not converged (with --strict), 5 input or output, 130 Ctrl-C.
"""

import importlib
import os
import sys

from .parser import command_line

USAGE, BAD_DATA, NOT_CONVERGED, IO, INTERRUPTED = 2, 3, 4, 5, 130


class UsageError(Exception):
    """A request on the command line that cannot be fulfilled."""


def main(argv=None):
    """Run a command line and return the exit code."""
    _print_any_name()
    parser = command_line()
    options = parser.parse_args(argv)
    if options.verb is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        run = importlib.import_module(f".{options.module}", __name__)
        return getattr(run, options.verb)(options) or 0
    except KeyboardInterrupt:
        log = getattr(options, "checkpoint", None)
        there = log is not None and os.path.exists(log)
        more = f"; the same command with --resume continues from {log}" if there else ""
        return _fail(f"interrupted{more}", INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        return IO
    except Exception as error:
        if options.debug:
            raise
        codes = {UsageError: USAGE, OSError: IO}
        codes |= dict.fromkeys((ValueError, TypeError, MemoryError), BAD_DATA)
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
        hint = "" if code != 1 else " (this is an error in the program; --debug shows where)"
        return _fail(f"{_in_words(error) if code != 1 else f'{type(error).__name__}: {error}'}{hint}", code)


def _print_any_name():
    """Let stdout escape letters that its encoding lacks, as stderr does.

    Names of columns are printed when the model is saved, and an error would call that a failure.
    """
    if getattr(sys.stdout, "errors", None) == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _in_words(error):
    """An error's message; for a file, without the number of the system's error."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return error


def _fail(message, code):
    from .output import shown

    print(f"logreg-accel: {shown(message)}", file=sys.stderr)
    return code
