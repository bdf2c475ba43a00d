"""Addresses of static files, below whatever stands before the path of the present request."""

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage


class Storage(StaticFilesStorage):
    """Django's own keeps the first request's prefix, but one process may answer with and without.

    On amazonaws.com hosts the stage stands before every path; on a domain of our own it does not.
    """

    @property
    def base_url(self) -> str:
        return settings.STATIC_URL
