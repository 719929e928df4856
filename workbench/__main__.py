"""The command line: ``workbench info | compress | convert | compare | embed | report | lab``."""

import io
import os
import sys
import warnings

from .cli.parser import parser
from .cli.terminal import CLOSED, ending_tidily, explained, flushed, trouble


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0 done, 1 a check failed, 2 wrong usage or input, 130 interrupted.

    Wrong usage raises SystemExit, as argparse does. With WORKBENCH_TRACEBACK=1 in the environment errors are raised.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a word may have letters that the terminal has not
        sys.stdout.reconfigure(errors="backslashreplace")
    known = parser()
    args, rest = known.parse_known_args(arguments)
    args.rest = rest
    if args.command is None:
        known.print_help(sys.stderr)
        return 2
    if rest and args.name != "lab":  # which passes them on
        known.error(f"unrecognized arguments: {' '.join(rest)}")
    with warnings.catch_warnings(), ending_tidily() as args.was_interrupted:
        warnings.showwarning = lambda message, *_, **__: trouble(f"warning: {message}")
        try:
            status = args.command(args)
        except KeyboardInterrupt:
            trouble("stopped")
            status = 130
        except BrokenPipeError:
            status = CLOSED
        except Exception as error:
            if os.environ.get("WORKBENCH_TRACEBACK"):
                raise
            trouble(explained(error))
            status = 2
    return flushed(status)


if __name__ == "__main__":
    sys.exit(main())
