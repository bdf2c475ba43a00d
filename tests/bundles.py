"""A stage on the embedded AWS and its package, made once by `make deploy` for all tests of them."""

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from config import embedded, provisioning
from config.deployment import release
from config.deployment.bundle import Bundle, Target
from config.stack import BASE_DIR

STAGE = "dev"
ORIGIN = "https://app.parley.example"


@dataclass(frozen=True)
class Deployment:
    """Where the stage is, what it was made from, and the environment for further chores."""

    place: release.Place
    bundle: Bundle
    environment: dict[str, str]

    def make(self, chore: str, *options: str) -> str:
        """What `make` says on doing a chore of the stage."""
        command = ["make", "--no-print-directory", chore, f"STAGE={STAGE}"]
        done = subprocess.run(
            [*command, f"OPTIONS={' '.join(options)}"],
            cwd=BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout


@pytest.fixture(scope="session")
def deployment(embedded_home: Path) -> Deployment:
    """Whoever uses it belongs to the xdist group "package": `build/` is there once."""
    endpoint_url = json.loads((embedded_home / "stack.json").read_text())["endpoint_url"]
    session = boto3.Session(
        embedded.CREDENTIALS, embedded.CREDENTIALS, region_name=provisioning.LOCAL_REGION
    )
    place = release.Place(session, endpoint_url)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment = ours | place.environment() | {"PARLEY_HOME": str(embedded_home)}
    into = BASE_DIR / "build" / STAGE
    zappa = BASE_DIR / ".uv" / f"zappa-{Target.here().python}" / "bin" / "zappa"
    made = Deployment(place, Bundle(into / f"parley-{STAGE}.zip", into / "app", zappa), environment)
    made.make("deploy", f"--parameter CorsOrigins={ORIGIN}")
    return made


@pytest.fixture(scope="session")
def bundle(deployment: Deployment) -> Bundle:
    """The package that was deployed."""
    return deployment.bundle


@pytest.fixture(scope="session")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as Lambda would lay it out."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(bundle.zip) as package:
        package.extractall(folder)
    return folder
