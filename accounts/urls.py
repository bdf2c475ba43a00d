"""The routes of accounts."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api.activity import ActivityView
from accounts.api.email import ChangeEmailView, ConfirmEmailView
from accounts.api.google import AuthorizeView, LinkView, TokenView
from accounts.api.jobs import FailedJobViewSet
from accounts.api.mfa import BackupCodesView, DisableView, SetupView, VerifySetupView, VerifyView
from accounts.api.password import ChangePasswordView, ResetConfirmView, ResetRequestView
from accounts.api.profile import ConsentsView, ExportView, ProfileView
from accounts.api.registration import ResendView, SignUpView, VerifyEmailView
from accounts.api.sessions import (
    FirstPasswordView,
    LoginByCodeView,
    LoginSessionViewSet,
    LoginView,
    LogoutEverywhereView,
    LogoutView,
    MailedCodeView,
    RefreshView,
)
from accounts.api.users import UserViewSet

router = SimpleRouter(trailing_slash=False)
router.register("jobs", FailedJobViewSet, "job")
router.register("users", UserViewSet, "user")
router.register("auth/sessions", LoginSessionViewSet, "login-session")

urlpatterns = [
    path("profile", ProfileView.as_view()),  # routes are tried in order, and this is asked for most
    *router.urls,
    path("auth/signup", SignUpView.as_view()),
    path("auth/verify-email", VerifyEmailView.as_view()),
    path("auth/verify-email/resend", ResendView.as_view()),
    path("auth/login", LoginView.as_view()),
    path("auth/login/new-password", FirstPasswordView.as_view()),
    path("auth/login/code", MailedCodeView.as_view()),
    path("auth/login/code/verify", LoginByCodeView.as_view()),
    path("auth/refresh", RefreshView.as_view()),
    path("auth/logout", LogoutView.as_view()),
    path("auth/logout-everywhere", LogoutEverywhereView.as_view()),
    path("auth/activity", ActivityView.as_view()),
    path("auth/mfa/setup", SetupView.as_view()),
    path("auth/mfa/verify-setup", VerifySetupView.as_view()),
    path("auth/mfa/verify", VerifyView.as_view()),
    path("auth/mfa/disable", DisableView.as_view()),
    path("auth/mfa/backup-codes", BackupCodesView.as_view()),
    path("auth/password/reset-request", ResetRequestView.as_view()),
    path("auth/password/reset-confirm", ResetConfirmView.as_view()),
    path("auth/password/change", ChangePasswordView.as_view()),
    path("auth/email/change", ChangeEmailView.as_view()),
    path("auth/email/change/confirm", ConfirmEmailView.as_view()),
    path("auth/google/authorize", AuthorizeView.as_view()),
    path("auth/google/token", TokenView.as_view()),
    path("auth/google/link", LinkView.as_view()),
    path("profile/consents", ConsentsView.as_view()),
    path("profile/export", ExportView.as_view()),
]
