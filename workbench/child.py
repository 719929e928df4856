"""A Python process beside this one, for work that must not disturb it and can be stopped at any time."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any


class Child:
    """A process that calls ``module.serve(*arguments)``; `streams` goes to `subprocess.Popen`."""

    def __init__(self, module: str, *arguments: str, **streams: Any) -> None:
        code = f"import sys; from {module} import serve; serve(*sys.argv[1:])"
        # In a session of its own: Ctrl-C in this process is not meant for it.
        self.process = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True, **streams)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the process. On Windows, which cannot, end it."""
        if os.name == "nt":
            self.process.kill()
        else:
            self.process.send_signal(signal.SIGINT)

    def end(self, grace: float = 0.0) -> None:
        """End the process; where there is `grace`, interrupt it first and wait so many seconds for its end."""
        if grace and self.process.poll() is None:
            self.interrupt()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self.process.kill()
        self.process.wait()
