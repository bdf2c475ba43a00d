"""What the peers with validation answer and take, by pydantic."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class CardBody(Shape):
    id: str
    note_id: str
    ordinal: int = 0
    deck_id: str
    front: str
    back: str
    phonetic: str | None = None
    example: str | None = None
    notes: str | None = None
    tags: list[str] = []
    audio_url: str | None = None
    image_url: str | None = None
    source_session_id: str | None = None
    source_turn: int | None = None
    state: str
    step: int | None = None
    stability: float | None = None
    difficulty: float | None = None
    due_at: datetime
    interval_days: int
    last_review_at: datetime | None = None
    reps: int = 0
    lapses: int = 0
    suspended: bool = False
    suspended_by: str | None = None
    leech: bool = False
    buried_until: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int


class CardPage(Shape):
    results: list[CardBody]
    next: str | None = None


class Answer(Shape):
    due_at: datetime
    interval_days: int
    state: str


class DueCard(Shape):
    card: CardBody
    answers: dict[str, Answer]
    retrievability: float


class Counts(Shape):
    learning: int
    review: int
    new: int


class Queue(Shape):
    results: list[DueCard]
    counts: Counts
    next_learning_at: datetime | None = None
    day_ends_at: datetime


class ProfileBody(Shape):
    user_id: str
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    timezone: str
    daily_goal: int
    cards_learned: int
    created_at: datetime
    version: int


class NewReview(Shape):
    id: str = Field(max_length=36)
    rating: Literal["again", "hard", "good", "easy"]
    reviewed_at: datetime
    duration_ms: int = Field(default=0, ge=0, le=3_600_000)


class Reviewed(Shape):
    review: dict[str, str | int]
    card: CardBody


class Credentials(Shape):
    email: str = Field(max_length=254)
    password: str = Field(max_length=256)


class SignedIn(Shape):
    access_token: str
    id_token: str
    refresh_token: str
    expires_in: int
    user: ProfileBody
