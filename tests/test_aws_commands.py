"""Each `aws …` command of our documents is one that AWS has, with options that it takes."""

import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from config.stack import BASE_DIR

DOCUMENTS = [BASE_DIR / "README.md", *sorted((BASE_DIR / "docs").rglob("*.md"))]
COMMAND = re.compile(r"\baws ([a-z][a-z0-9-]+) ([a-z][a-z-]+)((?:[^`\n|;)]|\\\n)*)")
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
OF_ALL = {"query", "output", "region", "profile", "cli-binary-format"}
# Commands that the CLI adds to AWS's own operations, with their options.
CUSTOM = {("logs", "tail"): {"follow", "since"}}
SESSION = botocore.session.get_session()


def commands() -> list[tuple[Path, str, str, tuple[str, ...]]]:
    found = []
    for path in DOCUMENTS:
        for service, operation, rest in COMMAND.findall(path.read_text()):
            if service in SESSION.get_available_services():
                found.append((path, service, operation, tuple(OPTION.findall(rest))))
    return found


COMMANDS = commands()


def options_of(service: str, operation: str) -> set[str]:
    """The options of a command: its operation's parameters, in the CLI's spelling."""
    if (service, operation) in CUSTOM:
        return CUSTOM[service, operation]
    model = SESSION.get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    shape = model.operation_model(names[operation]).input_shape
    members = shape.members if shape else {}
    options = {xform_name(name, "-") for name in members}
    switches = {
        xform_name(n, "-") for n, member in members.items() if member.type_name == "boolean"
    }
    return options | {f"no-{name}" for name in switches}


def test_the_documents_have_commands() -> None:
    assert len(COMMANDS) > 12
    assert {"acm", "apigateway", "cloudformation", "lambda", "sesv2"} <= {c[1] for c in COMMANDS}


@pytest.mark.parametrize(
    ("path", "service", "operation", "options"),
    COMMANDS,
    ids=[f"{path.stem} {service} {operation}" for path, service, operation, _ in COMMANDS],
)
def test_a_command_exists_with_its_options(
    path: Path, service: str, operation: str, options: tuple[str, ...]
) -> None:
    assert set(options) <= options_of(service, operation) | OF_ALL, path.name


def test_a_command_that_only_version_two_takes_is_announced() -> None:
    readme = (BASE_DIR / "README.md").read_text()
    before, _, after = readme.partition("--cli-binary-format")
    assert after
    assert "AWS CLI version 2" in before
