"""The process of the embedded AWS, run by the Python of its own virtual environment.

usage: python engine.py USERS_FILE

Every process that uses the engine holds a shared lock on USERS_FILE. The kernel drops a lock with
its process, however that ends, so taking the exclusive lock means that nobody is left: the engine
then saves its state and ends. Nothing of the service is imported here.
"""

import copy
import fcntl
import importlib
import os
import runpy
import signal
import sys
import threading
from typing import Any

KEPT_MAILS = 500


def stop_when_unused(users_file: str) -> None:
    """Wait until no process uses the engine, then ask this one to save and end."""
    with open(users_file) as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()  # holds the lock to the very end: newcomers wait for a new engine


def keep_mails() -> None:
    """Let the newest mails survive a restart: ministack 1.5.33 saves all of SES but those."""
    ses: Any = importlib.import_module("ministack.services.ses")
    get_state, load_state = ses.get_state, ses.load_persisted_state

    def get_state_with_mails() -> dict[str, Any]:
        mails = copy.deepcopy(ses._sent_emails)
        for records in mails._data.values():
            del records[:-KEPT_MAILS]
        return {**get_state(), "mails": mails}

    def load_state_with_mails(state: dict[str, Any]) -> None:
        load_state(state)
        ses._sent_emails.update(state.get("mails", {}))

    ses.get_state, ses.load_persisted_state = get_state_with_mails, load_state_with_mails


if __name__ == "__main__":
    users_file = sys.argv.pop(1)
    keep_mails()
    threading.Thread(target=stop_when_unused, args=[users_file], daemon=True).start()
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
