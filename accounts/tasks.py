"""Scheduled work (the entry points of scheduled events), and the rounds over all accounts."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.utils.timezone import now

from accounts.cognito import users as cognito_users
from accounts.cognito.users import UNCONFIRMED, PlaceLost
from accounts.models import Account
from accounts.services import reconciliation
from accounts.services.dormancy import let_dormant_go
from accounts.services.removal import delete_left_over, delete_unverified, resume_deletions
from config.store import jobs
from config.store.jobs import Job, Place

PAGE = 100


def start_round(what: str) -> None:
    """Starts a job of the service's own, once a day: events of a schedule may come twice."""
    jobs.start(Job.SERVICE, what, id=now().date().isoformat(), arguments={})


def for_each_account(job: Job, visit: Callable[[Sequence[Account]], int]) -> Iterator[Place]:
    """Visits every account in the order of their addresses, a query of 100 at a time.

    The job's result is the sum of what the visits return.
    """
    done, total, start = int(job.done), int(job.result or 0), job.cursor
    while True:
        page = Account.by_email("", limit=PAGE, start=start)
        total += visit(page.items)
        done, start = done + len(page.items), page.next_key
        if start is None:
            yield Place(None, done, done, total)
            return
        yield Place(start, done, result=total)


def sweep_accounts(_event: Any, _context: Any) -> int:
    """Every five minutes: completes deletions of accounts; returns how many."""
    return resume_deletions(now=now())


def start_letting_accounts_go(_event: Any, _context: Any) -> None:
    """Nightly: starts the round that lets unverified and unused accounts go."""
    start_round("accounts_let_go")
    start_round("left_over_sign_ups")


def let_accounts_go(job: Job) -> Iterator[Place]:
    """Lets unverified and unused accounts go; the job's result is how many were met."""

    def visit(accounts: Sequence[Account]) -> int:
        at = now()
        return delete_unverified(accounts, now=at) + let_dormant_go(accounts, now=at)

    return for_each_account(job, visit)


def delete_left_over_sign_ups(job: Job) -> Iterator[Place]:
    """Deletes users whose sign-up was cut off before an account; the job's result is how many."""
    done, total, start = int(job.done), int(job.result or 0), job.cursor
    while True:
        try:
            users, start = cognito_users.list_users(limit=60, start=start, status=UNCONFIRMED)
        except PlaceLost:
            if start is None:
                raise
            start = None  # a deletion may be repeated
            continue
        done, total = done + len(users), total + delete_left_over(users, now=now())
        yield Place(start, done, result=total)
        if start is None:
            return


def start_reconciling(_event: Any, _context: Any) -> None:
    """Nightly: starts the comparison of pool and table."""
    start_round("reconciliation")


def reconcile(job: Job) -> Iterator[Place]:
    """Compares pool and table. The round has its own place, at which the next night goes on."""
    pages = int(job.done)
    while not reconciliation.reconcile(goes_on=pages > 0, now=now(), within_s=0):
        pages += 1
        yield Place(pages, pages)
    yield Place(None, pages + 1)
