"""The Makefile's set-up, with a uv that only notes how it was called."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config.stack import BASE_DIR

UV = f"""#!{sys.executable}
import pathlib, sys
with open("calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
print("Installed 158 packages")
if pathlib.Path("broken").exists():
    sys.exit("error: no route to the index")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the files that `make setup` reads, after uv was fetched."""
    for name in ("Makefile", "pyproject.toml", "uv.lock", "config/ops/steps.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BASE_DIR / name, tmp_path / name)
    requirements = tmp_path / "config/ops/local_aws/requirements.txt"
    requirements.parent.mkdir(parents=True)
    requirements.touch()
    (tmp_path / ".uv/bin").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".uv/aws").mkdir()
    uv = tmp_path / ".uv/bin/uv"
    uv.write_text(UV)
    uv.chmod(stat.S_IRWXU)
    (tmp_path / ".uv/.ready").touch()
    return tmp_path


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *arguments],
        cwd=project,
        env=outside,
        capture_output=True,
        text=True,
        check=False,
    )


def test_set_up_is_one_line_a_step(project: Path) -> None:
    done = make(project, "setup")
    assert (done.returncode, done.stdout) == (0, "")
    assert re.fullmatch(
        r"Installing Parley's libraries into \.venv … \d+\.\d s\n"
        r"Installing the embedded AWS into \.uv/aws … \d+\.\d s\n",
        done.stderr,
    )
    assert "sync --quiet --locked" in (project / "calls").read_text()
    again = make(project, "setup")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_step_of_set_up_that_fails_says_why_and_is_tried_again(project: Path) -> None:
    (project / "broken").touch()
    done = make(project, "setup")
    assert done.returncode != 0
    assert "Installing Parley's libraries into .venv …\n" in done.stderr
    assert "error: no route to the index\n" in done.stderr
    (project / "broken").unlink()
    assert make(project, "setup").returncode == 0


@pytest.mark.parametrize(
    "command", [["sync"], ["pip", "install", "segno"], ["export"], ["venv", "x"]]
)
def test_uv_believes_whom_the_system_believes_in_the_project(command: list[str]) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("UV_", "SSL_CERT"))}
    done = subprocess.run(
        [BASE_DIR / ".uv/bin/uv", "--show-settings", *command],
        cwd=BASE_DIR,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "system_certs: true" in done.stdout


def test_uv_believes_whom_the_system_believes_where_it_reads_no_project(project: Path) -> None:
    make(project, "audit")
    [call] = [line for line in (project / "calls").read_text().splitlines() if "checkov" in line]
    assert "--system-certs" in call


def test_the_commits_that_do_not_stand_alone_are_named(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(BASE_DIR / ".ci/commits", tmp_path / ".ci/commits")
    (tmp_path / "Makefile").write_text("test-fast:\n\t@! grep failed state\n")
    for subject, state in (("Begin", ""), ("Break it", "1 failed"), ("Mend it", "")):
        (tmp_path / "state").write_text(state)
        commit(tmp_path, subject)
    tried = subprocess.run(
        [tmp_path / ".ci/commits", "HEAD~2"], capture_output=True, text=True, check=False
    )
    assert tried.returncode == 1
    assert re.search(r"^stands +\d+ s  \w{7,} Mend it$", tried.stdout, re.MULTILINE)
    assert re.search(r"^FAILS +\d+ s  \w{7,} Break it\n1 failed$", tried.stdout, re.MULTILINE)
    assert "Begin" not in tried.stdout


def commit(repository: Path, subject: str) -> None:
    """Commits all files of a folder, which it makes a repository."""
    author = ("-c", "user.name=Ana", "-c", "user.email=ana@parley.example")
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", subject]):
        subprocess.run(["git", *command], cwd=repository, check=True)
