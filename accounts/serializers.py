"""Wire shapes of accounts."""

from typing import Any, get_args

from rest_framework import serializers

from accounts.audit import Action
from accounts.cognito import Tokens
from accounts.passwords import MAX_LENGTH, MIN_LENGTH
from accounts.services.profiles import Person
from accounts.services.sessions import SignedIn
from accounts.services.staff import User
from accounts.tokens import ROLES
from config.pages import ListQuery
from config.serializers import Boolean, HttpsUrl, Integer, Pattern, Query, Serializer, Text, Zone

# RFC 5321 in ASCII, as far as Cognito and SES take it; 128 is Cognito's limit for user names.
EMAIL = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)
LEVELS = ["A1", "A2", "B1", "B2", "C1", "C2"]  # CEFR


class Email(Pattern):
    """An e-mail address, kept in lower case; spaces around it are dropped."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            EMAIL, "Give an e-mail address.", max_length=128, trim_whitespace=True, **kwargs
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class NewPassword(Pattern):
    """A password that is being chosen."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"\S(?:.*\S)?",
            "A password neither begins nor ends with a space, and has one line.",
            min_length=MIN_LENGTH,
            max_length=MAX_LENGTH,
            style={"input_type": "password"},
            **kwargs,
        )


class Password(Text):
    """A password that is being checked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=256, style={"input_type": "password"}, **kwargs)


class Name(Pattern):
    """A name of a person: no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 100)
        super().__init__(
            r"[^\x00-\x1f\x7f\s](?:[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?",
            "Give a name without control characters or spaces around it.",
            **kwargs,
        )


class Code(Pattern):
    """A six-digit code from a mail."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[0-9]{6}", "Give the six digits.", max_length=6, **kwargs)


class OpaqueToken(Pattern):
    """A token of the pool, which only the pool can read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_=.-]+", "This is no token.", max_length=8192, **kwargs)


class Language(Pattern):
    """A language tag (BCP 47)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}",
            "Give a language tag, e.g. pt-BR.",
            max_length=35,
            **kwargs,
        )


class LocalTime(Pattern):
    """A time of day, `22:00`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "(?:[01][0-9]|2[0-3]):[0-5][0-9]", "Give a time as HH:MM.", max_length=5, **kwargs
        )


class SignUp(Serializer):
    email = Email()
    password = NewPassword()
    first_name = Name()
    last_name = Name()


class Registered(Serializer):
    user_id = serializers.CharField()
    email = serializers.CharField()
    message = serializers.CharField()


class VerifyEmail(Serializer):
    email = Email()
    code = Code()


class OnlyEmail(Serializer):
    email = Email()


class Message(Serializer):
    message = serializers.CharField()


class Login(Serializer):
    email = Email()
    password = Password()


class OnlyRefreshToken(Serializer):
    refresh_token = OpaqueToken()


class QuietHours(Serializer):
    """Local times. They may pass midnight; when they end as they start there are none."""

    starts = LocalTime()
    ends = LocalTime()

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        """Both, also where a PATCH may leave things out."""
        left_out = {"starts", "ends"} - attrs.keys()
        if left_out:
            raise serializers.ValidationError(dict.fromkeys(left_out, "Give both."), "required")
        return attrs


class NotificationsShape(Serializer):
    """What may be mailed, and when not."""

    study_reminders = Boolean(source="study_mails", default=True)
    event_reminders = Boolean(source="event_mails", default=True)
    quiet_hours = QuietHours(allow_null=True, default=None)

    class Meta:
        ref_name = "Notifications"


NOTHING_SAID = {
    "study_mails": True,
    "event_mails": True,
    "quiet_hours": None,
}


class ProfileUpdate(Serializer):
    """What a learner may write. With PUT, what is left out gets its default."""

    first_name = Name()
    last_name = Name()
    display_name = Name(max_length=50, allow_null=True, default=None)
    avatar_url = HttpsUrl(allow_null=True, default=None)
    native_language = Language(allow_null=True, default=None)
    target_language = Language(allow_null=True, default=None)
    current_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    target_level = serializers.ChoiceField(LEVELS, allow_null=True, default=None)
    timezone = Zone(default="UTC")
    daily_goal = Integer(min_value=1, max_value=1000, default=20, help_text="Cards per day")
    notifications = NotificationsShape(default=dict)

    @property
    def attributes(self) -> dict[str, Any]:
        """What to set on the item."""
        values = dict(self.validated_data)
        if not self.partial:
            values["notifications"] = NOTHING_SAID | values["notifications"]
        nested: dict[str, Any] = values.pop("notifications", {})
        return values | nested


class ProfileShape(Serializer):
    """A learner as they see themselves."""

    user_id = serializers.CharField(source="account.learner_id")
    email = serializers.CharField(source="account.email")
    email_verified = serializers.BooleanField(source="account.email_verified")
    mfa_enabled = serializers.BooleanField(source="account.mfa_enabled")
    groups = serializers.ListField(child=serializers.CharField())
    first_name = serializers.CharField(source="profile.first_name")
    last_name = serializers.CharField(source="profile.last_name")
    display_name = serializers.CharField(source="profile.display_name", allow_null=True)
    avatar_url = serializers.URLField(source="profile.avatar_url", allow_null=True)
    native_language = serializers.CharField(source="profile.native_language", allow_null=True)
    target_language = serializers.CharField(source="profile.target_language", allow_null=True)
    current_level = serializers.ChoiceField(LEVELS, source="profile.current_level", allow_null=True)
    target_level = serializers.ChoiceField(LEVELS, source="profile.target_level", allow_null=True)
    timezone = serializers.CharField(source="profile.timezone")
    daily_goal = serializers.IntegerField(source="profile.daily_goal")
    notifications = NotificationsShape(source="profile")
    streak = serializers.IntegerField(help_text="Days of study in a row")
    cards_learned = serializers.IntegerField(source="progress.cards_learned")
    created_at = serializers.DateTimeField(source="account.created_at")
    version = serializers.IntegerField(source="profile.version")

    class Meta:
        ref_name = "Profile"


class TokensShape(Serializer):
    access_token = serializers.CharField()
    id_token = serializers.CharField()
    refresh_token = serializers.CharField(required=False, help_text="Present when it is a new one")
    token_type = serializers.ChoiceField(["Bearer"])
    expires_in = serializers.IntegerField(help_text="Seconds")

    class Meta:
        ref_name = "Tokens"


class LoggedIn(TokensShape):
    user = ProfileShape()

    class Meta:
        ref_name = "LoggedIn"


def tokens_body(tokens: Tokens) -> dict[str, Any]:
    """Tokens on the wire."""
    body: dict[str, Any] = {
        "accessToken": tokens.access_token,
        "idToken": tokens.id_token,
        "tokenType": "Bearer",
        "expiresIn": tokens.expires_in_s,
    }
    if tokens.refresh_token is not None:
        body["refreshToken"] = tokens.refresh_token
    return body


def signed_in_body(found: SignedIn) -> dict[str, Any]:
    """The answer to a completed sign-in."""
    return {**tokens_body(found.tokens), "user": profile_body(found.person)}


def profile_body(person: Person) -> dict[str, Any]:
    """A profile on the wire."""
    body: dict[str, Any] = ProfileShape(person).data
    return body


class ActivityShape(Serializer):
    """One thing that happened. `byStaff` when it was not the learner who did it."""

    id = serializers.CharField()
    at = serializers.DateTimeField()
    action = serializers.ChoiceField(list(get_args(Action)))
    ip = serializers.CharField()
    user_agent = serializers.CharField(source="agent")
    by_staff = serializers.BooleanField()

    class Meta:
        ref_name = "Activity"


class MfaRequired(Serializer):
    """The password was right; `/auth/mfa/verify` takes the session token within three minutes."""

    session_token = serializers.CharField()
    mfa_required = serializers.BooleanField()
    token_type = serializers.ChoiceField(["Bearer"])


class MfaCode(Pattern):
    """Six digits of the app, or a backup code."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "[0-9]{6}|[A-Za-z2-7]{5}-[A-Za-z2-7]{5}",
            "Give the six digits of the app, or a backup code such as k4xqn-2mzt7.",
            max_length=11,
            **kwargs,
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class SealedToken(Pattern):
    """A text that we sealed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_-]+", "This is no session token.", max_length=8192, **kwargs)


class VerifyMfa(Serializer):
    session_token = SealedToken()
    code = MfaCode()


class OnlyCode(Serializer):
    code = Code()


class OnlyPassword(Serializer):
    """Without it only for learners who have none: a sign-in of the last five minutes will do."""

    password = Password(required=False)


class MfaSetup(Serializer):
    secret = serializers.CharField(help_text="Base32, for typing into the app")
    qr_code = serializers.CharField(help_text="A PNG as data URI")
    otpauth_uri = serializers.CharField()


class BackupCodes(Serializer):
    backup_codes = serializers.ListField(child=serializers.CharField())


class MfaEnabled(BackupCodes):
    enabled = serializers.BooleanField()


class MfaDisabled(Serializer):
    enabled = serializers.BooleanField()


class ResetConfirm(Serializer):
    email = Email()
    code = Code()
    new_password = NewPassword()


class PasswordChange(Serializer):
    current_password = Password()
    new_password = NewPassword()


class NewEmail(OnlyPassword):
    new_email = Email()


class ExportQuery(Query):
    cursor = Text(max_length=2048, required=False, help_text="From `next`, as it is")


class ExportedShape(Serializer):
    """One stored item. `data` has its attributes under the names they are stored by."""

    kind = serializers.CharField()
    key = serializers.CharField()
    data = serializers.DictField()  # type: ignore[assignment]

    class Meta:
        ref_name = "Exported"


class RedirectUri(Text):
    """One of the addresses that the app client is registered with."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=1024, **kwargs)


class GoogleQuery(Query):
    redirect_uri = RedirectUri()
    state = Pattern(
        "[A-Za-z0-9._~-]{16,512}",
        "Give 16 to 512 random letters, digits or any of -._~",
        max_length=512,
        help_text="Comes back to you unchanged: compare it",
    )
    code_challenge = Pattern(
        "[A-Za-z0-9_-]{43}",
        "Give the SHA-256 of the verifier in base64url.",
        max_length=43,
        help_text="RFC 7636, method S256",
    )


class GoogleCode(Serializer):
    code = Pattern("[A-Za-z0-9._~-]+", "This is no code.", max_length=2048)
    redirect_uri = RedirectUri()
    code_verifier = Pattern(
        "[A-Za-z0-9._~-]{43,128}", "Give the verifier of the challenge.", max_length=128
    )


class GoogleLink(GoogleCode):
    password = Password(required=False)


class UserQuery(ListQuery):
    email = Text(
        max_length=128, required=False, default="", help_text="Beginning of the address, any case"
    )


class UserSummary(Serializer):
    """An account as staff see it in the list."""

    id = serializers.CharField(source="learner_id")
    email = serializers.CharField()
    email_verified = serializers.BooleanField()
    mfa_enabled = serializers.BooleanField()
    disabled = serializers.BooleanField()
    created_at = serializers.DateTimeField()

    class Meta:
        ref_name = "UserSummary"


class UserShape(UserSummary):
    """An account as staff see it."""

    first_name = serializers.CharField()
    last_name = serializers.CharField()
    groups = serializers.ListField(child=serializers.ChoiceField(sorted(ROLES)))

    class Meta:
        ref_name = "User"


class UserUpdate(Serializer):
    """What admins may change."""

    disabled = Boolean(required=False)
    groups = serializers.ListField(
        child=serializers.ChoiceField(sorted(ROLES)), required=False, max_length=len(ROLES)
    )


def user_body(found: User) -> dict[str, Any]:
    """A user on the wire."""
    summary = UserSummary(found.account).data
    return {
        **summary,
        "firstName": found.profile.first_name,
        "lastName": found.profile.last_name,
        "groups": sorted(found.groups),
    }
