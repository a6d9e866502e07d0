"""Every URL of the platform."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

from kilinda import health, metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="review:queue"), name="home"),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("review/", include("review.urls")),
    path("admin/", admin.site.urls),
    path("api/", include("detection.api.urls")),
    path("v1/events/", include("detection.api.event_urls")),
    path("health", health.summary, name="health"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("metrics", metrics.export, name="metrics"),
]

handler400 = "detection.api.problems.bad_request"
handler404 = "detection.api.problems.not_found"
handler500 = "detection.api.problems.server_error"
