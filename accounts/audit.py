"""Audit trail of accounts and of staff actions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from accounts.models import Activity
from config.client_info import ClientInfo
from config.store.transactions import Put, Write

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
    "disabled",
    "enabled",
    "groups_changed",
    "account_deleted",
    "user_viewed",
    "activity_viewed",
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
