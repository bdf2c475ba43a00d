"""Shows the progress of a piece of work: one line for each step, with its seconds.

A terminal rewrites the line while the step lasts. Elsewhere it is written once.

usage: python -m config.ops.steps WORDS COMMAND…    the command's output is shown if it fails
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

REWRITE_EACH_S = 0.2
CLEAR_LINE = "\r\x1b[K"


def rewrites_lines(stream: TextIO) -> bool:
    """Whether the stream goes to a terminal that understands control sequences."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Steps:
    """The steps of one piece of work, in sequence. Threads may share it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = rewrites_lines(stream)
        self._lock = threading.RLock()
        self._words = self._note = ""
        self._begun_at = 0.0
        self._ended = threading.Event()

    @contextmanager
    def step(self, words: str) -> Iterator[None]:
        """A step that lasts as long as the block. A failed step shows no seconds."""
        self.begin(words)
        try:
            yield
        except BaseException:
            self.give_up()
            raise
        self.end()

    def begin(self, words: str) -> None:
        with self._lock:
            self._words, self._note, self._begun_at = words, "", time.monotonic()
            self._ended = threading.Event()
            self._write(f"{words} …")
        if self._rewrites:
            threading.Thread(target=self._rewrite, args=[self._ended], daemon=True).start()

    def tell(self, line: str) -> None:
        """Show a note in the step's line, where the last one stays. Between steps, print a line."""
        with self._lock:
            if self._words:
                self._note = line
            else:
                self._write(f"{line}\n")

    def end(self) -> None:
        with self._lock:
            if self._words:
                start = f"{CLEAR_LINE}{self._words} …" if self._rewrites else ""
                self._write(f"{start}{self._state(digits=1)}\n")
                self._close()

    def give_up(self) -> None:
        """End the line of a failed step. Does nothing between steps."""
        with self._lock:
            if self._words:
                self._write("\n")
                self._close()

    def _close(self) -> None:
        self._words = ""
        self._ended.set()

    def _rewrite(self, ended: threading.Event) -> None:
        while not ended.wait(REWRITE_EACH_S):
            with self._lock:
                if not ended.is_set():
                    line = f"{self._words} …{self._state(digits=0)}"
                    # A line wider than the terminal would wrap, and its second half would stay.
                    width = shutil.get_terminal_size().columns - 1
                    self._write(CLEAR_LINE + line[:width])

    def _state(self, *, digits: int) -> str:
        note = f" {self._note}," if self._note else ""
        return f"{note} {time.monotonic() - self._begun_at:.{digits}f} s"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def main(words: str, *command: str) -> int:
    """Run a command as a step. Returns its exit code."""
    steps = Steps(sys.stderr)
    steps.begin(words)
    done = subprocess.run(  # noqa: S603 - the Makefile's own words
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode == 0:
        steps.end()
    else:
        steps.give_up()
        sys.stderr.buffer.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
