"""The settings, read from the environment; a wrong or missing value stops the start with the fix."""

import os
import sys
from pathlib import Path

import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from arm import pg
from arm.env import env, env_bool, env_int, env_list, env_map
from arm.pg.url import database
from arm.plugged import *
from arm.theme import UNFOLD  # noqa: F401 - one of the settings

django_stubs_ext.monkeypatch()  # lets ListView[Agent] exist at run time


def local_secret() -> str:
    """The key that `./run` has made for the embedded database, or a fixed one for checks of a fresh checkout."""
    made = pg.read_secrets(pg.default_data()).get("secret_key")
    return made or "not-a-secret-for-checks-and-tests-only-0123456789"


HOST_NAME = r"[a-z0-9-]+(\.[a-z0-9-]+)*"
TEMPLATE_ID = r"tpl_[0-7][0-9a-hjkmnp-tv-z]{25}"
BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- production or not ---------------------------------------------------------------------------------------
# The embedded database is for trying out; whoever names a database of their own is in production unless they
# say otherwise (ARM_PRODUCTION=0).
PRODUCTION = env_bool("ARM_PRODUCTION", bool(os.environ.get("DATABASE_URL", "")))
DEBUG = env_bool("ARM_DEBUG", False)
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("ARM_DEBUG=1 shows secrets to visitors; it needs ARM_PRODUCTION=0.")
SECRET_KEY = env("ARM_SECRET_KEY", None if PRODUCTION else local_secret())
if PRODUCTION and len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("ARM_SECRET_KEY must be at least 50 characters: `openssl rand -base64 48`.")
ALLOWED_HOSTS = env_list("ARM_ALLOWED_HOSTS", "" if PRODUCTION else "127.0.0.1,localhost,[::1],testserver")
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "Set ARM_ALLOWED_HOSTS to the names this server answers to, separated by commas."
    )
AGENT_HOSTS = env_map("ARM_AGENT_HOSTS", keys=HOST_NAME, values=TEMPLATE_ID)
ALLOWED_HOSTS = [
    *ALLOWED_HOSTS,
    *AGENT_HOSTS,
]  # `arm.middleware.AgentHosts` shows them the cards, and no console
CLOCK_MAY_BE_SET = not PRODUCTION or env_bool("ARM_DEMO", False)
if PRODUCTION and CLOCK_MAY_BE_SET:
    raise ImproperlyConfigured(
        "ARM_DEMO=1 lets the clock be set; it is refused while production checks are on."
    )

TLS = env_bool("ARM_TLS", PRODUCTION)
SECURE_SSL_REDIRECT = TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env_bool("ARM_BEHIND_PROXY", False) else None
SECURE_REDIRECT_EXEMPT = [
    r"^health/$",
    r"^ready/$",
    r"^otlp/",
    r"^api/",
    r"^federation/v1/",
    r"^oauth/",
    r"^\.well-known/",
]  # a redirected POST is lost data
SECURE_HSTS_SECONDS = 31_536_000 if TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = TLS
SECURE_HSTS_PRELOAD = TLS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "arm_session", "arm_csrf"
CSRF_TRUSTED_ORIGINS = env_list("ARM_TRUSTED_ORIGINS", "")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
APPEND_SLASH = False  # exporters count a redirect as success and never follow it
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
DECIDE_MAX_BYTES = env_int("ARM_DECIDE_MAX_BYTES", 1024 * 1024)
OTLP_MAX_BYTES = env_int("ARM_OTLP_MAX_BYTES", 16 * 1024 * 1024)

# --- database ------------------------------------------------------------------------------------------------
# DATABASE_URL is the owner's (migrations). The application and the ingest role log in for themselves; their
# URLs follow from the owner's unless they are given. Without any URL the embedded PostgreSQL serves.
ROLE_PREFIX = env("ARM_ROLE_PREFIX", "arm")
DATA_DIR = os.environ.get("ARM_DATA", "")


_owner_url = os.environ.get("DATABASE_URL", "")
DATABASES = {
    "default": database(os.environ.get("ARM_APP_DATABASE_URL", _owner_url), "app"),
    "owner": database(_owner_url),
    "ingest": database(os.environ.get("ARM_INGEST_DATABASE_URL", _owner_url), "ingest"),
}
for _alias, _variable in (("default", "ARM_APP_DATABASE_URL"), ("ingest", "ARM_INGEST_DATABASE_URL")):
    if _variable in os.environ:
        DATABASES[_alias]["ROLE"] = ""  # a URL of its own says who logs in
REQUEST_LIMITS = {"lock_timeout": "5s", "statement_timeout": "30s"}  # then 503, and nothing is stored
DATABASE_ROUTERS = ["arm.pg.router.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- applications --------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.guardian",
    "django.contrib.admin",
    "arm",
    "evidence",
    "registry",
    "policy",
    "telemetry",
    "evaluation",
    "costs",
    "federation",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "guardian",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_q",
]
MIDDLEWARE = [
    "arm.middleware.RequestId",
    "arm.middleware.SecurityHeaders",
    "arm.middleware.AgentHosts",
    "arm.middleware.BothSlashForms",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "arm.middleware.TenantWall",
]
ROOT_URLCONF = env("ARM_ROOT_URLCONF", "arm.urls")
WSGI_APPLICATION = "arm.wsgi.application"
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
                "arm.panels.shell",
            ],
            "builtins": ["arm.templatetags.ui"],
        },
    },
    {
        "NAME": "rows",
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {"autoescape": True, "environment": "arm.templatetags.ui.rows.environment"},
    },
]
FORM_RENDERER = "arm.widgets.Renderer"
STATIC_URL = "static/"
STATIC_ROOT = env("ARM_STATIC_ROOT", str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "arm.assets.CompressedAssets" if PRODUCTION else "arm.assets.Assets"},
}

# --- people --------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "arm.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian makes no anonymous account
GUARDIAN_MONKEY_PATCH_USER = False
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
CSRF_FAILURE_VIEW = "arm.views.csrf_failure"
SIGN_IN_TRIES = 10
SIGN_IN_WINDOW_MINUTES = 15

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False  # English alone: nobody is asked for a language at every address and number
FORMAT_MODULE_PATH = "arm.formats"

# --- API -----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["arm.authentication.KeyAuthentication", "arm.authentication.Session"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "arm.api.again.Schema",
    "EXCEPTION_HANDLER": "arm.api.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "ARM API",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,  # requests say what may not be blank
    "COMPONENT_SPLIT_PATCH": False,  # a PATCH still needs its reason
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "policy.gateway.document.document",
        "arm.api.document_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "RiskEnum": "arm.rights.Risk",
        "VersionStateEnum": "registry.lifecycle.VersionState",
        "InstanceStateEnum": "registry.lifecycle.InstanceState",
        "ProviderKindEnum": "registry.models.places.Provider.Kind",
        "DependencyKindEnum": "registry.models.uses.Dependency.Kind",
        "TableKindEnum": "registry.models.exchange.TableImport.Kind",
        "RolloutStateEnum": "registry.engine.RolloutState",
        "RolloutStepStateEnum": "registry.engine.StepState",
        "RolloutStrategyEnum": "registry.engine.Strategy",
        "DrainEnum": "registry.engine.Drain",
        "RolloutReactionEnum": "registry.models.releases.Rollout.Reaction",
        "IncidentStateEnum": "telemetry.lifecycle.IncidentState",
        "IncidentKindEnum": "telemetry.lifecycle.IncidentKind",
        "PolicyStateEnum": "policy.lifecycle.PolicyState",
        "ApprovalKindEnum": "policy.lifecycle.ApprovalKind",
        "RestrictionStateEnum": "policy.lifecycle.RestrictionState",
        "StopModeEnum": "policy.models.Posture.MODES",
        "SeverityEnum": "telemetry.lifecycle.Severity",
        "CaseSeverityEnum": "evaluation.scoring.Severity",
        "ArtefactKindEnum": "evidence.lifecycle.ArtefactKind",
        "ArtefactFileKindEnum": "evidence.models.ArtefactFile.Kind",
        "RunStateEnum": "evaluation.lifecycle.RunState",
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
}

# --- background work -----------------------------------------------------------------------------------------
Q_CLUSTER = {
    "name": "arm",
    "orm": "default",
    "workers": env_int("ARM_WORKERS", 2),
    "timeout": 300,
    "retry": 360,
    "max_attempts": 5,
    "ack_failures": False,
    "poll": 0.2,
    "scheduler": False,  # `manage.py scheduler` is its own process
    "catch_up": False,
    "label": "Background work",
    "save_limit": 2000,
    "ALT_CLUSTERS": {"signer": {"workers": 1, "timeout": 300, "retry": 360}},
}
KEY_ENCRYPTION_KEY = env(
    "ARM_KEY_ENCRYPTION_KEY", ""
)  # of the signer's process only: it unseals signing keys

CONTROL_KEY = env("ARM_CONTROL_KEY", "") or SECRET_KEY  # seals the keys of control messages (ADR 33)
ISSUER = env("ARM_ISSUER", "").rstrip("/")  # how providers know this installation
# --- logs ----------------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "arm.logs.JsonFormatter"}, "text": {"()": "arm.logs.TextFormatter"}},
    "filters": {"mistakes": {"()": "arm.logs.Mistakes"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": env("ARM_LOG_FORMAT", "json")}},
    "root": {"handlers": ["console"], "level": env("ARM_LOG_LEVEL", "INFO")},
    "loggers": {
        "django.request": {"filters": ["mistakes"]},
        "django.server": {"handlers": ["console"], "propagate": False},
        "bagit": {"level": "WARNING"},
        "weasyprint": {"level": "WARNING"},
        "weasyprint.progress": {"level": "WARNING"},
        "fontTools": {"level": "WARNING"},
        "pyhanko": {"level": "WARNING"},
        "django-q": {"level": "WARNING"},  # a line per beat would drown the rest
    },
}
WORKER_SILENCE_SECONDS = 30
GATEWAY_URL = env("ARM_GATEWAY_URL", "")
PUBLIC_URL = env("ARM_PUBLIC_URL", "").rstrip("/")
GATEWAY_OWN_CORE = env_bool("ARM_GATEWAY_OWN_CORE", default=True)

TESTING = "pytest" in sys.modules
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = TESTING  # the tests serve static files as they lie
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
