"""Long work: jobs that crash, are cancelled, slowed down or given up; and their messages."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils.module_loading import import_string
from django.utils.timezone import now

from accounts.models import learner_key
from config import settings as real_settings
from config import work
from config.aws import own
from config.https import Answer
from config.problems import IdTaken, ServiceUnavailable
from config.stack import BASE_DIR
from config.store import jobs
from config.store.jobs import Job, Place
from config.work import TRIES, Message, enqueue, enqueue_all
from tests.callers import Caller, make_learner
from tests.memory_table import MemoryTable
from tests.queues import MemoryQueues
from tests.template import properties
from tests.wire import Send, operation_of, sending, table_client

PAGES = 4
done: list[int] = []


class Dead(BaseException):
    """The process was killed."""


def count(job: Job) -> Iterator[Place]:
    """Does four things, each of which is harmless when it is done again."""
    for number in range(int(job.cursor or 0), PAGES):
        done.append(number)
        yield Place(number + 1, number + 1, PAGES, {"last": number})


def count_twice(message: Message) -> None:
    done.append(message.payload["number"])


@pytest.fixture(autouse=True)
def kinds(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of four places, each run of which stops at the first; and a plain kind of work."""
    done.clear()
    settings.JOBS = {"counting": f"{__name__}.count"}
    settings.WORK = {
        "work": {"job": "config.store.jobs.go_on"},
        "prompt": {"number": f"{__name__}.count_twice"},
    }
    monkeypatch.setattr(work, "WITHIN_S", 0)


@pytest.fixture
def owner(maria: Caller) -> str:
    return learner_key(maria.id)


def started(owner: str) -> Job:
    return jobs.start(owner, "counting", id="one", arguments={"file": "a.csv"}, total=PAGES)


def stored(owner: str) -> Job:
    job = Job.of(owner, "counting", "one")
    assert job is not None
    return job


def test_a_job_goes_on_from_run_to_run_until_it_is_done(owner: str, queues: MemoryQueues) -> None:
    job = started(owner)
    assert (job.state, job.done, job.total) == ("queued", 0, PAGES)
    assert queues.run() == PAGES + 1
    job = stored(owner)
    assert (job.state, job.done, job.result) == ("done", PAGES, {"last": 3})
    assert done == [0, 1, 2, 3]
    assert job.holder is None
    queues.run_on()
    assert (done, queues.messages, queues.dead) == ([0, 1, 2, 3], [], [])


def test_a_job_that_is_started_twice_is_one(owner: str, queues: MemoryQueues) -> None:
    started(owner)
    queues.run()
    assert started(owner).state == "done"
    queues.run_on()
    assert done == [0, 1, 2, 3]


def killing(at: int, *, before: bool) -> Callable[[Send], Send]:
    """Kills the process at its write number `at` of a job or a message, before it or after it."""
    writes = 0

    def through(send: Send) -> Send:
        def told(body: bytes, headers: Any) -> Answer:
            nonlocal writes
            is_write = b"JOB#" in body and operation_of(headers) != "GetItem"
            writes += is_write
            if is_write and writes == at and before:
                raise Dead
            answer = send(body, headers)
            if is_write and writes == at:
                raise Dead
            return answer

        return told

    return through


def live_through(queues: MemoryQueues, owner: str) -> bool:
    """Starts the job and lets it come to its end; whether a process was killed meanwhile."""
    killed = False
    try:
        started(owner)
    except Dead:
        killed = True
        started(owner)  # whoever asked asks again
    while queues.messages:
        with time_machine.travel(min(message.visible_at for message in queues.messages)):
            try:
                for message in queues.visible[:1]:
                    queues.deliver(message)
            except Dead:
                killed = True
    return killed


@pytest.mark.parametrize("before", [False, True])
def test_a_job_ends_well_wherever_its_process_is_killed(
    owner: str, queues: MemoryQueues, memory_table: MemoryTable, before: bool
) -> None:
    queue_client = own("sqs")
    killed, was_killed = 0, True
    while was_killed:
        memory_table.items[owner].pop("JOB#counting#one", None)
        queues.clear()
        done.clear()
        kill = killing(killed + 1, before=before)
        with sending(kill, table_client()), sending(kill, queue_client):
            was_killed = live_through(queues, owner)
        job = stored(owner)
        assert (job.state, job.done, job.result) == ("done", PAGES, {"last": 3}), killed
        assert sorted(set(done)) == [0, 1, 2, 3], killed
        assert len(done) <= PAGES + 1, killed  # what the dead run had not stored, is done again
        assert queues.dead == []
        killed += was_killed
    assert killed > 12


def test_a_job_of_which_nobody_was_told_is_never_begun(
    owner: str, queues: MemoryQueues, memory_table: MemoryTable
) -> None:
    memory_table.fault = lambda operation: "ThrottlingException" if operation == "PutItem" else None
    with pytest.raises(ServiceUnavailable):
        started(owner)
    memory_table.fault = lambda operation: None
    queues.run_on()
    assert (done, Job.of(owner, "counting", "one")) == ([], None)


def test_two_runs_at_once_do_not_both_work(owner: str, queues: MemoryQueues) -> None:
    started(owner)
    [now_due] = queues.visible
    job = stored(owner)
    job.claim(step=0, at=now())
    queues.deliver(now_due)
    assert done == []
    job.reach(Place(1, 1, PAGES), at=now())
    job.hand_on(at=now())
    queues.run_on()
    assert done == [1, 2, 3]
    assert stored(owner).state == "done"


def test_messages_that_come_twice_do_not_multiply(owner: str, queues: MemoryQueues) -> None:
    started(owner)
    deliveries = 0
    while queues.messages and deliveries < 100:
        with time_machine.travel(min(message.visible_at for message in queues.messages)):
            for message in queues.visible[:1]:
                twin = replace(message)
                queues.deliver(message)
                queues.messages.append(twin)
                queues.deliver(twin)
                deliveries += 2
    assert done == [0, 1, 2, 3]
    assert deliveries < 40


def test_a_cancelled_job_stops_at_its_next_place(owner: str, queues: MemoryQueues) -> None:
    started(owner)
    queues.deliver(queues.visible[0])
    stored(owner).cancel(at=now())
    queues.run_on()
    assert (done, stored(owner).state) == ([0], "cancelled")
    with pytest.raises(jobs.JobLost):
        stored(owner).cancel(at=now())


def test_a_job_that_is_cancelled_while_it_runs_writes_nothing_more(
    owner: str, queues: MemoryQueues, settings: Any
) -> None:
    settings.JOBS = {"counting": f"{__name__}.cancelled_meanwhile"}
    started(owner)
    queues.run_on()
    job = stored(owner)
    assert (job.state, job.done, done) == ("cancelled", 0, [7])


def cancelled_meanwhile(job: Job) -> Iterator[Place]:
    stored(job.pk).cancel(at=now())
    done.append(7)
    yield Place(1, 1)
    done.append(8)


def test_a_job_dies_with_its_owner(
    owner: str, queues: MemoryQueues, memory_table: MemoryTable
) -> None:
    started(owner)
    queues.deliver(queues.visible[0])
    memory_table.items.pop(owner)
    queues.run_on()
    assert (done, queues.dead) == ([0], [])


def refused(job: Job) -> Iterator[Place]:
    done.append(0)
    yield Place(1, 1)
    raise IdTaken


def test_what_will_never_do_is_told_and_tried_once(
    owner: str, queues: MemoryQueues, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "WITHIN_S", 60)
    settings.JOBS = {"counting": f"{__name__}.refused"}
    started(owner)
    queues.run_on()
    job = stored(owner)
    assert (job.state, job.is_over, job.problem["code"]) == ("failed", True, "ID_TAKEN")
    assert (done, queues.dead) == ([0], [])
    assert Job.failed(limit=10, start=None).items == []  # staff need not look


def busy(job: Job) -> Iterator[Place]:
    if len(done) < 3:
        done.append(int(job.step))
        raise ServiceUnavailable
    yield from count(job)


def test_a_busy_table_slows_a_job_down_and_fails_nothing(
    owner: str, queues: MemoryQueues, settings: Any
) -> None:
    settings.JOBS = {"counting": f"{__name__}.busy"}
    started(owner)
    with time_machine.travel(now(), tick=False):
        queues.run()
        waits = [message.visible_at - now() for message in queues.messages]
    assert timedelta(seconds=10) in waits
    assert (stored(owner).state, stored(owner).pauses) == ("queued", 1)
    queues.run_on()
    assert stored(owner).state == "done"
    assert done[3:] == [0, 1, 2, 3]
    assert queues.dead == []


def broken(job: Job) -> Iterator[Place]:
    done.append(0)
    if job.arguments.get("file") == "a.csv" and len(done) <= TRIES:
        raise RuntimeError("a mistake of ours")
    if not job.cursor:
        yield Place(1, 1)


def killed(job: Job) -> Iterator[Place]:
    done.append(0)
    if len(done) <= TRIES:
        raise Dead
    if not job.cursor:
        yield Place(1, 1)


@pytest.mark.parametrize("kind", ["broken", "killed"])
def test_what_fails_five_times_is_given_up_and_goes_on_when_it_comes_again(
    owner: str,
    queues: MemoryQueues,
    settings: Any,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed runs count as well: the sixth delivery only marks the job."""
    settings.JOBS = {"counting": f"{__name__}.{kind}"}
    monkeypatch.setattr(jobs, "SAFETY_S", 0)
    started(owner)
    queues.messages.pop()  # of the two first messages one is enough here
    hours = now()
    with caplog.at_level(logging.CRITICAL):
        while queues.messages:
            with time_machine.travel(min(message.visible_at for message in queues.messages)):
                hours = now()
                for message in queues.visible:
                    with suppress(Dead):
                        queues.deliver(message)
    job = stored(owner)
    assert (job.state, job.is_over, len(done)) == ("failed", False, TRIES)
    assert job.problem["code"] == "INTERNAL_ERROR"
    assert [found.id for found in Job.failed(limit=10, start=None).items] == ["one"]
    staff = make_learner("ines", groups=("staff",))
    [shown] = staff.get("/jobs").json()["results"]
    assert (shown["id"], shown["kind"], shown["owner"]) == ("one", "counting", owner)
    assert shown["problem"]["code"] == "INTERNAL_ERROR"
    [dead] = queues.dead
    dead.receives = 0  # SQS: "Configuring a dead-letter queue redrive"
    queues.messages.append(dead)
    with time_machine.travel(hours + timedelta(hours=1)):
        queues.run_on()
        assert stored(owner).state == "done"
        assert Job.failed(limit=10, start=None).items == []


def test_a_job_that_does_not_end_is_ended(
    owner: str,
    queues: MemoryQueues,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """AWS's own end of such chains, after sixteen runs, is turned off."""
    monkeypatch.setattr(jobs, "MOST_STEPS", 2)
    started(owner)
    queues.run_on()
    job = stored(owner)
    assert (job.state, job.is_over, done) == ("failed", False, [0, 1])
    assert "does not end" in caplog.text


def test_a_job_that_is_too_old_is_ended(owner: str, queues: MemoryQueues) -> None:
    started(owner)
    with time_machine.travel(now() + jobs.MOST_AGE + timedelta(minutes=1)):
        queues.run()
    assert (stored(owner).state, done) == ("failed", [])


# Messages without a job


def test_many_messages_are_ten_in_a_call(queues: MemoryQueues) -> None:
    operations: list[str] = []
    queues.fault = lambda operation: operations.append(operation)  # type: ignore[func-returns-value]
    enqueue_all("number", ({"number": number} for number in range(25)))
    assert operations == ["SendMessageBatch"] * 3
    queues.run()
    assert sorted(done) == list(range(25))


def test_each_kind_waits_in_its_own_queue(owner: str, queues: MemoryQueues) -> None:
    enqueue("number", {"number": 1}, delay_s=30)
    started(owner)
    urls = {message.content["kind"]: message.queue_url for message in queues.messages}
    assert urls == {"number": "prompt_queue_url-of-tests", "job": "work_queue_url-of-tests"}


@pytest.mark.parametrize(
    "body",
    ["no JSON", "[]", '{"kind": "os.abort", "payload": {}}', '{"kind": "number", "payload": {}}'],
)
def test_a_message_that_nobody_understands_ends_among_the_dead(
    queues: MemoryQueues, body: str
) -> None:
    """It may be of a newer release, which was taken back."""
    enqueue("number", {"number": 1})
    queues.messages[0].body = body
    queues.run_on()
    assert (done, len(queues.dead)) == ([], 1)


def test_what_fails_comes_again_after_growing_pauses(queues: MemoryQueues) -> None:
    enqueue("number", {})
    pauses = []
    with time_machine.travel(now(), tick=False) as clock:
        while messages := queues.messages:
            clock.move_to(messages[0].visible_at)
            if due := queues.visible:
                before = now()
                queues.deliver(due[0])
                pauses.append((messages[0].visible_at - before).total_seconds())
    longest = [min(10 * 3**number, 900) for number in range(TRIES)]
    assert [low / 2 - 1 <= pause <= low for pause, low in zip(pauses, longest, strict=False)]
    assert pauses[-1] == 0  # a given-up one is buried at once
    assert len(pauses) == TRIES + 1


def test_a_plain_piece_of_work_that_is_given_up_is_told_so(
    queues: MemoryQueues, settings: Any
) -> None:
    settings.WORK = {"work": {}, "prompt": {"number": f"{__name__}.heard"}}
    enqueue("number", {"number": 1})
    queues.run_on()
    assert done == [1, 2, 3, 4, 5, 6]
    assert len(queues.dead) == 1


def heard(message: Message) -> None:
    done.append(message.tries)
    if not message.is_given_up:
        raise RuntimeError("a mistake of ours")


def test_a_pause_that_sqs_refuses_is_the_queues_own(queues: MemoryQueues) -> None:
    enqueue("number", {})
    queues.fault = lambda operation: (
        "ReceiptHandleIsInvalid" if operation == "ChangeMessageVisibility" else None
    )
    queues.run()
    [message] = queues.messages
    assert message.visible_at > now() + timedelta(seconds=60)


def test_the_queues_and_the_code_agree(queues: MemoryQueues) -> None:
    """Lambda refuses a queue whose message may come again while its run lasts."""
    function = json.loads((BASE_DIR / "zappa_settings.json").read_text())["base"]
    for name in ("WorkQueue", "PromptQueue"):
        queue = properties(name)
        assert queue["RedrivePolicy"]["maxReceiveCount"] == TRIES + 1
        assert function["timeout_seconds"] < jobs.LEASE.total_seconds()
        assert jobs.LEASE.total_seconds() < queue["VisibilityTimeout"]
        assert jobs.MOST_AGE.total_seconds() < queue["MessageRetentionPeriod"]
    assert function["timeout_seconds"] >= work.SPARE_S + work.WITHIN_S
    assert jobs.KEPT.total_seconds() == properties("UndoneWork")["MessageRetentionPeriod"]


def test_every_kind_leads_to_code_of_ours() -> None:
    for paths in (*real_settings.WORK.values(), real_settings.JOBS):
        for path in paths.values():
            assert callable(import_string(path)), path
