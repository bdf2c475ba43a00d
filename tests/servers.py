"""Fixtures with the servers that tests run against. All listen on 127.0.0.1, on free ports."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import embedded, provisioning, stack


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run that all its pytest-xdist workers see."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def embedded_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """The embedded AWS, provisioned from the deployed template, one for all workers.

    While it lasts, `config.stack.stack()` is its stack.
    """
    home = shared_folder(tmp_path_factory) / "parley"
    with pytest.MonkeyPatch.context() as patch, embedded.running(home) as endpoint_url:
        for name in [name for name in os.environ if name.startswith("PARLEY_")]:
            patch.delenv(name)
        patch.setenv("PARLEY_HOME", str(home))
        provisioning.apply_locally(home, endpoint_url)
        yield stack.stack()
    stack.stack.cache_clear()
