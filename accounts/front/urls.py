"""The routes of `/` and, in local runs alone, `/mails`."""

from django.conf import settings
from django.urls import path

from accounts.front.views import FrontPage

urlpatterns = [path("", FrontPage.as_view())]

if settings.STAGE == "local":  # the package for Lambda leaves out the module and what it imports
    from accounts.front import mails

    urlpatterns += [
        path("mails", mails.show_list),
        path("mails/<str:mail_id>", mails.show_mail),
        path("mails/<str:mail_id>/html", mails.show_html),
    ]
