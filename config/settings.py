"""Django's settings. Differences between stages come from the environment (`PARLEY_*`)."""

import os
from pathlib import Path
from typing import Any

from config.crypto import secret_keys

BASE_DIR = Path(__file__).resolve().parent.parent
STAGE = os.environ.get("PARLEY_STAGE", "local")


def _words(name: str, default: str = "") -> list[str]:
    return os.environ.get(name, default).split()


SECRET_KEY, *SECRET_KEY_FALLBACKS = secret_keys(STAGE)
DEBUG = os.environ.get("PARLEY_DEBUG") == "1"
# API Gateway and Lambda name the host. Only links to ourselves are built from it.
ALLOWED_HOSTS = _words("PARLEY_ALLOWED_HOSTS", "127.0.0.1 localhost [::1]")

# The package for Lambda leaves config/ops out. Elsewhere its `runserver` comes before that of
# staticfiles.
OPS = ["config.ops"] if (BASE_DIR / "config" / "ops").is_dir() else []
INSTALLED_APPS = [
    "config",
    *OPS,
    "accounts",
    "learning",
    "reminders",
    "rest_framework",
    "corsheaders",
    "drf_spectacular",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.http.RequestMiddleware",
    "config.http.CrossOriginMiddleware",
    "config.http.LimitMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False
DATABASES: dict[str, dict[str, str]] = {}  # all state is in DynamoDB and Cognito
USE_TZ = True
TIME_ZONE = "UTC"
# Errors and mails by each reader's language. Their texts in English are the keys of the catalogues
# in config/locale; docs/CONTRIBUTING.md says how a text comes into them.
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("es", "Español"),
    ("fr", "Français"),
    ("vi", "Tiếng Việt"),
]
# An event of Lambda's has at most 6 MB (AWS: "Lambda quotas"), in which API Gateway writes the body
# as base64, four bytes for three, and beside it the headers, twice.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4_400_000
# The form of a scenario has an input for each text of its script, as many as 200,000 bytes of it.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

STATIC_URL = "static/"  # relative: on amazonaws.com hosts the stage stands before it
STORAGES = {"staticfiles": {"BACKEND": "config.static.Storage"}}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = STAGE == "local"  # else a file that is edited is cut at its former size
WHITENOISE_MAX_AGE = 3600

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 0 if STAGE == "local" else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = STAGE != "local"
# API Gateway speaks HTTPS only; Django behind it cannot see that and must not redirect.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # only the pages that read a cookie need CSRF protection, and they have it
    "security.W008",  # API Gateway has no plain HTTP to redirect from
]
X_FRAME_OPTIONS = "DENY"

# Only `/browse/` has forms and cookies; no script reads them.
CSRF_COOKIE_NAME = "parley-csrf" if STAGE == "local" else "__Secure-parley-csrf"
CSRF_COOKIE_AGE = None  # until the browser is closed
CSRF_COOKIE_SECURE = STAGE != "local"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "accounts.browse.login.csrf_failure"
# The address of the service, for links in mails: scheduled work has no request to take it from.
_here = f"http://127.0.0.1:{os.environ.get('PORT') or 8000}"
PUBLIC_URL = os.environ.get("PARLEY_PUBLIC_URL", _here).rstrip("/")
# The web app that learners use, for links in mails; without it they have none into it.
FRONTEND_URL = os.environ.get("PARLEY_FRONTEND_URL", "").rstrip("/")

CORS_ALLOWED_ORIGINS = _words("PARLEY_CORS_ORIGINS")
if STAGE == "local":  # any port that a frontend's development server may have
    CORS_ALLOWED_ORIGIN_REGEXES = [r"^http://(?:localhost|127\.0\.0\.1|\[::1\]):[0-9]{2,5}$"]
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "baggage",  # which tracing in browsers sends beside traceparent, and nobody here reads
    "content-type",
    "if-match",
    "if-none-match",
    "traceparent",
]
CORS_EXPOSE_HEADERS = [
    "content-disposition",
    "deprecation",
    "etag",
    "link",
    "location",
    "retry-after",
    "sunset",
    "www-authenticate",
    "x-amzn-remapped-www-authenticate",  # what API Gateway makes of ours
    "x-request-id",
]
CORS_PREFLIGHT_MAX_AGE = 7200

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.IsLearner"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.authentication.Throttle"],
    "DEFAULT_RENDERER_CLASSES": ["config.http.Renderer"],
    "DEFAULT_PARSER_CLASSES": ["config.http.Parser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.http.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.Schema",
    "DEFAULT_VERSIONING_CLASS": "config.http.Versioning",
    "DEFAULT_VERSION": "1",
    "ALLOWED_VERSIONS": ["1"],
    "EXCEPTION_HANDLER": "config.http.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Parley",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": [],
    "SERVE_AUTHENTICATION": [],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "JobState": "config.store.jobs.STATES",
        "CardState": "learning.api.serializers.STATES",
        "DeliveryState": "reminders.models.STATES",
        "ReminderKind": "reminders.api.reminders.KINDS",
        "ImportStatus": "reminders.services.event_imports.STATUSES",
        "CefrLevel": "config.formats.CEFR_LEVELS",
        "ProposalOutcome": "learning.services.proposals.OUTCOMES",
        "MediumState": "learning.models.media.STATES",
        "RecordingState": "learning.models.recordings.STATES",
        "NoteType": "learning.api.serializers.NOTE_TYPES",
        "ScenarioStatus": "learning.models.content.STATUSES",
        "Partner": "learning.practice.script.PARTNERS",
        "PartOfSpeech": "learning.practice.script.PARTS_OF_SPEECH",
        "FallbackReason": "learning.models.practice.FALLBACKS",
        "SessionStatus": "learning.models.practice.STATUSES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.finish",
    ],
    "SCHEMA_PATH_PREFIX": "/",
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"terminal": {"()": "config.ops.log_lines.TerminalFilter"}},
    "formatters": {
        "json": {"()": "config.telemetry.JsonFormatter"},
        "terminal": {"()": "config.ops.log_lines.TerminalFormatter"},
    },
    "handlers": {
        "json": {"class": "logging.StreamHandler", "formatter": "json"},
        "terminal": {
            "class": "logging.StreamHandler",
            "formatter": "terminal",
            "filters": ["terminal"],
        },
    },
    "root": {"handlers": ["terminal" if OPS and STAGE == "local" else "json"], "level": "WARNING"},
    "loggers": {
        "parley": {"level": os.environ.get("PARLEY_LOG_LEVEL", "INFO")},
        # Our own line says more of each request than these do.
        "django.request": {"level": "CRITICAL"},
        # The root's handlers print it. Without any handler Python would print it as it is.
        "django.server": {"level": "WARNING", "propagate": True},
    },
}
if not OPS:  # the formatter of local runs is there
    for _part in ("filters", "formatters", "handlers"):
        del LOGGING[_part]["terminal"]

# Long work (`config.work`): the kinds of message, by the queue in which they wait, each with the
# function that does it; and the kinds of job (`config.store.jobs`).
WORK = {
    "work": {
        "job": "config.store.jobs.go_on",
        "media_sweep": "learning.tasks.sweep_media",
        "recording_end": "learning.tasks.end_recording",
        "optimize": "learning.tasks.optimize",
    },
    "prompt": {
        "due_shard": "reminders.tasks.share_out",
        "due_page": "reminders.tasks.send_due_of_page",
        "due_end": "reminders.tasks.end_sharing",
    },
}
JOBS = {
    "accounts_let_go": "accounts.tasks.let_accounts_go",
    "left_over_sign_ups": "accounts.tasks.delete_left_over_sign_ups",
    "reconciliation": "accounts.tasks.reconcile",
    "nightly_fits": "learning.tasks.fit_nightly_batch",
    "deck_deletion": "learning.tasks.delete_deck",
    "export": "learning.tasks.run_export",
    "import": "learning.tasks.run_import",
}

# The task for the messages of SNS: SES's events about mails.
MESSAGE_TASK = "reminders.tasks.handle_ses_event"

# Whether a mailed code lets in who has no second step (the pool's part: MailedCodeSignIn in
# config/ops/infrastructure.yaml, which the local pool has).
_local = "true" if STAGE == "local" else "false"
MAILED_CODE_SIGN_IN = os.environ.get("PARLEY_MAILED_CODE_SIGN_IN", _local) == "true"

# Whether staff without a second step can do nothing but set it up.
STAFF_SECOND_STEP = os.environ.get("PARLEY_STAFF_SECOND_STEP") == "true"

# Days after the last sign-in (give or take a month) until an account is deleted; 0 is never.
DORMANT_AFTER_DAYS = int(os.environ.get("PARLEY_DORMANT_AFTER_DAYS", "1095"))

# Seconds an access token still works after its learner was disabled or signed out everywhere.
ACCOUNT_STATE_CACHE_S = 30

# Turns of a practice session, after which the partner says goodbye. The scripted one does after 30.
PRACTICE_TURN_LIMIT = int(os.environ.get("PARLEY_PRACTICE_TURN_LIMIT", "30"))


# Whether texts are read aloud, recordings understood and words looked up: by Amazon Polly,
# Transcribe and Translate (`aws`), in local runs by a stand-in at PARLEY_VOICE_URL.
VOICE = os.environ.get("PARLEY_VOICE", "off") == "aws"

# How many pictures and sounds a learner may have, of how many bytes together.
MEDIA_FILES, MEDIA_BYTES = 20_000, 500 * 2**20

# Who may play the partner: the scenario's script alone, or a model too (`bedrock`), and which one
# of Amazon Bedrock's models or profiles. A guardrail is `id:version`; prod has no model without.
PARTNER = os.environ.get("PARLEY_PARTNER", "scripted")
PARTNER_MODEL = os.environ.get("PARLEY_PARTNER_MODEL", "")
PARTNER_GUARDRAIL = os.environ.get("PARLEY_PARTNER_GUARDRAIL", "")
# Local runs may speak with any server of OpenAI's API instead, e.g. http://127.0.0.1:11434/v1.
LOCAL_MODEL_URL = os.environ.get("PARLEY_LOCAL_MODEL_URL", "").rstrip("/")

# How often something may be tried: name → (times, seconds). `PARLEY_LIMITS` changes some of them,
# e.g. "login_source=100000/900 sign_up_source=100000/3600" for a load test.
LIMITS = {
    "login": (5, 900),  # wrong passwords for one account from one source
    "login_account": (20, 900),  # … from anywhere
    "login_source": (100, 900),  # wrong passwords from one source for any accounts
    "mfa_session": (5, 900),  # wrong codes in one sign-in
    "mfa_account": (20, 900),  # … in any sign-ins of one account
    "mfa_setup": (10, 3600),  # secrets made for one account
    "refresh_source": (30, 900),  # refresh tokens from one source that nobody was given
    "sign_up_source": (30, 3600),
    "sign_up_address": (10, 3600),  # mails to one address
    "verify_email": (30, 3600),  # guesses at one mailed code
    "verify_email_here": (5, 3600),  # … from one source
    "resend_code": (5, 3600),  # mails to one address
    "reset_request": (3, 3600),  # mails to one address
    "reset_request_here": (3, 3600),  # … from one source
    "reset_confirm": (30, 3600),  # guesses at one mailed code
    "reset_confirm_here": (5, 3600),  # … from one source
    "email_change": (5, 3600),  # mails a learner may cause
    "email_confirm": (10, 900),  # codes a learner may try
    "fit": (5, 86_400),  # of one learner's scheduler
    "media_upload": (1000, 3600),  # addresses for a learner's pictures and sounds
    "invite_address": (1, 60),  # invitations of one address
    "invite_staff": (1000, 86400),  # … by one member of staff
    "sign_in_code": (3, 3600),  # sign-in codes mailed to one address
    "sign_in_code_here": (3, 3600),  # … from one source
    "sign_in_code_guess": (5, 900),  # guesses at one of them
    "mail_source": (60, 3600),  # mails and codes from one source
}
for _limit in _words("PARLEY_LIMITS"):
    _name, _, _numbers = _limit.partition("=")
    _times, _, _within = _numbers.partition("/")
    LIMITS[_name] = (int(_times), int(_within))
# What a learner's requests may cost in a day (UTC), in dollars (accounts.models.limits.DayMeter).
DAY_USD = float(os.environ.get("PARLEY_DAY_USD", "2"))
# Units of what AWS charges by the unit: thing → (a learner's day, the stage's month), in UTC.
# `PARLEY_BUDGETS` changes some, e.g. "partner_turns=40/5000" (learning.models.budgets).
BUDGETS = {
    "partner_turns": (150, 30_000),  # calls of a model that plays a role
    "partner_tokens": (400_000, 80_000_000),  # … what it reads and writes
    "speech_characters": (5_000, 1_000_000),  # read aloud
    "speech_seconds": (600, 60_000),  # of recordings, understood
    "dictionary_characters": (5_000, 1_000_000),  # translated
}
for _budget in _words("PARLEY_BUDGETS"):
    _name, _, _numbers = _budget.partition("=")
    _day, _, _month = _numbers.partition("/")
    BUDGETS[_name] = (int(_day), int(_month))
# One caller's limit in one process: requests a second, after a burst of so many.
THROTTLE_PER_S, THROTTLE_BURST = map(int, os.environ.get("PARLEY_THROTTLE", "50/500").split("/"))
