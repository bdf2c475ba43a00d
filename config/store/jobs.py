"""Jobs: long work with an owner, a place to go on from, and an end that can be told.

A job's work is a generator that `settings.JOBS` names by the job's kind. It does a little, yields
the `Place` at which it could stop, and goes on. The run stores each place, and when its time is
over it stops at one and asks for another run, which begins the generator anew at that place.

What a crash leaves, and what makes it good:

- while a job is started: a first message is sent a minute late and before the item is there. Either
  there is no item, and the message is dropped, or it begins the job;
- within a run: the message is delivered again, and the run that it starts goes on at the last place
  stored, as soon as the lease of the dead one is over. What was done after that place is done
  again, so the work must be harmless when it is repeated;
- between a run's end and the message for the next one: the old message is delivered again. Its step
  is behind the job's, nobody holds the job, so it asks for the next run;
- a message that comes twice finds the job held, over, or a step further.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.timezone import now
from pynamodb.attributes import (
    JSONAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.expressions.condition import Condition
from ulid import ULID

from config.problems import InternalError, Problem, ServiceUnavailable
from config.records import dataclass
from config.store.connection import connection
from config.store.items import ConditionFailed, Item, Page, Raw, batch_get, key_instant
from config.work import Message, enqueue

log = logging.getLogger("parley.work")

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
STATES = (QUEUED, RUNNING, DONE, FAILED, CANCELLED)

KIND = "job"
# Longer than a run of the function, and shorter than SQS keeps its message away from others.
LEASE = timedelta(seconds=75)
# AWS's own end of such chains, after about 16 runs ("Lambda recursive loop detection"), is turned
# off by the release. A round over all accounts takes less than five hours.
MOST_STEPS = 1_000
MOST_AGE = timedelta(days=2)
DOUBT_S = 30  # when in doubt, wait so long for the next run to begin before asking for it again
SAFETY_S = 60  # after which the first message comes a second time
LONGEST_PAUSE_S = 300
KEPT = timedelta(days=14)  # as long as SQS keeps a dead letter


class JobLost(Exception):
    """A job is not in the state for a write: another run has it, or it is over or gone."""


@dataclass(frozen=True)
class Place:
    """Where a job can go on: `cursor` is JSON. `done` of `total` is shown, and so is `result`.

    `job.cursor` and `job.result` have what the last place said. A place without a cursor is the
    job's end.
    """

    cursor: Any
    done: int
    total: int | None = None
    result: Any = None

    @property
    def attributes(self) -> dict[str, Any]:
        """The job's attributes that a place sets."""
        return {name: getattr(self, name) for name in ("cursor", "done", "total", "result")}


class Job(Item, discriminator="job"):
    """A long piece of work: `JOB#<what>#<id>` in its owner's partition.

    lsi5: `JOB#<what>#<instant it was started>#<id>`.
    gsi1: `JOBS#failed` / `<instant>#<id>` where staff have to look: such a job goes on if its
    message comes again. `arguments` is what was asked for. `step` counts the runs, of which the
    present one is named by `holder` until `held_until`.
    """

    PREFIX = "JOB#"
    SERVICE = "SERVICE"  # the owner of jobs that no learner has asked for
    GIVEN_UP = "JOBS#failed"

    id = UnicodeAttribute()
    what = UnicodeAttribute()
    state = UnicodeAttribute(default=QUEUED)
    arguments = JSONAttribute(default=dict)
    cursor = JSONAttribute(null=True)
    done = NumberAttribute(default=0)
    total = NumberAttribute(null=True)
    result = JSONAttribute(null=True)
    problem = JSONAttribute(null=True)
    step = NumberAttribute(default=0)
    pauses = NumberAttribute(default=0)
    holder = UnicodeAttribute(null=True)
    held_until = UTCDateTimeAttribute(null=True)
    created_at = UTCDateTimeAttribute()
    updated_at = UTCDateTimeAttribute()

    @classmethod
    def key(cls, owner: str, what: str, id: str) -> tuple[str, str]:
        return owner, f"{cls.PREFIX}{what}#{id}"

    @classmethod
    def of(cls, owner: str, what: str, id: str) -> Self | None:
        """One consistent read."""
        return cls.get_or_none(*cls.key(owner, what, id))

    @classmethod
    def newest(cls, owner: str, what: str, *, limit: int, start: Raw | None) -> "Page[Job]":
        """A page of an owner's jobs of one kind, the latest first: a query, and a read of them."""
        answer = connection().query(
            owner,
            range_key_condition=cls.lsi5.startswith(f"{cls.PREFIX}{what}#"),
            index_name="lsi5",
            limit=limit + 1,
            exclusive_start_key=start,
            scan_index_forward=False,
            consistent_read=True,
        )
        raws, last = answer["Items"][:limit], answer.get("LastEvaluatedKey")
        if len(answer["Items"]) > limit:
            last = {name: raws[-1][name] for name in ("pk", "sk", "lsi5")}
        keys = [(raw["pk"]["S"], raw["sk"]["S"]) for raw in raws]
        stored = batch_get(*keys)
        return Page([job for key in keys if isinstance(job := stored.get(key), Job)], last)

    @classmethod
    def failed(cls, *, limit: int, start: Raw | None) -> Page[Self]:
        """A page of the jobs of all owners that were given up, the latest first."""
        return cls.query_page(cls.GIVEN_UP, index="gsi1", limit=limit, start=start, descending=True)

    @property
    def is_over(self) -> bool:
        """Whether it has come to an end of its own. What was given up may yet go on."""
        return self.state in (DONE, CANCELLED) or (self.state == FAILED and self.gsi1pk is None)

    @property
    def has_ended(self) -> bool:
        """Whether the job is over. Staff may still let one that was given up go on."""
        return self.state in (DONE, FAILED, CANCELLED)

    @property
    def owner_id(self) -> str:
        """The id of the job's learner."""
        return self.pk.partition("#")[2]

    def is_held(self, at: datetime) -> bool:
        return self.holder is not None and self.held_until is not None and self.held_until >= at

    def claim(self, *, step: int, at: datetime) -> None:
        """Takes the job for one run. Raises JobLost if it is held, over or a step ahead."""
        is_free = Job.holder.does_not_exist() | (Job.held_until < at)
        self._update(
            (Job.step == step) & is_free & self._is_open(),
            at,
            state=RUNNING,
            holder=str(ULID()),
            held_until=at + LEASE,
            problem=None,
            gsi1pk=None,
            gsi1sk=None,
        )

    def reach(self, place: Place, *, at: datetime) -> None:
        """Stores a place and keeps the lease. Raises JobLost."""
        self._update(self._is_mine(), at, held_until=at + LEASE, pauses=0, **place.attributes)

    def hand_on(self, *, at: datetime, pauses: int = 0) -> None:
        """Ends a run: the next one goes on. Raises JobLost."""
        self._update(
            self._is_mine(),
            at,
            state=QUEUED,
            step=int(self.step) + 1,
            holder=None,
            held_until=None,
            pauses=pauses,
        )

    def let_go(self, *, at: datetime) -> None:
        """Gives the lease back after a failure: the same message begins the run again."""
        self._update(self._is_mine(), at, holder=None, held_until=None)

    def finish(self, place: Place | None = None, *, at: datetime) -> None:
        """Ends the job, at a place that is its end. Raises JobLost."""
        end = place.attributes if place else {}
        self._update(self._is_mine(), at, state=DONE, holder=None, held_until=None, **end)

    def refuse(self, problem: Problem, *, at: datetime) -> None:
        """Ends the job because it cannot be done as asked. Raises JobLost."""
        self._update(
            self._is_mine(),
            at,
            state=FAILED,
            problem=problem.stored(),
            holder=None,
            held_until=None,
        )

    def give_up(self, problem: Problem, *, at: datetime) -> None:
        """Marks a job as failed for staff to see, whoever holds it. A dead run cannot do so.

        Raises JobLost if it is over or gone.
        """
        self._update(
            self._is_open(),
            at,
            state=FAILED,
            problem=problem.stored(),
            holder=None,
            held_until=None,
            gsi1pk=self.GIVEN_UP,
            gsi1sk=f"{key_instant(at)}#{self.id}",
        )

    def cancel(self, *, at: datetime) -> None:
        """Ends a job before it is done; its run stops at its next place. Raises JobLost."""
        self._update(
            self._is_open(),
            at,
            state=CANCELLED,
            holder=None,
            held_until=None,
            gsi1pk=None,
            gsi1sk=None,
        )

    @classmethod
    def _is_open(cls) -> Condition:
        condition: Condition = (cls.state == QUEUED) | (cls.state == RUNNING)
        condition |= (cls.state == FAILED) & cls.gsi1pk.exists()
        return condition

    def _is_mine(self) -> Condition:
        condition: Condition = (Job.holder == self.holder) & (Job.state == RUNNING)
        return condition

    def _update(self, condition: Condition, at: datetime, **values: Any) -> None:
        kept_until = int((at + KEPT).timestamp())
        attributes = self.get_attributes()
        actions = [
            attributes[name].remove() if value is None else attributes[name].set(value)
            for name, value in {**values, "updated_at": at, "expires_at": kept_until}.items()
        ]
        try:
            self.update_attributes(*actions, condition=condition)
        except ConditionFailed as error:
            raise JobLost from error


Work = Callable[[Job], Iterator[Place]]


def start(
    owner: str, what: str, *, id: str, arguments: Any, total: int | None = None, anew: bool = False
) -> Job:
    """Starts a job under an id. Started again, it is the same job, wherever it stands by now.

    With `anew` a job that has ended is replaced. `owner` is a partition, `arguments` JSON. Raises
    ServiceUnavailable, ClientError.
    """
    at = now()
    job = Job(
        *Job.key(owner, what, id),
        id=id,
        what=what,
        arguments=arguments,
        total=total,
        lsi5=f"{Job.PREFIX}{what}#{key_instant(at)}#{id}",
        created_at=at,
        updated_at=at,
        expires_at=int((at + KEPT).timestamp()),
    )
    _ask(job, step=0, delay_s=SAFETY_S)
    condition = Job.pk.does_not_exist()
    if anew:
        condition |= (Job.state == DONE) | (Job.state == CANCELLED) | (Job.state == FAILED)
    try:
        job.put(condition)
    except ConditionFailed:
        return Job.of(owner, what, id) or job
    _ask(job, step=0)
    return job


def _ask(job: Job, *, step: int, delay_s: float = 0) -> None:
    """Asks for a run of the job."""
    enqueue(KIND, {"pk": job.pk, "sk": job.sk, "step": step}, delay_s=delay_s)


def go_on(message: Message) -> None:
    """Does one run of the job that a message names. Raises what the work raises."""
    step, at = int(message.payload["step"]), now()
    job = Job.get_or_none(message.payload["pk"], message.payload["sk"])
    if job is None or job.is_over:
        return
    if message.is_given_up:
        _give_up(job, InternalError())
        return
    if step >= MOST_STEPS or at - job.created_at > MOST_AGE:
        log.error("a job does not end", extra={"fields": {"what": job.what}})
        _give_up(job, InternalError("The work did not come to its end and was given up"))
        return
    try:
        job.claim(step=step, at=at)
    except JobLost:
        _make_sure_it_goes_on(message, step, at)
        return
    _run(job, message.until)


def _make_sure_it_goes_on(message: Message, step: int, at: datetime) -> None:
    """Drops a message that could not claim its job, unless it may be the last one of the job."""
    job = Job.get_or_none(message.payload["pk"], message.payload["sk"])
    if job is None or job.is_over:
        return
    if step == job.step:  # another run is at it, and may be dead
        held_until = job.held_until or at
        _ask(job, step=step, delay_s=(held_until - at).total_seconds() + 1)
    elif not job.is_held(at):  # the run before may have died before it could ask for the next
        _ask(job, step=int(job.step), delay_s=DOUBT_S)


def _give_up(job: Job, problem: Problem) -> None:
    with suppress(JobLost):  # it was cancelled
        job.give_up(problem, at=now())


def _run(job: Job, until: float) -> None:
    """Works on a claimed job until it is done or the time is up. Raises what its work raises."""
    try:
        _work(job, until)
    except JobLost:
        log.info("a run lost its job", extra={"fields": {"what": job.what}})
    except Exception:
        with suppress(JobLost, ServiceUnavailable):
            job.let_go(at=now())
        raise


def _work(job: Job, until: float) -> None:
    work: Work = import_string(settings.JOBS[job.what])
    try:
        for place in work(job):
            if place.cursor is None:
                job.finish(place, at=now())
                return
            job.reach(place, at=now())
            if time.monotonic() > until:
                _hand_on(job)
                return
    except ServiceUnavailable:  # a partition takes 1,000 write units a second: no failure
        pauses = int(job.pauses) + 1
        log.warning("busy: a job waits", extra={"fields": {"what": job.what, "pauses": pauses}})
        _hand_on(job, pauses=pauses)
    except InternalError:
        raise
    except Problem as problem:  # it cannot be done as asked, and never will be
        job.refuse(problem, at=now())
    else:
        job.finish(at=now())


def _hand_on(job: Job, *, pauses: int = 0) -> None:
    """Ends this run and asks for the next, after a pause that grows while the table is busy."""
    job.hand_on(at=now(), pauses=pauses)
    _ask(job, step=int(job.step), delay_s=min(5 * 2**pauses, LONGEST_PAUSE_S) if pauses else 0)
