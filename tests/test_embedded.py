"""The embedded AWS's keeper: one engine for a folder, nothing lost, faults told in words."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.ops import cloudformation, local_aws
from config.ops.local_aws import EngineError
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@dataclass(frozen=True)
class Engine:
    home: Path
    url: str


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One that runs all the time, for tests that leave it as it is."""
    home = tmp_path_factory.mktemp("engine") / "home"
    with local_aws.running(home) as url:
        make_bucket(url)
        yield Engine(home, url)


def port_of(endpoint_url: str) -> int:
    return int(endpoint_url.rpartition(":")[2])


def make_bucket(endpoint_url: str) -> None:
    s3 = cloudformation.local_client("s3", endpoint_url)
    s3.create_bucket(
        Bucket="letters",
        CreateBucketConfiguration={"LocationConstraint": cloudformation.LOCAL_REGION},
    )
    s3.put_object(Bucket="letters", Key="first", Body=b"Dear Amara")


def read_object(endpoint_url: str) -> bytes:
    s3 = cloudformation.local_client("s3", endpoint_url)
    return bytes(s3.get_object(Bucket="letters", Key="first")["Body"].read())


def test_it_ends_with_its_last_user_and_state_and_port_survive(home: Path) -> None:
    with local_aws.running(home) as first:
        make_bucket(first)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(first)))
    with local_aws.running(home) as second:
        assert second == first
        assert read_object(second) == b"Dear Amara"


def test_a_second_user_gets_the_same_engine_and_may_leave_first(engine: Engine) -> None:
    told: list[str] = []
    with local_aws.running(engine.home, progress=told.append) as inner:
        assert inner == engine.url
    assert read_object(engine.url) == b"Dear Amara"
    assert told == [f"shared: it runs on {engine.url[7:]} already"]


def test_it_takes_another_port_when_its_own_is_taken(home: Path) -> None:
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as another:
        taken = another.getsockname()[1]
        (home / "aws.json").write_text(json.dumps({"port": taken, "pid": 1}))
        with local_aws.running(home) as endpoint_url:
            assert port_of(endpoint_url) != taken


def test_two_folders_have_nothing_in_common(engine: Engine, home: Path) -> None:
    with local_aws.running(home) as other:
        s3 = cloudformation.local_client("s3", other)
        assert s3.list_buckets()["Buckets"] == []
    assert read_object(engine.url) == b"Dear Amara"


def test_it_takes_no_request_from_elsewhere(engine: Engine) -> None:
    with pytest.raises(OSError, match=r"refused|assign"):
        socket.create_connection(("127.0.0.2", port_of(engine.url)), timeout=PATIENCE_S)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EngineError, match=r"the state folder .*/file cannot be used"),
        local_aws.running(tmp_path / "file"),
    ):
        pass


@pytest.mark.parametrize("name", ["home", "home/aws", "home/aws.engine"])
def test_a_folder_that_cannot_be_saved_to_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    read_only = tmp_path / name
    # Root, as whom containers run tests, may write in spite of all modes.
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != read_only)
    with (
        pytest.raises(EngineError, match=f"cannot be used: {read_only} is read-only"),
        local_aws.running(tmp_path / "home"),
    ):
        pass


def test_a_missing_installation_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_aws, "ENGINE_PYTHON", home / "none")
    with pytest.raises(EngineError, match=r"run `make setup`"), local_aws.running(home):
        pass


def test_an_engine_that_ends_at_once_is_told_with_its_last_words(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = home.parent / "broken"
    broken.write_text("#!/bin/sh\necho no memory left\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(local_aws, "ENGINE_PYTHON", broken)
    with pytest.raises(EngineError, match="no memory left"), local_aws.running(home):
        pass


@pytest.mark.parametrize("record", ['{"port": "x", "pid": 1}', '{"port": 99999, "pid": 1}'])
def test_a_damaged_record_of_the_last_engine_is_written_anew(home: Path, record: str) -> None:
    home.mkdir()
    (home / "aws.json").write_text(record)
    with local_aws.running(home) as endpoint_url:
        written = json.loads((home / "aws.json").read_text())
    assert written["port"] == port_of(endpoint_url)


def test_state_of_a_later_version_is_refused_and_kept(home: Path) -> None:
    (home / "aws").mkdir(parents=True)
    later = home / "aws" / "dynamodb.json"
    written = json.dumps({"__ministack_format__": 99, "payload": {}})
    later.write_text(written)
    with (
        pytest.raises(EngineError, match=r"cannot read its state .*refusing to load"),
        local_aws.running(home),
    ):
        pass
    assert later.read_text() == written


ADDS_A_USER_DURING_A_WALK = """
import threading
import engine
from ministack.services import cognito

engine.serve_the_pool_one_by_one()
users = {"ana": 1, "bela": 2}
add = threading.Thread(
    target=cognito._run_idp_handler, args=(lambda _: users.update(caio=3), "AdminCreateUser", {})
)

def walk(_):
    found = []
    for name in users:
        found.append(name)
        if not add.ident:
            add.start()
            add.join(0.2)
    return found

print(*cognito._run_idp_handler(walk, "GetUser", {}))
add.join()
print(*users)
"""


def test_the_pool_walks_its_users_while_another_one_is_added() -> None:
    done = subprocess.run(
        [local_aws.ENGINE_PYTHON, "-c", ADDS_A_USER_DURING_A_WALK],
        cwd=Path(local_aws.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "ana bela\nana bela caio\n", done.stderr
