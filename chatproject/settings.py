"""Settings, read top to bottom. The environment is read here and nowhere else.

Every name and default is documented in the README's configuration table.
"""

import hashlib
import hmac
import re
from datetime import timedelta
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from chatproject.env import env_bool, env_float, env_int, env_list, env_origins, env_secret, env_str
from chatproject.secret import data_folder
from providers.specs import SPECS

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = data_folder()

# --- Secrets --------------------------------------------------------------------------------------

SECRET_KEY = env_secret("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Set it, or SECRET_KEY_FILE, to a long random text; `make run` makes one."
    )
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY is too short: use at least 32 random characters.")


def _derived(purpose: str) -> str:
    return hmac.new(SECRET_KEY.encode(), purpose.encode(), hashlib.sha256).hexdigest()


# The first key encrypts, all of them decrypt; see `manage.py rotate_provider_keys`.
FIELD_ENCRYPTION_KEYS = [key for key in re.split(r"[,\s]+", env_secret("FIELD_ENCRYPTION_KEYS")) if key] or [
    _derived("field-encryption")
]

# --- Where it is served ---------------------------------------------------------------------------

DEBUG = env_bool("DEBUG", False)
HTTPS = env_bool("HTTPS", False)  # served behind TLS: secure cookies and HSTS
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env_origins("CSRF_TRUSTED_ORIGINS", subdomains=True)
CORS_ALLOWED_ORIGINS = env_origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_HEADERS = [  # and x-stainless-*: see chatproject/cors.py
    "accept",
    "accept-language",
    "authorization",
    "baggage",
    "cache-control",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "last-event-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-requested-with",
]
CORS_EXPOSE_HEADERS = [
    "etag",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
]

ROOT_URLCONF = "chatproject.urls"
ASGI_APPLICATION = "chatproject.asgi.application"
APPEND_SLASH = False

# --- Apps and the request's way in ----------------------------------------------------------------

INSTALLED_APPS = [
    "chatproject",  # first: its `runserver` replaces the one of staticfiles
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "csp",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "django_ratelimit",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "providers",
    "chat",
]

# The API authenticates in its views and needs no cookies, messages or redirects: it passes the
# page middleware by (see chatproject/handlers.py). Nothing here may be synchronous only.
API_MIDDLEWARE = [
    # Outermost, so that a page can also read what `api_middleware` refuses. Without any allowed origin,
    # every request would pass through it for nothing.
    *(["chatproject.cors.ApiCorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "chatproject.middleware.api_middleware",
]
MIDDLEWARE = [
    *API_MIDDLEWARE,
    "chatproject.middleware.PageSecurityMiddleware",
    "chatproject.middleware.PageCSPMiddleware",
    "chatproject.middleware.PageGuardMiddleware",
    "chatproject.middleware.PageSessionMiddleware",
    "chatproject.middleware.PageCsrfMiddleware",
    "chatproject.middleware.PageAuthenticationMiddleware",
    "chatproject.middleware.PageLocaleMiddleware",
    "chatproject.middleware.PageMessageMiddleware",
    "chatproject.middleware.PageXFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.looks.theme",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------------------------------

DATABASE_URL = env_secret("DATABASE_URL") or f"sqlite:///{DATA_DIR / 'chat.sqlite3'}"
try:
    DATABASE = dj_database_url.parse(DATABASE_URL)
except ValueError:
    raise ImproperlyConfigured(
        "DATABASE_URL cannot be read. It looks like postgres://user:password@host:5432/name;"
        " write / as %2F and @ as %40 within the password."
    ) from None
if not DATABASE.get("NAME"):
    raise ImproperlyConfigured("DATABASE_URL names no database: postgres://user:password@host:5432/name.")
if DATABASE["ENGINE"] == "django.db.backends.sqlite3":
    # WAL and IMMEDIATE together let 50 chats write at once; either alone does not (measured).
    # FULL: what was told to be saved is still there after a power cut.
    DATABASE["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 10,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16000;",
    }
    DATABASE["CONN_MAX_AGE"] = None
elif DATABASE["ENGINE"] == "django.db.backends.postgresql":
    DATABASE["ENGINE"] = "chatproject.postgresql"  # Django's, with a pool that gives out no dead connection
    DATABASE["OPTIONS"] = {
        **DATABASE.get("OPTIONS", {}),
        "pool": {
            "min_size": 1,
            "max_size": env_int("DATABASE_POOL_SIZE", 10),
            "timeout": 10,
            # Attempts to connect come ever more slowly; after so long, the next request begins anew.
            "reconnect_timeout": 5,
        },
    }
    DATABASE["CONN_MAX_AGE"] = 0  # every unit of work gives its connection back to the pool
else:
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:// or postgres://.")
DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Cache and limits -----------------------------------------------------------------------------

REDIS_URL = env_secret("REDIS_URL")
if REDIS_URL:
    if not REDIS_URL.startswith(("redis://", "rediss://", "unix://")):
        raise ImproperlyConfigured("REDIS_URL must begin with redis://, rediss:// or unix://.")
    _redis = {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # In seconds. By default a Redis that is silent is waited for without end.
        "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 3, "SOCKET_TIMEOUT": 3},
    }
    CACHES = {"default": _redis, "limits": _redis}
else:
    CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        # In-process counters would be one limit per process; a row counts for all of them.
        "limits": {"BACKEND": "accounts.counters.LimitsCache"},
    }
RATELIMIT_USE_CACHE = "limits"
# django-ratelimit's own defaults: it asks for each of them at every count, and to find none is not free.
RATELIMIT_ENABLE = True
RATELIMIT_CACHE_PREFIX = "rl:"
RATELIMIT_HASH_ALGORITHM = hashlib.sha256
# W001: our counter cache is unknown to django-ratelimit; tests show that it counts exactly.
# security.W001, W002, W003: Django looks for its own names of the middleware for security, framing and CSRF.
# Ours are its subclasses (`chatproject.middleware`), which leave the API alone. Without W001, Django asks for
# nothing more about HTTPS: HSTS is set below, the redirect is the proxy's, subdomains are others' affair.
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.W001", "security.W001", "security.W002", "security.W003"]

# --- People ---------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "accounts.validators.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
REGISTRATION_OPEN = env_bool("REGISTRATION_OPEN", True)
LOGIN_RATE_LIMIT = env_str("LOGIN_RATE_LIMIT", "10/m")  # per address and account; see accounts/limits.py
REGISTER_RATE_LIMIT = env_str("REGISTER_RATE_LIMIT", "60/m")  # per address
LOGIN_URL = "/accounts/login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/accounts/login"

SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "chatproject.errors.csrf_failure"
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=14),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "SIGNING_KEY": _derived("jwt"),
    "ALGORITHM": "HS256",
}

# One policy for page, admin and docs: nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        # Text becomes markup through a cleaner or not at all: see chat/static/chat/trusted.js.
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["default", "dompurify", "dompurify#ours"],
    },
}

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.BearerAuthentication",
        "accounts.authentication.SessionCookieAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chatproject.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "chatproject.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AI chat",
    "DESCRIPTION": (
        "Streaming chat with the language models of many providers. Bodies and answers are JSON. "
        "Objects may gain keys and streams may gain events; nothing is renamed."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.2.0",  # the first that can describe the events of a stream
    "TAGS": [
        {"name": "Accounts", "description": "Signing in, and who one is."},
        {"name": "Providers", "description": "Whom one talks to, and with whose key."},
        {"name": "Answers", "description": "Asking, and following what is answered."},
        {"name": "Conversations"},
        {"name": "Messages"},
        {"name": "Operations", "description": "For those who run this server."},
    ],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "chatproject.schema.complete",
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "CAMELIZE_NAMES": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "SCHEMA_PATH_PREFIX": "/api",
}

# --- Languages and time ---------------------------------------------------------------------------

LANGUAGES = [("zh-hans", _("简体中文")), ("en", _("English"))]
LANGUAGE_CODE = env_str("LANGUAGE_CODE", "zh-hans").lower()
if LANGUAGE_CODE not in dict(LANGUAGES):
    raise ImproperlyConfigured("LANGUAGE_CODE must be zh-hans or en.")
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Static files ---------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "chatproject.static.StaticStorage"},
}

# --- Chat -----------------------------------------------------------------------------------------

CHAT_RATE_LIMIT = env_str("CHAT_RATE_LIMIT", "20/m")  # per user; everything that starts an answer
for _name, _rate in (
    ("CHAT_RATE_LIMIT", CHAT_RATE_LIMIT),
    ("LOGIN_RATE_LIMIT", LOGIN_RATE_LIMIT),
    ("REGISTER_RATE_LIMIT", REGISTER_RATE_LIMIT),
):
    if not re.fullmatch(r"[1-9]\d*/([1-9]\d*)?[smhd]", _rate):
        raise ImproperlyConfigured(f"{_name} must look like 20/m: a number, a slash, and s, m, h or d.")
CHAT_MAX_RUNNING = env_int("CHAT_MAX_RUNNING", 5)  # running answers per user
CHAT_HISTORY_LIMIT = env_int("CHAT_HISTORY_LIMIT", 20)  # messages sent to the model, the new one included
CHAT_MAX_MESSAGE_CHARS = env_int("CHAT_MAX_MESSAGE_CHARS", 32_000)
# Characters of questions, answers and reasoning that one person may have stored; 0: no limit.
CHAT_MAX_STORED_CHARS = env_int("CHAT_MAX_STORED_CHARS", 100_000_000, minimum=0)
CHAT_SHUTDOWN_GRACE_SECONDS = env_float("CHAT_SHUTDOWN_GRACE_SECONDS", 5)  # running answers may end in it

# A character may take 12 bytes in JSON (an escaped surrogate pair); beyond this nothing is even read.
MAX_BODY_BYTES = max(1_048_576, CHAT_MAX_MESSAGE_CHARS * 12 + 65_536)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
FILE_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

PROVIDER_CONNECT_TIMEOUT = env_float("PROVIDER_CONNECT_TIMEOUT", 10)  # seconds, as are the next two
PROVIDER_IDLE_TIMEOUT = env_float("PROVIDER_IDLE_TIMEOUT", 120)  # longest silence within an answer
PROVIDER_TOTAL_TIMEOUT = env_float("PROVIDER_TOTAL_TIMEOUT", 900)  # longest answer
ALLOW_PRIVATE_PROVIDER_HOSTS = env_bool("ALLOW_PRIVATE_PROVIDER_HOSTS", False)

# Keys that the operator gives to everyone; a staff member can also store shared ones in the admin.
SHARED_PROVIDER_KEYS = {
    spec.id: key for spec in SPECS if spec.key_variable and (key := env_secret(spec.key_variable))
}

# --- Operations -----------------------------------------------------------------------------------

METRICS_TOKEN = env_secret("METRICS_TOKEN")
LOG_LEVEL = env_str("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "chatproject.logs.LineFormatter"}},
    "filters": {"without_query": {"()": "chatproject.logs.WithoutQuery"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # At INFO these write a line per request, whole URLs included.
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "uvicorn.access": {"filters": ["without_query"]},
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # 4xx answers are the client's affair and would let anyone fill the log.
        "django.request": {"level": "ERROR"},
        # An unknown host and a form of too many fields are errors to Django.
        "django.security": {"level": "CRITICAL"},
        "django_ratelimit": {"level": "ERROR"},
    },
}
