"""Fields that accounts know, with their rules."""

from typing import Any

from accounts.passwords import MAX_LENGTH, MIN_LENGTH
from config.serializers import Pattern, Text
from config.text import VISIBLE

# RFC 5321 in ASCII, as far as Cognito and SES take it; 128 is Cognito's limit for user names.
EMAIL = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


LEVELS = ["A1", "A2", "B1", "B2", "C1", "C2"]  # CEFR


class Email(Pattern):
    """An e-mail address, kept in lower case; spaces around it are dropped."""

    sample = "ana@example.org"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            EMAIL, "Give an e-mail address.", max_length=128, trim_whitespace=True, **kwargs
        )

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class NewPassword(Pattern):
    """A password that is being chosen."""

    sample = "corvo-azul-7"

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

    sample = "corvo-azul-7"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=256, style={"input_type": "password"}, **kwargs)


class Name(Pattern):
    """A name of a person: no control characters, and something to see at its beginning."""

    sample = "Ana"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 100)
        super().__init__(
            rf"{VISIBLE}(?:[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?",
            "Give a name without control characters or spaces around it.",
            **kwargs,
        )


class Code(Pattern):
    """A six-digit code from a mail."""

    sample = "123456"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[0-9]{6}", "Give the six digits.", max_length=6, **kwargs)


class OpaqueToken(Pattern):
    """A token of the pool, which only the pool can read."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("[A-Za-z0-9_=.-]+", "This is no token.", max_length=8192, **kwargs)


class Language(Pattern):
    """A language tag (BCP 47)."""

    sample = "pt-BR"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}",
            "Give a language tag, e.g. pt-BR.",
            max_length=35,
            **kwargs,
        )


class LocalTime(Pattern):
    """A time of day, `22:00`."""

    sample = "22:00"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            "(?:[01][0-9]|2[0-3]):[0-5][0-9]", "Give a time as HH:MM.", max_length=5, **kwargs
        )
