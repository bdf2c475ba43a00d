"""The process of the embedded AWS, run by the Python of its own virtual environment.

usage: python engine.py USERS_FILE

Every process that uses the engine holds a shared lock on USERS_FILE. The kernel drops a lock with
its process, however that ends, so taking the exclusive lock means that nobody is left: the engine
then saves its state and ends. Nothing of the service is imported here.
"""

import fcntl
import os
import runpy
import signal
import sys
import threading


def stop_when_unused(users_file: str) -> None:
    """Wait until no process uses the engine, then ask this one to save and end."""
    with open(users_file) as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()  # holds the lock to the very end: newcomers wait for a new engine


if __name__ == "__main__":
    users_file = sys.argv.pop(1)
    threading.Thread(target=stop_when_unused, args=[users_file], daemon=True).start()
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)
