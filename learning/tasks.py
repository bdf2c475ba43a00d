"""What learning does outside requests: by the clock, or asked for by a message."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.utils.timezone import now

from accounts.models.limits import charged
from accounts.tasks import for_each_account, start_round
from config.problems import NotFound
from config.store.jobs import Job, Place
from config.work import Message
from learning.api.serializers import told_deck, told_note
from learning.services import deck_deletion, media, recordings, transfers
from learning.services.optimization import fit_next_batch
from learning.services.optimization import optimize as optimize_weights


def optimize(message: Message) -> None:
    """Fits the weights of the learner whom the message names as `learnerId`."""
    if not message.is_given_up:
        with charged(message.payload["learnerId"]):
            optimize_weights(learner_id=message.payload["learnerId"], now=now())


def sweep_media(message: Message) -> None:
    """Removes the media of the message's learner that no card shows any more."""
    if not message.is_given_up:
        with charged(message.payload["learnerId"]):
            media.sweep(learner_id=message.payload["learnerId"], now=now())


def end_recording(message: Message) -> None:
    """Ends a recording whose learner has not asked for the text."""
    if not message.is_given_up:
        with suppress(NotFound):
            recordings.read(
                learner_id=message.payload["learnerId"], id=message.payload["id"], now=now()
            )


def start_nightly_fits(_event: Any, _context: Any) -> None:
    """Nightly: starts the round that fits the schedulers of those whose turn it is."""
    start_round("nightly_fits")


def fit_nightly_batch(job: Job) -> Iterator[Place]:
    """Begins the fits of those learners whose turn it is; the job's result is how many."""
    return for_each_account(
        job, lambda accounts: fit_next_batch((a.learner_id for a in accounts), now=now())
    )


def run_import(job: Job) -> Iterator[Place]:
    """Takes in the file that a learner has uploaded."""
    steps = transfers.run_import(job, check_deck=told_deck, check_note=told_note)
    return _charged(job, steps)


def run_export(job: Job) -> Iterator[Place]:
    """Writes the file that a learner has asked for."""
    return _charged(job, transfers.run_export(job))


def delete_deck(job: Job) -> Iterator[Place]:
    """Moves or removes the cards of a deck, then the deck."""
    return _charged(job, deck_deletion.run_deletion(job))


def _charged(job: Job, steps: Iterator[Place]) -> Iterator[Place]:
    """Adds each step to the day of the learner whose job it is."""
    while True:
        with charged(job.owner_id):
            place = next(steps, None)
        if place is None:
            return
        yield place
