"""The command line: ``workbench info | compress | convert | compare | report | lab``."""

import argparse
import io
import os
import sys

from .cli.parser import parser
from .cli.terminal import ending_tidily, explained, flushed, trouble, unheard, warned


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check failed, 2 wrong usage or input, 130 interrupted.

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
    if rest and not args.passes_on:
        known.error(f"unrecognized arguments: {' '.join(rest)}")
    status = _run(args)
    return flushed() or status


def _run(args: argparse.Namespace) -> int:
    with warned(), ending_tidily() as was_interrupted:
        args.was_interrupted = was_interrupted
        try:
            return args.command(args)
        except KeyboardInterrupt:
            trouble("stopped")
            return 130
        except BrokenPipeError as error:
            return unheard(error)
        except Exception as error:
            if os.environ.get("WORKBENCH_TRACEBACK"):
                raise
            trouble(explained(error))
            return 2


if __name__ == "__main__":
    sys.exit(main())
