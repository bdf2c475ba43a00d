"""One line for each step: rewritten on a terminal, written once elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from config.ops.steps import Steps
from config.stack import BASE_DIR

SECONDS = r"\d+\.\d s"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a step. Its stderr is no terminal."""
    return subprocess.run(
        [sys.executable, "-m", "config.ops.steps", *command],
        cwd=BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def on_terminal(*command: str, **environment: str) -> str:
    """The bytes that a terminal gets from a step."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "config.ops.steps", *command],
        cwd=BASE_DIR,
        env=os.environ | {"TERM": "xterm"} | environment,
        stderr=theirs,
    ):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1024)
            except OSError:  # EIO: the other side is closed
                break
    os.close(ours)
    return shown.decode()


def test_a_step_is_one_line_with_its_seconds_and_its_output_is_not_shown() -> None:
    done = run("Packing", "echo", "a suitcase")
    assert done.returncode == 0
    assert done.stdout == ""
    assert re.fullmatch(f"Packing … {SECONDS}\n", done.stderr)


def test_a_step_that_fails_shows_why_and_passes_its_code_on() -> None:
    done = run("Packing", "sh", "-c", "echo full; echo too heavy >&2; exit 3")
    assert done.returncode == 3
    assert done.stderr == "Packing …\nfull\ntoo heavy\n"


def test_a_terminal_sees_the_seconds_pass_in_the_same_line() -> None:
    shown = on_terminal("Packing", "sleep", "0.5")
    assert re.fullmatch(
        rf"Packing …(\r\x1b\[KPacking … \d s)+\r\x1b\[KPacking … {SECONDS}\r\n", shown
    )


def test_a_terminal_that_knows_no_control_sequences_gets_none() -> None:
    shown = on_terminal("Packing", "sleep", "0.5", TERM="dumb")
    assert re.fullmatch(f"Packing … {SECONDS}\r\n", shown)


def test_the_last_word_of_a_step_stays_and_between_steps_it_is_a_line() -> None:
    stream = io.StringIO()
    steps = Steps(stream)
    with steps.step("Packing"):
        steps.tell("socks")
        steps.tell("a hat")
    steps.tell("Leaving")
    assert re.fullmatch(f"Packing … a hat, {SECONDS}\nLeaving\n", stream.getvalue())


def test_a_step_that_fails_ends_its_line() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="full"), Steps(stream).step("Packing"):
        raise ValueError("full")
    assert stream.getvalue() == "Packing …\n"
