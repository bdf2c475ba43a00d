"""The package that Lambda runs: complete, small, and without stray files."""

import json
import marshal
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import _cffi_backend
import pytest
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from config.ops import package, pruning
from config.ops.local_aws import silent
from config.ops.package import NOT_ON_LAMBDA, Bundle, BundleError, Target, runtime_requirements
from config.stack import BASE_DIR
from tests.benchmarks.cold_start import ENVIRONMENT
from tests.gateway import event

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("package")]

ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from config.lambda_handler import lambda_handler
answer = lambda_handler(json.loads(sys.argv[2]), None)
strangers = [
    module.__file__ for module in sys.modules.values()
    if "site-packages" in (getattr(module, "__file__", None) or "")
]
print(json.dumps([answer["statusCode"], answer["body"], sorted(sys.modules), strangers]))
"""


HOARD = """
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from config.lambda_handler import lambda_handler
text = sys.stdin.read()

def peak_kib_after(times):
    for _ in range(times):
        assert lambda_handler(json.loads(text), None)["statusCode"] == 400
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

first = peak_kib_after(2)
print(peak_kib_after(20) - first)
"""


def ask(folder: Path, path: str, accept: str = "*/*") -> tuple[int, str, list[str], list[str]]:
    """The unpacked package's answer, and the modules that it loaded from itself and elsewhere."""
    request = json.dumps(event("GET", path, headers={"Accept": accept}))
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ASK, folder, request],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    status, body, modules, strangers = json.loads(done.stdout.splitlines()[-1])
    return status, body, modules, strangers


def test_the_package_alone_answers(unpacked: Path) -> None:
    status, body, modules, strangers = ask(unpacked, "/health")
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert strangers == []
    # What no request needs must not slow a start.
    slow = {"boto3", "werkzeug", "zappa", "drf_spectacular.openapi", "icalendar", "fsrs_rs_python"}
    slow |= {"botocore.client", "botocore.session", "urllib3"}
    assert not slow & set(modules)


def test_study_loads_nothing_of_voice_words_and_media(bundle: Bundle) -> None:
    """On a stage that has them all, after a start and a request of each kind."""
    command = [sys.executable, "-m", "tests.benchmarks.bench", "features"]
    options = ["--package", bundle.zip, "--rounds", "1", "--times", "1"]
    done = subprocess.run([*command, *options], cwd=BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "| Study: modules of voice, words, media | none | none | met |" in done.stdout


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/schema", "application/vnd.oai.openapi", 200),
        ("/docs", "text/html", 200),
        ("/", "text/html", 200),
        ("/mails", "text/html", 404),
        ("/profile", "application/json", 401),
    ],
)
def test_what_is_loaded_later_is_there_too(
    unpacked: Path, path: str, accept: str, status: int
) -> None:
    assert ask(unpacked, path, accept)[0] == status


def test_zappas_handler_is_there_too(unpacked: Path) -> None:
    load = f"import sys; sys.path.insert(0, {str(unpacked)!r}); import zappa.handler; import boto3"
    subprocess.run([sys.executable, "-I", "-S", "-c", load], env=ENVIRONMENT, check=True)


def test_large_bodies_do_not_pile_up_in_memory(unpacked: Path) -> None:
    body = {"email": "a" * 4_000_000, "password": "x"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", HOARD, unpacked],
        input=json.dumps(event("POST", "/auth/login", body=body)),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    grown_kib = int(done.stdout.splitlines()[-1])
    assert grown_kib < 40_000  # the copies of one body; all twenty would be 80,000 at the least


def test_no_request_looks_for_a_database(unpacked: Path) -> None:
    load = f"import sys; sys.path.insert(0, {str(unpacked)!r}); import config.lambda_handler"
    ask = (
        "from django.core.signals import request_started; sys.exit(request_started.has_listeners())"
    )
    command = [sys.executable, "-I", "-S", "-c", f"{load}; {ask}"]
    subprocess.run(command, env=ENVIRONMENT, check=True)


def test_nothing_but_what_is_meant_is_inside(bundle: Bundle) -> None:
    with zipfile.ZipFile(bundle.zip) as package:
        names = package.namelist()
    ours = [name for name in names if name.partition("/")[0] in ("tests", "docs", "benchmarks")]
    assert ours == []
    for dropped in ("config/ops/", "config/ops/local_aws/", "package_info.json", ".parley"):
        assert not [name for name in names if name.startswith(dropped)], dropped
    secret = (".env", ".key", ".pem", "secret-key", "stack.json")
    public = ["botocore/cacert.pem", "config/amazon-roots.pem"]
    assert [name for name in names if name.endswith(secret)] == public
    tops = {name.partition("/")[0].lower() for name in names}
    assert not {name.replace("-", "_") for name in NOT_ON_LAMBDA} & tops


def test_nothing_secret_is_inside(unpacked: Path) -> None:
    settings = (unpacked / "zappa_settings.py").read_text()
    assert "SECRET" not in settings
    assert "DEBUG=False" in settings
    secret = BASE_DIR / ".parley" / "secret-key"
    texts = [path.read_bytes() for path in (unpacked / "config").rglob("*") if path.is_file()]
    if secret.exists():
        assert not [text for text in texts if secret.read_bytes().strip() in text]


def test_every_module_is_compiled_and_never_checked(unpacked: Path) -> None:
    for source in (unpacked / "config").rglob("*.py"):
        [compiled] = (source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc")
        content = compiled.read_bytes()
        assert int.from_bytes(content[4:8], "little") == 0b01, source  # PEP 552: hash, unchecked
        assert marshal.loads(content[16:]).co_filename.startswith("/var/task/config/")  # noqa: S302


def test_the_package_is_small(bundle: Bundle) -> None:
    assert bundle.zip.stat().st_size < 19 * 2**20
    with zipfile.ZipFile(bundle.zip) as package:
        assert sum(entry.file_size for entry in package.infolist()) < 48 * 2**20


def test_a_library_without_symbols_is_loaded_as_before(tmp_path: Path) -> None:
    whole = Path(_cffi_backend.__file__)
    library = tmp_path / whole.name
    shutil.copyfile(whole, library)
    (tmp_path / "notes.so.txt").write_bytes(b"not a library")
    pruning.strip_libraries(tmp_path)
    assert library.stat().st_size < whole.stat().st_size
    load = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import _cffi_backend as it; " + (
        "assert it.new_primitive_type('int'); print(it.__file__)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", load], capture_output=True, text=True)
    assert done.stdout.strip() == str(library), done.stderr
    assert (tmp_path / "notes.so.txt").read_bytes() == b"not a library"


def test_libraries_are_bytecode_alone_and_our_sources_stay(unpacked: Path) -> None:
    assert (unpacked / "django" / "__init__.pyc").exists()
    assert not list((unpacked / "django").rglob("*.py"))
    assert not list((unpacked / "django").rglob("__pycache__"))
    assert (unpacked / "config" / "http.py").exists()


def test_the_same_files_make_the_same_package(unpacked: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    pruning.pack(unpacked / "config", first)
    for path in (unpacked / "config").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    pruning.pack(unpacked / "config", second)
    assert first.read_bytes() == second.read_bytes()


def test_a_description_keeps_what_its_operations_use() -> None:
    described = {
        "metadata": {"apiVersion": "1"},
        "operations": {
            "Get": {"input": {"shape": "GetInput"}, "errors": [{"shape": "Gone"}]},
            "Put": {"input": {"shape": "PutInput"}},
        },
        "shapes": {
            "GetInput": {"type": "structure", "members": {"Key": {"shape": "Key"}}},
            "Gone": {"type": "structure", "members": {}},
            "Key": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Value"}},
            "Name": {"type": "string"},
            "PutInput": {"type": "structure", "members": {"Big": {"shape": "Big"}}},
            "Big": {"type": "blob"},
            "Value": {"type": "list", "member": {"shape": "Value"}},
        },
    }
    left = pruning.only(described, ("Get",))
    assert left["metadata"] == {"apiVersion": "1"}
    assert set(left["operations"]) == {"Get"}
    assert set(left["shapes"]) == {"GetInput", "Gone", "Key", "Name", "Value"}


def test_a_stage_that_is_not_there_is_told() -> None:
    with pytest.raises(BundleError, match="no stage staging"):
        Target.of_stage("staging")


def test_a_stage_is_made_for_lambdas_own_python_and_processor() -> None:
    target = Target.of_stage("prod")
    assert target == Target("3.13", "arm64", "aarch64-manylinux_2_28")
    assert target.settings == {"runtime": "python3.13", "architecture": "arm64"}


def test_a_failing_zappa_is_told_with_its_words(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"zappa failed:\n"):
        bundle.run_zappa("package", "nowhere")


def locked_wheels() -> dict[str, list[str]]:
    """The wheels that `uv.lock` has of each library of the package."""
    wanted = {
        line.partition("==")[0] for line in runtime_requirements().splitlines() if "==" in line
    }
    locked = tomllib.loads((BASE_DIR / "uv.lock").read_text())["package"]
    return {
        each["name"]: [wheel["url"].rpartition("/")[2] for wheel in each.get("wheels", [])]
        for each in locked
        if each["name"] in wanted
    }


def test_every_library_has_a_wheel_for_lambdas_python_and_processor() -> None:
    target = Target.of_stage("prod")
    version = tuple(int(part) for part in target.python.split("."))
    glibcs = [f"manylinux_2_{minor}_aarch64" for minor in range(28, 16, -1)]
    platforms = [*glibcs, "manylinux2014_aarch64"]
    fitting = {
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, platforms=platforms),
    }
    found = locked_wheels()
    assert {"cryptography", "django", "pynamodb", "zappa"} <= found.keys()
    without = [
        name
        for name, wheels in found.items()
        if not any(parse_wheel_filename(wheel)[3] & fitting for wheel in wheels)
    ]
    assert without == []


def test_a_python_that_cannot_be_found_is_told_with_what_to_do() -> None:
    with pytest.raises(BundleError, match=r"(?s)3\.99.*docs/operations\.md, 'Lambda's Python'"):
        package._tools("3.99", silent)
