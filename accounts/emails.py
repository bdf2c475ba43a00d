"""What learners are mailed about their account."""

import logging
from datetime import datetime

from config import mail
from config.client_info import ClientInfo
from config.problems import ServiceUnavailable

log = logging.getLogger("parley.accounts")

# What happened → subject and sentence.
NOTICES = {
    "password_changed": (
        "Your password was changed",
        "The password of your Parley account was changed, and all sessions were ended",
    ),
    "password_change_cut_off": (
        "All your sessions were ended",
        "A change of the password of your Parley account was cut off: the old or the new one is "
        "in force, and all sessions were ended",
    ),
    "mfa_enabled": (
        "Two-step sign-in is on",
        "Your Parley account now asks for a code from your authenticator app",
    ),
    "mfa_disabled": (
        "Two-step sign-in is off",
        "Your Parley account no longer asks for a code from your authenticator app",
    ),
    "mfa_changed_elsewhere": (
        "Two-step sign-in has changed",
        "Two-step sign-in of your Parley account was changed by other means than our settings",
    ),
    "mfa_reset": (
        "Two-step sign-in was reset",
        "Our staff has turned off two-step sign-in of your Parley account",
    ),
    "backup_code_used": (
        "A backup code was used",
        "Someone signed in to your Parley account with a backup code",
    ),
    "backup_codes_renewed": (
        "New backup codes were made",
        "Your Parley account has new backup codes; the old ones are void",
    ),
    "refresh_token_reused": (
        "A session was ended",
        "A sign-in of your Parley account was renewed with an old token, as a thief would, and was "
        "ended; your other sessions go on",
    ),
    "new_device": (
        "A new sign-in",
        "Someone signed in to your Parley account with a device or from a network that it does not "
        "know from the last month",
    ),
    "email_changing": (
        "Your address is being changed",
        "Someone asked to give your Parley account another e-mail address",
    ),
    "email_changed": (
        "Your address was changed",
        "Your Parley account has another e-mail address now",
    ),
    "google_linked": (
        "Google sign-in was added",
        "Your Parley account can now be entered with a Google account",
    ),
    "google_unlinked": (
        "Google sign-in was removed",
        "Your Parley account can no longer be entered with a Google account, and all sessions were "
        "ended",
    ),
}


def notify(email: str, what: str, source: ClientInfo, *, now: datetime) -> None:
    """Tells a learner of a change. A mail that cannot be sent stops nothing: it is logged."""
    subject, sentence = NOTICES[what]
    context = {"subject": subject, "what": sentence, "at": now, "ip": source.ip or "our office"}
    try:
        mail.send("accounts/mail/notice.txt", context, to=email, tags={"mail": what})
    except ServiceUnavailable:
        log.exception("a notice was not sent", extra={"fields": {"notice": what}})


def tell_of_deletion(email: str, *, by_staff: bool, now: datetime) -> None:
    """Tells a learner that their account is gone. A mail that cannot be sent stops nothing."""
    context = {"by_staff": by_staff, "at": now}
    try:
        mail.send("accounts/mail/deleted.txt", context, to=email, tags={"mail": "account_deleted"})
    except ServiceUnavailable:
        log.exception("a notice was not sent", extra={"fields": {"notice": "account_deleted"}})


def send_code(email: str, code: str, *, minutes: int) -> None:
    """Mails the code that proves a new address. Raises ServiceUnavailable."""
    context = {"code": code, "email": email, "minutes": minutes}
    mail.send("accounts/mail/email_code.txt", context, to=email, tags={"mail": "email_code"})
