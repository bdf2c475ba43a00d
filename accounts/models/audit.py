"""The audit trail of accounts and of staff actions."""

from datetime import datetime
from typing import Literal, Self

from pynamodb.attributes import UnicodeAttribute, UTCDateTimeAttribute
from ulid import ULID

from accounts.models.account import learner_key
from config.client_info import ClientInfo
from config.records import dataclass
from config.store.items import Item, Page, Raw
from config.store.transactions import Put, Write


class Activity(Item, discriminator="activity"):
    """A line of a trail, kept for half a year: `LEARNER#<sub>` / `ACTIVITY#<ulid>`.

    What staff write for everyone has a trail too: `TRAIL#<target>` / `ACTIVITY#<ulid>`.
    `action` is an `Action`; `actor` is the staff member who did it, empty
    for the learner; `target` is what a staff member did it to, as an address in the API without
    its first slash, in their own trail alone; `ip` and `agent` are where it came from.
    """

    PREFIX = "ACTIVITY#"
    KEPT_S = 180 * 86_400

    at = UTCDateTimeAttribute()
    action = UnicodeAttribute()
    ip = UnicodeAttribute(default="")
    agent = UnicodeAttribute(default="")
    actor = UnicodeAttribute(default="")
    target = UnicodeAttribute(default="")

    @classmethod
    def new(
        cls,
        learner_id: str,
        action: str,
        source: ClientInfo,
        *,
        now: datetime,
        actor: str = "",
        target: str = "",
    ) -> Self:
        activity = cls._line(learner_key(learner_id), action, now, actor)
        activity.ip, activity.agent, activity.target = source.ip, source.agent, target
        return activity

    @classmethod
    def for_target(cls, target: str, action: str, *, now: datetime, actor: str) -> Self:
        """A staff member's action in the trail of its target, without the source address."""
        return cls._line(cls.trail_key(target), action, now, actor)

    @classmethod
    def _line(cls, pk: str, action: str, now: datetime, actor: str) -> Self:
        return cls(
            pk,
            f"{cls.PREFIX}{ULID.from_datetime(now)}",
            at=now,
            action=action,
            actor=actor,
            expires_at=int(now.timestamp()) + cls.KEPT_S,
        )

    @staticmethod
    def trail_key(target: str) -> str:
        """The partition with the trail of a target: a learner's own, if it is about a learner."""
        kind, _, id = target.partition("/")
        return learner_key(id) if kind == "users" else f"TRAIL#{target}"

    @property
    def id(self) -> str:
        return self.sk.partition("#")[2]

    @property
    def by_staff(self) -> bool:
        return bool(self.actor)

    @classmethod
    def newest(cls, target: str, *, limit: int, start: Raw | None = None) -> Page[Self]:
        """The trail of `users/<id>`, `scenarios/<id>`: one query, the latest first."""
        condition = cls.sk.startswith(cls.PREFIX)
        return cls.query_page(
            cls.trail_key(target), condition, limit=limit, start=start, descending=True
        )


Action = Literal[
    "signed_up",
    "email_verified",
    "signed_in",
    "sign_in_failed",
    "locked_out",
    "mfa_failed",
    "backup_code_used",
    "refresh_token_reused",
    "signed_out_everywhere",
    "session_ended",
    "mfa_enabled",
    "mfa_disabled",
    "mfa_changed_elsewhere",
    "mfa_reset",
    "backup_codes_renewed",
    "password_changed",
    "password_reset",
    "password_change_cut_off",
    "email_change_requested",
    "email_changed",
    "google_linked",
    "google_unlinked",
    "exported",
    "model_consent_given",
    "model_consent_withdrawn",
    "disabled",
    "enabled",
    "groups_changed",
    "account_deleted",
    "invited",
    "relinked",
    "user_viewed",
    "activity_viewed",
    "reported_turn_viewed",
    "users_listed",
    "scenario_created",
    "scenario_changed",
    "scenario_published",
    "scenario_archived",
    "scenario_deleted",
    "scenarios_reordered",
    "delivery_retried",
]


@dataclass(frozen=True)
class StaffMember:
    """A member of staff at work, and the source of the request."""

    id: str
    source: ClientInfo


def record(
    learner_id: str, action: Action, source: ClientInfo, *, now: datetime, actor: str = ""
) -> None:
    """Adds a line to a learner's trail; `actor` is the member of staff who did it, if any."""
    Activity.new(learner_id, action, source, now=now, actor=actor).put()


def staff_action(by: StaffMember, action: Action, target: str, *, now: datetime) -> list[Write]:
    """The writes that record what staff did, for the transaction that does it.

    `target` is the thing's address in the API, `scenarios/coffee-to-take-away`. One line goes into
    the member's own trail, one into the thing's, which stays when the member leaves.
    """
    return [
        Put(Activity.new(by.id, action, by.source, now=now, target=target)),
        Put(Activity.for_target(target, action, now=now, actor=by.id)),
    ]
