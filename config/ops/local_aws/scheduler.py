"""What calls the service in local runs besides HTTP: in place of EventBridge, and of SQS's mappings
to the function."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from config.ops import cloudformation
from config.stack import BASE_DIR, stack
from config.work import work_off

log = logging.getLogger("parley.work")

WITHIN_S = 55.0
"""What a run may take: it is over before the next minute's."""
STOP_WITHIN_S = 10.0
WAIT_FOR_MESSAGES_S = 10


@contextmanager
def each_minute(
    command: Sequence[str], told: Callable[[str], object], *, environment: Mapping[str, str]
) -> Iterator[None]:
    """Runs a management command at the start of each minute, until the block ends.

    Each run is a process of its own. So it has the newest code, and its errors reach neither us nor
    the next run. `told` gets its output; its log goes to our own stderr. At the end, a run that
    has begun gets a few seconds to finish.
    """
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(60 - time.time() % 60):
            if output := _run(command, {**os.environ, **environment}, ended):
                told(output)

    ticking = threading.Thread(target=tick, daemon=True)
    ticking.start()
    try:
        yield
    finally:
        ended.set()
        ticking.join()


def _run(command: Sequence[str], environment: Mapping[str, str], ended: threading.Event) -> str:
    """The output of a run, or a line saying that it took too long and was ended."""
    with subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
        [sys.executable, BASE_DIR / "manage.py", *command],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C must reach us alone: we wait for a run that has begun
    ) as process:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=0.2)[0].strip()
            if ended.is_set():
                deadline = min(deadline, time.monotonic() + STOP_WITHIN_S)
        process.kill()
        return f"manage.py {' '.join(command)} took too long and was ended"


def work_off_queues() -> None:
    """Lets threads of this process do the long work that the queues ask for, until it ends.

    They die with the process, as a run of Lambda's may: what they have begun comes again.
    """
    threading.Thread(target=_work_off_all, daemon=True).start()


def _work_off_all() -> None:
    where = stack()
    client = cloudformation.local_client("sqs", str(where.endpoint_url))
    prompt = [client, where.prompt_queue_url]
    threading.Thread(target=_work_off, args=prompt, daemon=True).start()
    _work_off(client, where.work_queue_url)


def _work_off(client: Any, queue_url: str) -> None:
    while True:
        try:
            received = client.receive_message(
                QueueUrl=queue_url,
                WaitTimeSeconds=WAIT_FOR_MESSAGES_S,
                AttributeNames=["ApproximateReceiveCount"],
            )
            for message in received.get("Messages", []):
                bring(message, client, queue_url)
        except (BotoCoreError, ClientError):  # the engine is gone, or the stack is made anew
            log.debug("a queue of the embedded AWS does not answer", exc_info=True)
            time.sleep(1)


def bring(message: Mapping[str, Any], client: Any, queue_url: str) -> None:
    """Brings a message to the service as Lambda does, and deletes it unless it failed."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
    }
    if not work_off({"Records": [record]}, None)["batchItemFailures"]:
        client.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
