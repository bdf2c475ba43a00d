"""Eight devices send at once, over HTTP, to the running service and its embedded AWS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from socketserver import ThreadingMixIn
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
import requests
from ulid import ULID

from accounts.models.account import account_cache
from config.stack import Stack
from config.wsgi import application
from learning.days import streak_until
from learning.models.cards import Card
from learning.models.log import Day, LogEntry
from learning.scheduling import Rating, Review, Settings, fold
from tests.callers import Caller, make_learner
from tests.test_flashcards import card_of, deck_of
from tests.waiting import PATIENCE_S

pytestmark = [pytest.mark.server, pytest.mark.no_cover]  # hundreds of requests of one kind

DEVICES, EACH, CARDS = 8, 50, 40
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address(embedded_aws: Stack) -> Iterator[str]:
    """The service on a free port."""
    with Server(("127.0.0.1", 0), Quiet) as server:
        server.set_app(application)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def rita(embedded_aws: Stack) -> Caller:
    account_cache.forget()
    return make_learner("rita")


def test_eight_devices_with_400_reviews_leave_400_entries_and_the_sorted_result(
    address: str, rita: Caller
) -> None:
    rita.patch("/scheduler", {"dayStartsAtHour": 0})
    deck_id = deck_of(rita)
    cards = [card_of(rita, deck_id) for _ in range(CARDS)]
    reviews = [
        {
            "id": str(ULID()),
            "cardId": cards[n % CARDS],
            "rating": list(Rating)[n * 7 % 4].wire,
            "reviewedAt": (START + timedelta(hours=7 * n)).isoformat(),
        }
        for n in range(DEVICES * EACH)
    ]

    def study(device: int) -> list[int]:
        """One device sends its reviews, some devices newest first, each tenth of them twice."""
        own = reviews[device::DEVICES][:: -1 if device % 4 == 0 else 1]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {rita.token}"
            answers = []
            for n, sent in enumerate(own):
                body = {name: value for name, value in sent.items() if name != "cardId"}
                url = f"{address}/flashcards/{sent['cardId']}/reviews"
                for _ in range(1 + (n % 10 == 0)):
                    answer = session.post(url, json=body, timeout=PATIENCE_S)
                    while answer.status_code == 503:  # as busy clients are told to
                        answer = session.post(url, json=body, timeout=PATIENCE_S)
                    answers.append(answer.status_code)
        return answers

    with ThreadPoolExecutor(DEVICES) as devices:
        answers = [code for codes in devices.map(study, range(DEVICES)) for code in codes]
    assert answers == [201] * (DEVICES * EACH * 11 // 10)

    log = {row.id: row for card_id in cards for row in LogEntry.of_card(rita.id, card_id)}
    assert sorted(log) == sorted(sent["id"] for sent in reviews)
    versions = {1: Settings()}
    for card_id in cards:
        card = Card.of(rita.id, card_id)
        assert card is not None
        entries = [
            Review(
                id=sent["id"],
                at=datetime.fromisoformat(sent["reviewedAt"]),
                rating=Rating.from_wire(sent["rating"]),
                settings_version=1,
            )
            for sent in reviews
            if sent["cardId"] == card_id
        ]
        whole = fold(entries, created_at=card.created_at, settings=versions, seed=card_id)
        assert card.memory == whole

    days = {day.on: day.count_of("reviews") for day in Day.all_of(rita.id)}
    assert sum(days.values()) == DEVICES * EACH
    profile = rita.get("/profile").json()
    assert profile["cardsLearned"] == CARDS
    assert sum(day.count_of("introduced") for day in Day.all_of(rita.id)) == CARDS
    assert streak_until(max(days), days).days == len(days)
