"""The clock of local runs, in place of EventBridge."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from config.stack import BASE_DIR

WITHIN_S = 55.0
"""What a run may take: it is over before the next minute's."""
STOP_WITHIN_S = 10.0


@contextmanager
def each_minute(
    command: Sequence[str], told: Callable[[str], object], *, environment: Mapping[str, str]
) -> Iterator[None]:
    """Runs a management command at the start of each minute, until the block ends.

    Each run is a process of its own. So it has the newest code, and its errors reach neither us nor
    the next run. `told` gets its output; its log goes to our own stderr. At the end, a run that
    has begun gets a few seconds to finish.
    """
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(60 - time.time() % 60):
            if output := _run(command, {**os.environ, **environment}, ended):
                told(output)

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()


def _run(command: Sequence[str], environment: Mapping[str, str], ended: threading.Event) -> str:
    """The output of a run, or a line saying that it took too long and was ended."""
    with subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
        [sys.executable, BASE_DIR / "manage.py", *command],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C must reach us alone: we wait for a run that has begun
    ) as process:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=0.2)[0].strip()
            if ended.is_set():
                deadline = min(deadline, time.monotonic() + STOP_WITHIN_S)
        process.kill()
        return f"manage.py {' '.join(command)} took too long and was ended"
