"""The routes of accounts."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.views import activity, google, mfa, profile, recovery, registration, sessions
from accounts.views.users import Users

router = SimpleRouter(trailing_slash=False)
router.register("users", Users, "user")

urlpatterns = [
    *router.urls,
    path("auth/signup", registration.SignUpView.as_view()),
    path("auth/verify-email", registration.VerifyEmailView.as_view()),
    path("auth/verify-email/resend", registration.ResendView.as_view()),
    path("auth/login", sessions.LoginView.as_view()),
    path("auth/refresh", sessions.RefreshView.as_view()),
    path("auth/logout", sessions.LogoutView.as_view()),
    path("auth/logout-everywhere", sessions.LogoutEverywhereView.as_view()),
    path("auth/activity", activity.ActivityView.as_view()),
    path("auth/mfa/setup", mfa.SetupView.as_view()),
    path("auth/mfa/verify-setup", mfa.VerifySetupView.as_view()),
    path("auth/mfa/verify", mfa.VerifyView.as_view()),
    path("auth/mfa/disable", mfa.DisableView.as_view()),
    path("auth/mfa/backup-codes", mfa.BackupCodesView.as_view()),
    path("auth/password/reset-request", recovery.ResetRequestView.as_view()),
    path("auth/password/reset-confirm", recovery.ResetConfirmView.as_view()),
    path("auth/password/change", recovery.ChangePasswordView.as_view()),
    path("auth/email/change", recovery.ChangeEmailView.as_view()),
    path("auth/email/change/confirm", recovery.ConfirmEmailView.as_view()),
    path("auth/google/authorize", google.AuthorizeView.as_view()),
    path("auth/google/token", google.TokenView.as_view()),
    path("auth/google/link", google.LinkView.as_view()),
    path("profile", profile.ProfileView.as_view()),
    path("profile/export", profile.ExportView.as_view()),
]
