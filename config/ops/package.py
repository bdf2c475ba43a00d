"""Makes the zip that Lambda runs: our packages, the locked libraries, Zappa's handler.

Zappa packages a folder and a virtual environment. Both are made here from nothing, so that stray
files of a checkout stay out: `build/<stage>/app` and `build/<stage>/parley-runtime`.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from string import Template
from typing import Any

from config.ops import pruning, public_routes, zappa_template
from config.ops.cloudformation import snake_case
from config.ops.local_aws import Progress, silent
from config.stack import BASE_DIR, Stack

PACKAGES = sorted(pruning.OURS)
SETTINGS = BASE_DIR / "zappa_settings.json"
# Lambda gets only those of Zappa's libraries that its handler needs, none of python-jose's backends
# but cryptography's, and no validator of the API's document, which the tests run.
NOT_ON_LAMBDA = (
    "argcomplete",
    "attrs",
    "ecdsa",
    "hjson",
    "jsonschema",
    "pip",
    "placebo",
    "pyasn1",
    "python-slugify",
    "requests",
    "rsa",
    "setuptools",
    "toml",
    "tqdm",
    "troposphere",
    "wheel",
)
# The oldest C library among Lambda's Python 3.12 and later (Amazon Linux 2023) is 2.34.
PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
LIMIT_BYTES = 250 * 2**20  # unzipped, AWS: "Lambda quotas"


class BundleError(RuntimeError):
    """The package cannot be made. The text has the failed step and its output."""


@dataclass(frozen=True)
class Target:
    """The Python and platform of a package. `platform` is uv's name, or None for this machine."""

    python: str
    architecture: str
    platform: str | None

    @classmethod
    def of_stage(cls, stage: str) -> "Target":
        """The target in `zappa_settings.json`. Raises BundleError for an unknown stage."""
        settings = json.loads(SETTINGS.read_text())
        if stage not in settings or stage == "base":
            raise BundleError(f"{SETTINGS.name} has no stage {stage}")
        settings = settings["base"] | settings[stage]
        architecture = settings["architecture"]
        python = settings["runtime"].removeprefix("python")
        return cls(python, architecture, PLATFORMS[architecture])

    @classmethod
    def here(cls) -> "Target":
        """This machine with this Python, for the embedded AWS."""
        machine = sysconfig.get_platform().rpartition("-")[2]
        architecture = "arm64" if machine in ("aarch64", "arm64") else "x86_64"
        return cls(f"{sys.version_info.major}.{sys.version_info.minor}", architecture, None)

    @property
    def settings(self) -> dict[str, str]:
        """The target as settings of Zappa."""
        return {"runtime": f"python{self.python}", "architecture": self.architecture}


@dataclass(frozen=True)
class Bundle:
    """A finished package, and the folder with Zappa's settings."""

    zip: Path
    folder: Path
    zappa: Path

    @property
    def runtime(self) -> Path:
        """The folder that Zappa takes for the virtual environment to package."""
        return self.folder.parent / "parley-runtime"

    def run_zappa(self, *arguments: str, **environment: str) -> str:
        """Runs Zappa in the folder and returns its output. Raises BundleError with its end."""
        return _run(
            [self.zappa, *arguments],
            cwd=self.folder,
            env={"VIRTUAL_ENV": str(self.runtime), "PYTHONHASHSEED": "0", **environment},
        )


def build(
    stage: str,
    *,
    target: Target | None = None,
    into: Path | None = None,
    outputs: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Makes the stage's package in `into` (by default `build/<stage>`).

    With the stack's `outputs` the package is ready for release. Raises BundleError.
    """
    target = target or Target.of_stage(stage)
    bundle = prepare(stage, target=target, into=into, outputs=outputs, progress=progress)
    libraries = bundle.runtime / "lib" / f"python{target.python}" / "site-packages"
    progress(f"Installing the libraries for Python {target.python} on {target.architecture}")
    _install_libraries(libraries, target, bundle.zappa.with_name("python"))
    pruning.reduce(libraries)
    progress("Packaging")
    bundle.run_zappa("package", stage, "--output", bundle.zip.name)
    (bundle.folder / bundle.zip.name).replace(bundle.zip)
    return bundle


def prepare(
    stage: str,
    *,
    target: Target | None = None,
    into: Path | None = None,
    outputs: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Bundle:
    """Does all of `build` except the package itself, which is enough for Zappa's other commands."""
    target = target or Target.of_stage(stage)
    into = into or BASE_DIR / "build" / stage
    bundle = Bundle(into / f"parley-{stage}.zip", into / "app", _tools(target.python, progress))
    progress("Copying our packages")
    _copy_sources(bundle.folder)
    configure(bundle, stage, target.settings, outputs)
    return bundle


def configure(
    bundle: Bundle,
    stage: str,
    values: Mapping[str, Any],
    outputs: Mapping[str, str] | None = None,
    *,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Writes the bundle's Zappa settings (the repository's and `values`) and the gate's plan.

    With the stack's `outputs`, each `${Name}` becomes the output of that name. The function's
    environment gets all fields of config.stack.Stack, and `variables`. Raises BundleError if an
    output is missing, or if it is unclear whether a route needs a token.
    """
    settings = json.loads(SETTINGS.read_text())
    merged = settings["base"] | settings[stage] | dict(values)
    merged.pop("extends", None)
    if outputs is not None:
        merged = _filled(merged, {**outputs, "Stage": stage})
        merged["aws_environment_variables"] |= _stack_variables(outputs) | dict(variables or {})
    (bundle.folder / SETTINGS.name).write_text(json.dumps({stage: merged}, indent=2))
    try:
        plan = public_routes.plan(outputs or {})
    except public_routes.GateError as error:
        raise BundleError(str(error)) from error
    (bundle.folder / zappa_template.PLAN).write_text(json.dumps(plan))


def _stack_variables(outputs: Mapping[str, str]) -> dict[str, str]:
    """The outputs as the variables that `config.stack.stack()` reads."""
    wanted = {field.name for field in fields(Stack)}
    named = {snake_case(name): value for name, value in outputs.items()}
    return {f"PARLEY_{name.upper()}": named[name] for name in wanted & named.keys()}


def _filled(node: Any, outputs: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(inner, outputs) for name, inner in node.items()}
    if isinstance(node, list):
        return [_filled(inner, outputs) for inner in node]
    try:
        return Template(node).substitute(outputs) if isinstance(node, str) else node
    except KeyError as error:
        raise BundleError(f"{SETTINGS.name}: the stack has no output {error}") from error


def _copy_sources(folder: Path) -> None:
    """Copies the files of our packages that git knows or would add, and none that it ignores."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = _run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *PACKAGES],
        cwd=BASE_DIR,
    )
    for name in filter(None, listed.split("\0")):
        if (BASE_DIR / name).is_file():  # git still lists a deleted file until the commit
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(BASE_DIR / name, folder / name)


def _requirements(*options: str) -> str:
    return _run(
        [_uv(), "export", "--quiet", "--locked", "--no-header", "--no-annotate", *options],
        cwd=BASE_DIR,
    )


def runtime_requirements() -> str:
    """The locked libraries of the package, one a line, with their hashes."""
    pruned = [option for name in NOT_ON_LAMBDA for option in ("--prune", name)]
    return _requirements("--no-default-groups", "--group", "deploy", *pruned)


def _install_libraries(site: Path, target: Target, python: Path) -> None:
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    wanted = site.parent / "requirements.txt"
    wanted.write_text(runtime_requirements())
    platform: list[str] = []
    if target.platform:
        platform = ["--python-platform", target.platform, "--python-version", target.python]
    options = ["--no-deps", "--only-binary", ":all:", "--link-mode", "copy", *platform]
    _install(wanted, "--python", python, "--target", site, *options)


def _tools(python: str, progress: Progress) -> Path:
    """Installs Zappa in a virtual environment of its own, with Lambda's Python.

    Zappa compiles what it packages, so its Python must have Lambda's minor version.
    """
    folder = BASE_DIR / ".uv" / f"zappa-{python}"
    wanted = _requirements("--only-group", "deploy")
    mark, state = folder / ".made-from", hashlib.sha256(wanted.encode()).hexdigest()
    if not mark.exists() or mark.read_text() != state:
        progress(f"Installing Zappa into {folder.relative_to(BASE_DIR)}")
        try:
            _run([_uv(), "venv", "--quiet", "--clear", "--python", python, folder])
        except BundleError as error:
            advice = f"Python {python} is needed: docs/operations.md, 'Lambda's Python'"
            raise BundleError(f"{error}\n{advice}") from error
        requirements = folder / "requirements.txt"
        requirements.write_text(wanted)
        _install(requirements, "--python", folder / "bin" / "python")
        mark.write_text(state)
    return folder / "bin" / "zappa"


def _install(requirements: Path, *options: Any) -> None:
    _run([_uv(), "pip", "install", "--quiet", "--requirement", requirements, *options])


def _uv() -> str:
    ours = BASE_DIR / ".uv" / "bin" / "uv"
    path = str(ours) if ours.exists() else shutil.which("uv")
    if path is None:
        raise BundleError("uv is not installed: run `make setup`")
    return path


def _run(
    command: list[Any], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        output = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise BundleError(f"{Path(str(command[0])).name} failed:\n" + "\n".join(output))
    return done.stdout
