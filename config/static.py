"""Addresses of static files, below whatever stands before the path of the present request."""

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix

PATH = "static/"  # STATIC_URL, which Django keeps with the prefix it had when first read


class Storage(StaticFilesStorage):
    """Django's own keeps the first request's prefix, but one process may answer with and without.

    On amazonaws.com hosts the stage stands before every path; on a domain of our own it does not.
    """

    @property
    def base_url(self) -> str:
        return get_script_prefix() + PATH
