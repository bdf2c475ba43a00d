# /// script
# dependencies = ["httpx~=0.28"]
# ///
"""A study session in the terminal, in Python. Beside `make run`: uv run examples/study.py"""

import os
import time
from datetime import UTC, datetime
from uuid import uuid4

import httpx

URL = os.environ.get("PARLEY_URL", "http://127.0.0.1:8000")
EMAIL = os.environ.get("PARLEY_EMAIL", "learner@parley.example")
PASSWORD = os.environ.get("PARLEY_PASSWORD", "parley-demo-1")
RATINGS = {"1": "again", "2": "hard", "3": "good", "4": "easy"}


class Parley(httpx.Client):
    """Signs in, refreshes the token when it has ended, and waits where it is told to."""

    tokens: dict[str, str] = {}

    def sign_in(self, email: str, password: str) -> None:
        body = {"email": email, "password": password}
        self.tokens = self.post("/auth/login", json=body).raise_for_status().json()

    def refresh(self) -> None:
        body = {"refreshToken": self.tokens["refreshToken"]}
        answer = super().send(self.build_request("POST", "/auth/refresh", json=body))
        self.tokens |= answer.raise_for_status().json()

    def send(self, request: httpx.Request, **kwargs) -> httpx.Response:
        for _ in range(4):
            if self.tokens:
                request.headers["Authorization"] = f"Bearer {self.tokens['accessToken']}"
            answer = super().send(request, **kwargs)
            if "Retry-After" in answer.headers:
                time.sleep(min(int(answer.headers["Retry-After"]), 60))
            elif self.tokens and "NOT_AUTHENTICATED" in answer.text:
                self.refresh()
            else:
                return answer
        return answer


with Parley(base_url=URL) as parley:
    parley.sign_in(EMAIL, PASSWORD)
    queue = parley.get("/flashcards/due").raise_for_status().json()
    print(sum(queue["counts"].values()), "cards to study")
    for due in queue["results"]:
        input(f"\n{due['card']['front']}  [Enter]")
        rating = RATINGS.get(input(f"{due['card']['back']}\n1 again, 2 hard, 3 good, 4 easy > "))
        if rating is None:
            break
        review = {"id": str(uuid4()), "rating": rating}
        review["reviewedAt"] = datetime.now(UTC).isoformat()
        path = f"/flashcards/{due['card']['id']}/reviews"  # with its id it may be sent again
        print("due", parley.post(path, json=review).raise_for_status().json()["card"]["dueAt"])
