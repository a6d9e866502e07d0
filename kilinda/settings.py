"""All settings. What differs between machines comes from the environment (see .env.example)."""

from __future__ import annotations

from datetime import timedelta

from kilinda import env

BASE_DIR = env.BASE_DIR
KILINDA_HOME = env.home()

SECRET_KEY = env.secret_key()
DEBUG = False
ALLOWED_HOSTS = env.names("KILINDA_HOSTS", ("127.0.0.1", "localhost", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.names("KILINDA_ORIGINS")

# --- Apps and middleware ---------------------------------------------------------------------

INSTALLED_APPS = [
    "daphne",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_htmx",
    "django_prometheus",
    "kilinda.partners",
    "kilinda.audit",
    "kilinda.backoffice",
    "kilinda.demo",
    "detection",
    "review",
    "scans",
]

MIDDLEWARE = [
    "kilinda.logs.RequestLogMiddleware",
    "kilinda.metrics.RequestMetricsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "kilinda.urls"
ASGI_APPLICATION = "kilinda.asgi.application"
WSGI_APPLICATION = "kilinda.wsgi.application"

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
            ],
        },
    }
]

# --- Servers -----------------------------------------------------------------------------------

DATABASES = {"default": env.database(env.service_url("DATABASE_URL", "database_url"))}
DATABASES["default"]["CONN_MAX_AGE"] = env.integer("KILINDA_DB_CONN_MAX_AGE", 60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["OPTIONS"].setdefault("connect_timeout", 5)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.service_url("REDIS_URL", "redis_url")

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # Without socket_timeout None, redis-py 8 closes an idle subscription after five seconds.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}], "prefix": "kilinda"},
    }
}

# --- Celery: messages are doorbells, acknowledged early; PostgreSQL holds the work ---------------

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 600  # a child loads and tries its models before it reports
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "retry_on_timeout": True,
    "health_check_interval": 10,
}
CELERY_TASK_ROUTES = {
    "detection.tasks.drain_screen": {"queue": "screen"},
    "detection.tasks.drain_media": {"queue": "media"},
    "detection.tasks.explain_screen": {"queue": "screen"},
    "detection.tasks.explain_media": {"queue": "media"},
}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 2
CELERY_BEAT_SCHEDULE = {
    "sweep the job queue": {"task": "detection.tasks.sweep", "schedule": timedelta(seconds=5)},
    "seal the audit log": {"task": "detection.tasks.seal_audit", "schedule": timedelta(seconds=10)},
    "tidy the review queue": {"task": "review.tasks.tidy", "schedule": timedelta(seconds=5)},
}

# --- Intake and queue --------------------------------------------------------------------------

KILINDA_MODELS = env.text("KILINDA_MODELS", str(BASE_DIR / "inference_worker" / "models"))
KILINDA_C2PA_TRUST = env.certificates("KILINDA_C2PA_TRUST")
KILINDA_MAX_MODEL_BYTES = env.integer("KILINDA_MAX_MODEL_BYTES", 5_000_000_000)
KILINDA_MAX_TEXT_BYTES = env.integer("KILINDA_MAX_TEXT_BYTES", 1_000_000)
KILINDA_MAX_UPLOAD_BYTES = env.integer("KILINDA_MAX_UPLOAD_BYTES", 100_000_000)
KILINDA_MAX_BATCH = 1_000
KILINDA_FETCH_ALLOW = env.names("KILINDA_FETCH_ALLOW")
KILINDA_LEASE_SECONDS = env.integer("KILINDA_LEASE_SECONDS", 60)
KILINDA_CLAIM_SIZE = env.integer("KILINDA_CLAIM_SIZE", 512)
KILINDA_MAX_ATTEMPTS = 5
KILINDA_MAX_CRASHES = 4

# --- Review --------------------------------------------------------------------------------------

KILINDA_CLAIM_MINUTES = env.integer("KILINDA_CLAIM_MINUTES", 15)
KILINDA_UNDO_SECONDS = env.integer("KILINDA_UNDO_SECONDS", 60)

# --- Files ---------------------------------------------------------------------------------------

KILINDA_S3_BUCKET = env.text("KILINDA_S3_BUCKET", "")
MEDIA_ROOT = KILINDA_HOME / "files"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": (
        {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {"bucket_name": KILINDA_S3_BUCKET}}
        if KILINDA_S3_BUCKET
        else {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    ),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

# --- People --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "partners.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "kilinda.partners.roles.AdministratorBackend",
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "review:queue"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["kilinda.formats"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- Back office ---------------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "Kilinda-Sauti",
    "SITE_HEADER": "Kilinda-Sauti",
    "SITE_SUBHEADER": "Back office",
    "SITE_SYMBOL": "graphic_eq",
    "SITE_URL": "/review/",
    "SHOW_HISTORY": False,
    "DASHBOARD_CALLBACK": "kilinda.backoffice.overview.overview",
    "SHOW_VIEW_ON_SITE": True,
    # A deep teal, the reviewer pages' accent.
    "COLORS": {
        "primary": {
            "50": "#f0fdfa",
            "100": "#ccfbf1",
            "200": "#99f6e4",
            "300": "#5eead4",
            "400": "#2dd4bf",
            "500": "#14b8a6",
            "600": "#0f766e",
            "700": "#115e59",
            "800": "#134e4a",
            "900": "#042f2e",
            "950": "#021c1b",
        }
    },
    "SIDEBAR": {"navigation": "kilinda.backoffice.navigation.sidebar", "show_search": False},
}

# --- Transport security --------------------------------------------------------------------------

HTTPS = env.flag("KILINDA_HTTPS", False)
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"

# --- API -----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["detection.api.authentication.APIKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["detection.api.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "detection.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kilinda-Sauti",
    "DESCRIPTION": "Submit content, read scores, evidence and verdicts.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "StatusEnum": ("queued", "running", "done", "failed"),
        "AcceptedEnum": ("queued",),
        "BatchOutcomeEnum": ("queued", "refused"),
    },
}

# --- Logs ----------------------------------------------------------------------------------------

LOG_FORMAT = env.text("KILINDA_LOG_FORMAT", "json")
LOGGING_CONFIG = "kilinda.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": env.text("KILINDA_LOG_LEVEL", "INFO")}
PROMETHEUS_EXPORT_MIGRATIONS = False
