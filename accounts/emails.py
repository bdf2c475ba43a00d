"""The texts of mails about accounts, with those in `templates/accounts/mail/`, and their sending.

All of them can be translated: gettext finds them. The pool's own mails (codes of sign-up, reset and
sign-in) have their texts in `config/ops/infrastructure.yaml`.
"""

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from config import mail
from config.client_info import ClientInfo
from config.problems import ServiceUnavailable
from config.records import dataclass

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

log = logging.getLogger("parley.accounts")


IF_IT_WAS_NOT_YOU = _(
    "If this was you, there is nothing to do. If it was not, reset your password now and sign "
    "out everywhere: someone else may be using your account."
)


@dataclass(frozen=True)
class Notice:
    """The texts of a notice. `advice` is for owners who did not do it themselves."""

    subject: "StrPromise"
    sentence: "StrPromise"
    advice: "StrPromise" = IF_IT_WAS_NOT_YOU


# The event → the texts of the mail about it.
NOTICES = {
    "password_changed": Notice(
        _("Your password was changed"),
        _("The password of your Parley account was changed, and all sessions were ended"),
    ),
    "password_change_cut_off": Notice(
        _("All your sessions were ended"),
        _(
            "A change of the password of your Parley account was cut off: the old or the new one "
            "is in force, and all sessions were ended"
        ),
    ),
    "mfa_enabled": Notice(
        _("Two-step sign-in is on"),
        _("Your Parley account now asks for a code from your authenticator app"),
    ),
    "mfa_disabled": Notice(
        _("Two-step sign-in is off"),
        _("Your Parley account no longer asks for a code from your authenticator app"),
    ),
    "mfa_changed_elsewhere": Notice(
        _("Two-step sign-in has changed"),
        _("Two-step sign-in of your Parley account was changed by other means than our settings"),
    ),
    "mfa_reset": Notice(
        _("Two-step sign-in was reset"),
        _("Our staff has turned off two-step sign-in of your Parley account"),
    ),
    "backup_code_used": Notice(
        _("A backup code was used"),
        _("Someone signed in to your Parley account with a backup code"),
    ),
    "backup_codes_renewed": Notice(
        _("New backup codes were made"),
        _("Your Parley account has new backup codes; the old ones are void"),
    ),
    "refresh_token_reused": Notice(
        _("A session was ended"),
        _(
            "A sign-in of your Parley account was renewed with an old token, as a thief would, and "
            "was ended; your other sessions go on"
        ),
    ),
    "new_device": Notice(
        _("A new sign-in"),
        _(
            "Someone signed in to your Parley account with a device or from a network that it does "
            "not know from the last month"
        ),
    ),
    "sign_in_code_second_step": Notice(
        _("Sign in with your password"),
        _(
            "Someone asked for a code to sign in to your Parley account. It has two-step sign-in, "
            "so no code was made: sign in with your password and the code of your app"
        ),
        _("If it was not you, there is nothing to do: nobody has come in."),
    ),
    "sign_in_code_google": Notice(
        _("Sign in with Google"),
        _(
            "Someone asked for a code to sign in to your Parley account. It is entered with "
            "Google, so no code was made"
        ),
        _("If it was not you, there is nothing to do: nobody has come in."),
    ),
    "email_changing": Notice(
        _("Your address is being changed"),
        _("Someone asked to give your Parley account another e-mail address"),
    ),
    "email_changed": Notice(
        _("Your address was changed"),
        _("Your Parley account has another e-mail address now"),
    ),
    "google_linked": Notice(
        _("Google sign-in was added"),
        _("Your Parley account can now be entered with a Google account"),
    ),
    "google_unlinked": Notice(
        _("Google sign-in was removed"),
        _(
            "Your Parley account can no longer be entered with a Google account, and all sessions "
            "were ended"
        ),
    ),
}


def notify(email: str, what: str, source: ClientInfo, *, now: datetime) -> None:
    """Tells a learner of a change. A mail that cannot be sent stops nothing: it is logged."""
    notice = NOTICES[what]
    context = {"notice": notice, "at": now, "from": source.ip or _("our office")}
    try:
        mail.send("accounts/mail/notice.txt", context, to=email, tags={"mail": what})
    except ServiceUnavailable:
        log.exception("a notice was not sent", extra={"fields": {"notice": what}})


DELETED = {
    "owner": _("Your Parley account was deleted, as you wished, with all that was in it"),
    "staff": _("Our staff has deleted your Parley account, with all that was in it"),
    "dormant": _(
        "Your Parley account was deleted, with all that was in it: nobody has signed in to it for "
        "years, and you were told of it twice"
    ),
}


def tell_of_deletion(email: str, why: str, *, now: datetime) -> None:
    """Tells a learner that their account is gone. A mail that cannot be sent stops nothing.

    `why` is one of DELETED.
    """
    context = {"sentence": DELETED[why], "at": now}
    try:
        mail.send("accounts/mail/deleted.txt", context, to=email, tags={"mail": "account_deleted"})
    except ServiceUnavailable:
        log.exception("a notice was not sent", extra={"fields": {"notice": "account_deleted"}})


def tell_of_renewal(email: str) -> None:
    """Tells a learner to set a password anew. A mail that cannot be sent stops nothing."""
    try:
        mail.send("accounts/mail/renewal.txt", {}, to=email, tags={"mail": "renewal"})
    except ServiceUnavailable:
        log.exception("a notice was not sent", extra={"fields": {"notice": "renewal"}})


def send_invitation(email: str, password: str, *, days: int) -> None:
    """Mails a temporary password to an invited person. Raises ServiceUnavailable."""
    context = {"email": email, "password": password, "days": days}
    mail.send("accounts/mail/invitation.txt", context, to=email, tags={"mail": "invitation"})


def warn_of_deletion(email: str, *, seen_at: datetime, ends_at: datetime) -> None:
    """Tells a learner that their account will be deleted unless they sign in.

    An address that SES refuses for good counts as told. Raises ServiceUnavailable.
    """
    context = {"seen_at": seen_at, "ends_at": ends_at}
    try:
        mail.send("accounts/mail/dormant.txt", context, to=email, tags={"mail": "dormant"})
    except mail.MessageRejected:
        log.exception("a notice was not sent", extra={"fields": {"notice": "dormant"}})


def send_code(email: str, code: str, *, minutes: int) -> None:
    """Mails the code that proves a new address. Raises ServiceUnavailable."""
    context = {"code": code, "email": email, "minutes": minutes}
    mail.send("accounts/mail/email_code.txt", context, to=email, tags={"mail": "email_code"})
