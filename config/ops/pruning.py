"""Prunes a package, so that it is small, starts fast, and comes out the same each time.

`slim` is Zappa's "zip" callback. It runs with the standard library alone. No dropped file is ever
imported. Bytecode is compiled ahead and is not checked against its source: Lambda's folder is
read-only, so each cold start would compile it anew.
"""

import compileall
import gzip
import json
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

# The services and operations of AWS that our code calls; botocore's other data is dropped. The role
# in `infrastructure.yaml` allows the same ones (tests/test_role.py compares them).
OPERATIONS: dict[str, tuple[str, ...]] = {
    "bedrock-runtime": ("ApplyGuardrail", "Converse"),
    "cognito-idp": (
        "AdminAddUserToGroup",
        "AdminCreateUser",
        "AdminDeleteUser",
        "AdminDisableProviderForUser",
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
        "ListUsers",
        "ListUsersInGroup",
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
    "polly": ("SynthesizeSpeech",),
    "s3": ("DeleteObjects", "GetObject", "HeadObject", "ListObjectsV2", "PutObject"),
    "sesv2": ("DeleteSuppressedDestination", "SendEmail"),
    "sqs": ("ChangeMessageVisibility", "SendMessageBatch"),
    "transcribe": ("DeleteTranscriptionJob", "GetTranscriptionJob", "StartTranscriptionJob"),
    "translate": ("TranslateText",),
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
    *(f"django/db/backends/{name}/*" for name in ("mysql", "oracle", "postgresql", "sqlite3")),
    "pycparser/*",  # cffi's parser of C makes bindings; nothing calls it
    # Browsers take the .woff beside them; these were for older ones.
    *(f"rest_framework/static/rest_framework/fonts/*.{kind}" for kind in ("eot", "svg", "ttf")),
    "zappa/cli.py",
    "zappa/core.py",
    "zappa/letsencrypt.py",
    "zstandard/_cffi.*",  # for Pythons without the C API
    "zstandard/backend_cffi.py",
)
# Django imports the formats of our languages, and names days and months in them.
KEPT = (
    "config/locale/*",
    "django/conf/locale/__init__.py",
    *(f"django/conf/locale/{language}/*" for language in ("en", "de", "es", "fr", "vi")),
)


def reduce(libraries: Path) -> None:
    """Drops what Lambda never reads from the libraries, before Zappa copies them twice."""
    drop(libraries)
    strip_libraries(libraries)
    reduce_botocore(libraries / "botocore" / "data")


def slim(cli: Any) -> None:
    """Rewrites the zip that Zappa has just made, without Zappa's files that nobody reads."""
    path = Path(cli.zip_path).resolve()
    with tempfile.TemporaryDirectory(prefix="parley-") as name:
        folder = Path(name)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        drop(folder)
        for library in (each for each in sorted(folder.iterdir()) if each.is_dir()):
            if library.name not in OURS:
                leave_bytecode(library, folder)
        _compile(folder, folder)
        pack(folder, path)


OURS = frozenset({"accounts", "config", "learning", "reminders"})


def leave_bytecode(library: Path, folder: Path) -> None:
    """Puts a library's bytecode in the place of its sources.

    A traceback names the library's files and lines as before; only the text of these lines is gone.
    """
    for cache in [*library.rglob("__pycache__")]:
        shutil.rmtree(cache)
    _compile(library, folder, legacy=True)
    for source in library.rglob("*.py"):
        if source.with_suffix(".pyc").exists():
            source.unlink()


def _compile(part: Path, folder: Path, *, legacy: bool = False) -> None:
    compileall.compile_dir(
        part,
        quiet=1,
        legacy=legacy,
        stripdir=str(folder),
        prependdir="/var/task",
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def strip_libraries(folder: Path) -> None:
    """Cuts off what a shared library holds for debuggers and linkers, half of most.

    The loader reads its segments alone. What lies behind the last one (symbols, debugging, the
    table of sections) is never mapped. So no tools of the target's processor are needed.
    """
    for _, path in files(folder):
        if ".so" in path.suffixes:
            data = path.read_bytes()
            path.write_bytes(_segments_of(data))


def _segments_of(data: bytes) -> bytes:
    """An ELF file of 64 bits (man 5 elf) up to the end of its segments; other files as they are."""
    if data[:6] != b"\x7fELF\x02\x01":
        return data
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    end = table + size * count
    for header in range(table, end, size):
        offset, length = (struct.unpack_from("<Q", data, header + at)[0] for at in (8, 32))
        end = max(end, offset + length)
    head = bytearray(data[:end])
    struct.pack_into("<Q", head, 40, 0)  # where the sections are, how many, and which has names
    struct.pack_into("<HH", head, 60, 0, 0)
    return bytes(head)


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Each file below the folder with its relative name, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def drop(folder: Path) -> None:
    """Removes the files that Lambda never reads."""
    for name, path in files(folder):
        if not any(fnmatch(name, kept) for kept in KEPT) and any(
            fnmatch(name, dropped) for dropped in DROPPED
        ):
            path.unlink()


def reduce_botocore(data: Path) -> None:
    """Keeps the services and operations that we call, without documentation and uncompressed."""
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


# Services with another name in endpoints.json than in botocore.
ENDPOINTS = frozenset({*OPERATIONS, "email"})


def only(described: dict[str, Any], operations: tuple[str, ...]) -> dict[str, Any]:
    """The service's description with these operations and their shapes alone."""
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
    """The description without documentation, which is most of it."""
    if isinstance(node, dict):
        return {
            name: _terse(inner)
            for name, inner in node.items()
            if not (name == "documentation" and isinstance(inner, str))
        }
    return [_terse(inner) for inner in node] if isinstance(node, list) else node


def pack(folder: Path, path: Path) -> None:
    """Zips the folder. The same files make the same zip."""
    draft = path.with_suffix(".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in files(folder):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, whose permissions follow
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())
    draft.replace(path)
