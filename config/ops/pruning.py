"""A package that is small, starts fast, and is the same when made again.

`slim` is Zappa's "zip" callback, run with nothing but the standard library. What is dropped is
never imported; bytecode is compiled ahead (Lambda's folder is read-only, so it would be made anew
in each cold start) and is not checked against its source.
"""

import compileall
import gzip
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

# What botocore must know of AWS: the services and operations that the service calls. The role's
# policy in `infrastructure.yaml` allows the same ones (tests/test_role.py compares them).
OPERATIONS: dict[str, tuple[str, ...]] = {
    "cognito-idp": (
        "AdminAddUserToGroup",
        "AdminCreateUser",
        "AdminDeleteUser",
        "AdminDisableUser",
        "AdminEnableUser",
        "AdminGetUser",
        "AdminInitiateAuth",
        "AdminLinkProviderForUser",
        "AdminListGroupsForUser",
        "AdminRemoveUserFromGroup",
        "AdminRespondToAuthChallenge",
        "AdminSetUserMFAPreference",
        "AdminSetUserPassword",
        "AdminUpdateUserAttributes",
        "AdminUserGlobalSignOut",
        "AssociateSoftwareToken",
        "ConfirmForgotPassword",
        "ConfirmSignUp",
        "DescribeUserPool",
        "DescribeUserPoolClient",
        "ForgotPassword",
        "GetTokensFromRefreshToken",
        "ResendConfirmationCode",
        "RevokeToken",
        "SignUp",
        "VerifySoftwareToken",
    ),
    "dynamodb": (
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "DescribeTable",
        "GetItem",
        "PutItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    ),
    "kms": ("Decrypt", "Encrypt"),
    "lambda": ("Invoke",),
    "s3": ("GetObject", "PutObject"),
    "sesv2": ("SendEmail",),
    "ssm": ("GetParameter",),
}

DROPPED = (
    "package_info.json",  # the time and a random id: two packages of one commit would differ
    "zappa_settings.json",
    "gate.json",
    "config/ops/*",
    "*.c",
    "*.h",
    "*.map",
    "*.po",
    "*.pxd",
    "*.pyi",
    "*.pyx",
    "*/AUTHORS*",
    "*.dist-info/RECORD",
    "*.dist-info/licenses/*",
    "*/locale/*",
    "*/test_*.py",
    "*/testing/*",
    "*/tests/*",
    "bin/*",
    "boto3/examples/*",
    "botocore/data/*/examples-1.json",
    "django/conf/app_template/*",
    "django/conf/project_template/*",
    "django/contrib/admin/static/*",
    "django/contrib/admin/templates/*",
    "django/contrib/gis/*",
    "django/contrib/postgres/*",
    "drf_spectacular_sidecar/*/swagger-ui-es-*",
    "pycparser/*",  # cffi's parser of C, which is for making bindings
    "zappa/cli.py",
    "zappa/core.py",
    "zappa/letsencrypt.py",
    "zstandard/_cffi.*",  # for Pythons without the C API
)
# Django imports the formats of its language, and drf-spectacular a module that is called testing.
KEPT = ("django/conf/locale/__init__.py", "django/conf/locale/en/*")


def reduce(libraries: Path) -> None:
    """Leaves of installed libraries what Lambda reads, before Zappa copies them twice."""
    drop(libraries)
    reduce_botocore(libraries / "botocore" / "data")


def slim(cli: Any) -> None:
    """Rewrites the zip that Zappa has just made, without what it has added and nobody reads."""
    path = Path(cli.zip_path).resolve()
    with tempfile.TemporaryDirectory(prefix="parley-") as name:
        folder = Path(name)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        drop(folder)
        compileall.compile_dir(
            folder,
            quiet=1,
            stripdir=str(folder),
            prependdir="/var/task",
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        pack(folder, path)


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each file below the folder with its name there, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def drop(folder: Path) -> None:
    """Removes what Lambda never reads."""
    for name, path in files(folder):
        if not any(fnmatch(name, kept) for kept in KEPT) and any(
            fnmatch(name, dropped) for dropped in DROPPED
        ):
            path.unlink()


def reduce_botocore(data: Path) -> None:
    """Leaves the services and operations we call, with no documentation, not compressed."""
    for service in [path for path in data.iterdir() if path.is_dir()]:
        if service.name not in OPERATIONS:
            shutil.rmtree(service)
            continue
        for older in sorted(service.iterdir())[:-1]:  # API versions, by date; the last one is used
            shutil.rmtree(older)
    for path in data.glob("*/*/*.json.gz"):
        with gzip.open(path) as packed:
            described = json.load(packed)
        if path.name == "service-2.json.gz":
            described = only(described, OPERATIONS[path.parts[-3]])
        path.with_suffix("").write_text(json.dumps(_terse(described), separators=(",", ":")))
        path.unlink()
    endpoints = data / "endpoints.json"
    regions = json.loads(endpoints.read_text())
    for partition in regions["partitions"]:
        kept = {name: at for name, at in partition["services"].items() if name in ENDPOINTS}
        partition["services"] = kept
    endpoints.write_text(json.dumps(regions, separators=(",", ":")))


# Where endpoints.json calls a service otherwise than botocore.
ENDPOINTS = frozenset({*OPERATIONS, "email"})


def only(described: dict[str, Any], operations: tuple[str, ...]) -> dict[str, Any]:
    """A service's description with these operations alone, and the shapes they use."""
    kept = {name: described["operations"][name] for name in operations}
    shapes: dict[str, Any] = {}
    wanted = list(_shapes(kept))
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = described["shapes"][name]
            wanted += _shapes(shapes[name])
    return {**described, "operations": kept, "shapes": shapes}


def _shapes(node: Any) -> Iterator[str]:
    """The names of the shapes that a description refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for inner in node.values():
            yield from _shapes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _shapes(inner)


def _terse(node: Any) -> Any:
    """Without documentation, which is most of a description."""
    if isinstance(node, dict):
        return {
            name: _terse(inner)
            for name, inner in node.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [_terse(inner) for inner in node] if isinstance(node, list) else node


def pack(folder: Path, path: Path) -> None:
    """Zips the folder; the same files make the same zip."""
    draft = path.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in files(folder):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whose permissions follow
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    draft.replace(path)
