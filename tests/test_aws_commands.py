"""Each `aws …` command of our documents is one that AWS has, with the options that it takes.

`PARLEY_AWS_CLI=aws pytest tests/test_aws_commands.py` asks the AWS CLI itself as well, which may be
any executable of its version 2, from 2.11.26 on (SQS's `start-message-move-task`). No command
reaches AWS.
"""

import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator

import botocore.session
import jmespath
import pytest
from botocore import xform_name

from config.stack import BASE_DIR
from tests.test_docs import PAGES

FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
BEGIN = re.compile(r"(?:^|(?<=[\s(]))aws (?=[a-z0-9-]+ [a-z])")
VARIABLE = re.compile(r"\$(\w+)")
ENDS = ");|&>"
OF_ALL = {"query", "output", "region", "profile", "cli-binary-format"}
# Commands that the CLI adds to AWS's own operations, with their options.
CUSTOM = {
    ("logs", "tail"): {"follow", "since"},
    ("s3", "rm"): {"recursive"},
    ("s3", "sync"): set[str](),
}
SESSION = botocore.session.get_session()
CLI = os.environ.get("PARLEY_AWS_CLI")
WRONG_COMMAND = 252  # AWS CLI: "Return codes"


def commands_of(text: str) -> Iterator[list[str]]:
    """The words of each command in a document, after `aws`, with a value for each variable."""
    fenced = FENCED.findall(text)
    inline = [span.replace("\n", " ") for span in INLINE.findall(FENCED.sub("", text))]
    for snippet in (*fenced, *inline):
        for begin in BEGIN.finditer(snippet.replace("\\\n", "")):
            rest = snippet.replace("\\\n", "")[begin.end() :]
            lexer = shlex.shlex(rest.partition("\n")[0], posix=True, punctuation_chars=ENDS)
            lexer.whitespace_split, lexer.commenters = True, "#"
            words = itertools.takewhile(lambda word: not set(word) <= set(ENDS), lexer)
            yield [VARIABLE.sub(r"arn:aws:some:variable:\1", word) for word in words]


COMMANDS = [
    pytest.param(words, id=f"{path.stem} {' '.join(words[:2])}")
    for path in PAGES
    for words in commands_of(path.read_text())
]
each_command = pytest.mark.parametrize("words", COMMANDS)


def options_of(words: list[str]) -> set[str]:
    return {word.removeprefix("--") for word in words if word.startswith("--")}


def test_the_documents_have_commands_and_all_of_their_lines_are_read() -> None:
    found = [str(command.values[0]) for command in COMMANDS]
    assert len(found) > 15
    [api_id] = [words for words in found if "describe-stack-resource" in words]
    assert "'--logical-resource-id', 'Api', '--query', 'StackResourceDetail" in api_id


@each_command
def test_a_command_exists_with_its_options(words: list[str]) -> None:
    service, operation, *rest = words
    given = options_of(rest) - OF_ALL
    if (service, operation) in CUSTOM:
        assert given <= CUSTOM[service, operation]
        return
    model = SESSION.get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    shape = model.operation_model(names[operation]).input_shape
    members = shape.members if shape else {}
    switches = {
        f"no-{xform_name(name, '-')}"
        for name, member in members.items()
        if member.type_name == "boolean"
    }
    assert given <= {xform_name(name, "-") for name in members} | switches
    needed = {xform_name(name, "-") for name in (shape.required_members if shape else ())}
    assert needed <= given, f"aws {service} {operation} needs more"


@each_command
def test_what_a_command_asks_of_the_answer_can_be_asked(words: list[str]) -> None:
    for option, value in itertools.pairwise(words):
        if option == "--query":
            jmespath.compile(value)


if CLI:

    @each_command
    def test_the_cli_itself_takes_the_command(words: list[str]) -> None:
        """It gives up when nobody answers, which is after it has read the command."""
        keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
        more = {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "1"}
        nobody = ["--endpoint-url", "http://127.0.0.1:9", "--cli-connect-timeout", "1"]
        done = subprocess.run(
            [str(CLI), *words, *nobody],
            env=os.environ | keys | more,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode not in (0, WRONG_COMMAND), done.stderr
        assert "Could not connect" in done.stderr


def test_a_command_that_only_version_two_takes_is_announced() -> None:
    readme = (BASE_DIR / "README.md").read_text()
    before, _, _ = readme.partition("`aws ")
    assert "AWS CLI version 2" in before
    assert "--cli-binary-format" in readme.partition("AWS CLI version 2")[2]
