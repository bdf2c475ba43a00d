"""No test passes or fails by how fast the machine is: none asserts seconds, all waits are long."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.growth import assert_linear

FOLDER = Path(__file__).parent
# What measures growth, what waits, and the tool that puts load on a stage, which is no test.
MAY_READ_CLOCKS = {
    "growth.py",
    "sweepers.py",
    "waiting.py",
    "load/accounts.py",
    "load/study.py",
    "benchmarks/capacity.py",
    "benchmarks/hostile_events.py",
    "benchmarks/peers/boto3_handler.py",
}
STOPWATCHES = {
    f"{name}{unit}"
    for name in ("monotonic", "perf_counter", "process_time", "thread_time")
    for unit in ("", "_ns")
}
WAITS = {
    "WebDriverWait",
    "communicate",
    "eventually",
    "implicitly_wait",
    "set_page_load_timeout",
    "set_script_timeout",
    "wait",
}


def speed_limits(source: str) -> Iterator[str]:
    """The places in a test's source where the speed of the machine would count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in STOPWATCHES:
            yield f"line {node.lineno} reads {node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield f"line {node.lineno} imports from time"
        elif isinstance(node, ast.Call):
            yield from _limits_of_call(node)


def _limits_of_call(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    waits = [*call.args, *(each.value for each in call.keywords)] if name in WAITS else []
    waits += [each.value for each in call.keywords if each.arg == "timeout"]
    if any(isinstance(wait, ast.Constant) and wait.value for wait in waits):
        yield f"line {call.lineno} waits a number of seconds"
    if name in ("settings", "register_profile"):
        for each in call.keywords:
            if each.arg == "deadline" and getattr(each.value, "value", "") is not None:
                yield f"line {call.lineno} gives examples a deadline"


def test_nothing_in_the_tests_depends_on_the_machines_speed() -> None:
    files = {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*.py")}
    assert files.keys() > MAY_READ_CLOCKS
    limits = {
        name: found
        for name, path in files.items()
        if name not in MAY_READ_CLOCKS and (found := list(speed_limits(path.read_text())))
    }
    assert limits == {}


@pytest.mark.parametrize(
    "line",
    [
        "assert time.process_time() - began < 1",
        "began = time.perf_counter_ns()",
        "from time import monotonic",
        "requests.get(url, timeout=10)",
        "subprocess.run(command, timeout=120, check=True)",
        "run.process.wait(5)",
        "eventually(found, within_s=30)",
        "WebDriverWait(driver, 10).until(shown)",
        "@settings(deadline=timedelta(seconds=2))\ndef test(): ...",
        "@settings(deadline=500)\ndef test(): ...",
    ],
)
def test_a_limit_in_seconds_is_found(line: str) -> None:
    assert len(list(speed_limits(line))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "requests.get(url, timeout=PATIENCE_S)",
        "run.process.wait(PATIENCE_S)",
        "gate.wait()",
        "eventually(lambda: health(url) == 200)",
        "@settings(deadline=None)\ndef test(): ...",
    ],
)
def test_a_patient_wait_is_let_be(line: str) -> None:
    assert list(speed_limits(line)) == []


def test_examples_of_properties_may_take_their_time() -> None:
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


def test_linear_work_in_python_and_in_c_is_let_be() -> None:
    assert_linear(lambda text: re.findall("a", text), lambda n: "a" * n, 100_000)
    assert_linear(lambda numbers: [n + 1 for n in numbers], range, 50_000)


def test_quadratic_work_in_python_and_in_c_is_found() -> None:
    with pytest.raises(AssertionError, match=r"costs \d\d\.\d times"):
        assert_linear(lambda text: re.search("a*b", text), lambda n: "a" * n, 1_000)

    def pairs(numbers: range) -> int:
        return sum(1 for one in numbers for other in numbers if one < other)

    with pytest.raises(AssertionError, match=r"costs \d\d\.\d times"):
        assert_linear(pairs, range, 100)
