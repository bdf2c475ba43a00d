"""The package of this checkout, made once for all tests that look into it or deploy it."""

import fcntl
import zipfile
from pathlib import Path

import pytest

from config.deployment.bundle import Bundle, Target, build
from tests.servers import shared_folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Made for this machine, by one worker at a time: the tools it is made with are shared."""
    with (shared_folder(tmp_path_factory) / "bundle.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build("dev", target=Target.here(), into=tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as Lambda would lay it out."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(bundle.zip) as package:
        package.extractall(folder)
    return folder
