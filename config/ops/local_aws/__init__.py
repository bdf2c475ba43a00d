"""The embedded AWS of local runs and tests: one emulator process for each state folder.

`running(home)` lends the engine of a folder: it starts one, or shares that of another process.
Files in `home`:

    aws/        the engine's saved state (written when it ends), and S3's objects
    aws.json    {"port", "pid"} of the engine; the port is kept for the next start
    aws.log     what the engine printed since it started
    aws.users   shared lock of each process that uses the engine; the last to leave ends it
    aws.engine  exclusive lock that the engine itself holds as long as it lives

The two locks belong to the kernel, so no crash leaves a stale one.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from config.stack import BASE_DIR

ENGINE_PYTHON = BASE_DIR / ".uv" / "aws" / "bin" / "python"
CREDENTIALS = "local"  # both the key's id and its secret
START_WITHIN_S = 60
STOP_WITHIN_S = 30
# The engine says this when it could not read its state. It would go on without it, and overwrite
# the file with nothing at its end.
LOST_STATE = ("failed to load", "Failed to restore", "refusing to load")
UNSAVED_STATE = ("failed to save", "error getting state")

Progress = Callable[[str], object]


def silent(_line: str) -> None:
    """Ignores progress: the default for callers that show none."""


class EngineError(RuntimeError):
    """The embedded AWS cannot start or was lost; the text says what to do."""


@contextmanager
def running(home: Path, *, progress: Progress = silent) -> Iterator[str]:
    """Lend the engine of the state folder `home`; its URL is the value.

    At the end, an engine that other processes use goes on. Else it saves its state and has ended
    when this returns. Raises EngineError.
    """
    _make(home)
    with (home / "aws.users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits only while an engine is ending
        port, process = _ready(home, progress)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            users.close()
            _wait_until_left(home, progress)
            if process is not None and process.poll() is None:
                process.returncode = 0  # others still use it, so we do not wait for it


def _make(home: Path) -> None:
    """Create the state folder for its owner alone. Raises EngineError if it cannot be written."""
    locks = [home / "aws.users", home / "aws.engine"]
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "aws").mkdir(mode=0o700, exist_ok=True)
        for lock in locks:
            lock.touch(mode=0o600)
    except OSError as error:
        raise EngineError(f"the state folder {home} cannot be used: {error.strerror}") from error
    for path in (home, home / "aws", *locks):
        if not os.access(path, os.W_OK):
            raise EngineError(f"the state folder {home} cannot be used: {path} is read-only")


def _ready(home: Path, progress: Progress) -> tuple[int, subprocess.Popen[bytes] | None]:
    """The port of the healthy engine of `home`, and its process if this call started it."""
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        if process is None and (lock := _engine_lock(home)) is not None:
            with lock:
                process = _start(home, lock, progress)
        if process is not None and process.poll() is not None:
            raise EngineError(f"the embedded AWS ended at once:\n{_log_tail(home)}")
        port = _recorded(home).get("port")
        if port and _healthy(home, port):
            if process is None:
                progress(f"shared: it runs on 127.0.0.1:{port} already")
            else:
                _refuse_lost_state(home, process)
            return port, process
        threading.Event().wait(0.05)
    if process is not None:
        process.kill()
        process.wait()
    raise EngineError(
        f"the embedded AWS of {home} (process {_recorded(home).get('pid')}) does not answer "
        f"within {START_WITHIN_S} s; see {home / 'aws.log'}"
    )


def _engine_lock(home: Path) -> IO[str] | None:
    """The lock that says "the engine of this folder is mine", or None while one is alive."""
    lock = (home / "aws.engine").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _start(home: Path, lock: IO[str], progress: Progress) -> subprocess.Popen[bytes]:
    """Start the engine, which inherits `lock` and holds it as long as it lives."""
    if not ENGINE_PYTHON.exists():
        raise EngineError("the embedded AWS is not installed: run `make setup`")
    _refuse_corrupt_state(home)
    port = _free_port(_recorded(home).get("port", 0))
    progress(f"on 127.0.0.1:{port}")
    with (home / "aws.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
            [ENGINE_PYTHON, Path(__file__).with_name("engine.py"), home / "aws.users"],
            env=_environment(home, port),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # Ctrl-C must reach us alone: we end the engine ourselves
        )
    write_private(home / "aws.json", {"port": port, "pid": process.pid})
    return process


def _environment(home: Path, port: int) -> dict[str, str]:
    """The engine's whole environment. Nothing of the developer's own AWS set-up is in it."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "LC_ALL", "TZ"}}
    return kept | {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": CREDENTIALS,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": str(home),
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_EDITION": str(home),  # its health answer repeats this
        "PERSIST_STATE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "S3_DATA_DIR": str(home / "aws" / "s3"),
        "S3_PERSIST": "1",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(home / "aws"),
        "TMPDIR": str(home),
    }


def _free_port(wanted: int) -> int:
    """The port `wanted` if it is free, else one that the system chooses."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EngineError("no port of 127.0.0.1 is free")


def _healthy(home: Path, port: int) -> bool:
    """Whether this folder's engine answers on the port. Another folder's may have taken it."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/_ministack/health", timeout=5
        ) as answer:
            return bool(json.load(answer)["edition"] == str(home))
    except (OSError, ValueError, KeyError):
        return False


def _refuse_corrupt_state(home: Path) -> None:
    for path in sorted((home / "aws").glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise EngineError(
                f"the saved state {path} is damaged ({error}). Restore it, or move the folder "
                f"{home} away to begin anew"
            ) from error


def _refuse_lost_state(home: Path, process: subprocess.Popen[bytes]) -> None:
    """Kill an engine that dropped saved state, before it can save what is left."""
    lost = [line for line in _log(home) if any(words in line for words in LOST_STATE)]
    if lost:
        process.kill()
        process.wait()
        raise EngineError(
            f"the embedded AWS cannot read its state in {home / 'aws'}: {lost[0]}. "
            f"Move the folder {home} away to begin anew"
        )


def _wait_until_left(home: Path, progress: Progress) -> None:
    """Wait until the engine has ended. Return at once if another process uses it."""
    deadline = time.monotonic() + STOP_WITHIN_S
    while time.monotonic() < deadline:
        lock = _engine_lock(home)
        if lock is not None:
            lock.close()
            for line in _log(home):
                if any(words in line for words in UNSAVED_STATE):
                    progress(f"Not saved: {line}")
            return
        if _is_used(home):
            return
        threading.Event().wait(0.05)
    with suppress(ProcessLookupError):
        os.kill(_recorded(home)["pid"], signal.SIGKILL)
    progress(f"The embedded AWS did not end within {STOP_WITHIN_S} s and was killed")


def _is_used(home: Path) -> bool:
    """Whether a process holds the users' lock: then only a shared lock can be taken."""
    with (home / "aws.users").open() as users:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # an engine that is ending has the lock
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _recorded(home: Path) -> dict[str, int]:
    """The record of the last engine. Empty if the file is damaged; it is then written anew."""
    try:
        record = json.loads((home / "aws.json").read_text())
        known = {"port": int(record["port"]), "pid": int(record["pid"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return known if 0 < known["port"] < 65536 else {}


def _log(home: Path) -> list[str]:
    try:
        return (home / "aws.log").read_text(errors="replace").splitlines()
    except OSError:
        return []


def _log_tail(home: Path) -> str:
    return "\n".join(_log(home)[-5:])


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let only one process at a time run the block."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(path: Path, value: object) -> None:
    """Replace a JSON file in one step, readable by its owner alone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file, indent=2)
    temporary.replace(path)
