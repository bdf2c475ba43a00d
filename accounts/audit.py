"""The trail of what happened to an account, for its learner and for staff."""

from datetime import datetime
from typing import Literal

from accounts.models import Activity
from config.sources import Source

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
    "mfa_enabled",
    "mfa_disabled",
    "mfa_changed_elsewhere",
    "mfa_reset",
    "backup_codes_renewed",
    "password_changed",
    "password_reset",
    "email_change_requested",
    "email_changed",
    "google_linked",
    "exported",
    "disabled",
    "enabled",
    "groups_changed",
]


def record(
    learner_id: str, action: Action, source: Source, *, now: datetime, actor: str = ""
) -> None:
    """Adds a line to a learner's trail; `actor` is the staff member, if it was one."""
    Activity.new(learner_id, action, source, now=now, actor=actor).put()
