"""Addresses of static files, with the prefix of the present request's path."""

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix

PATH = "static/"  # STATIC_URL, which Django keeps with the prefix it had when first read


class Storage(StaticFilesStorage):
    """Builds each address with the prefix of the present request.

    On amazonaws.com hosts the stage stands before every path; on a domain of our own it does not.
    One process may answer both, but Django's own storage keeps the prefix of the first request.
    """

    @property
    def base_url(self) -> str:
        return get_script_prefix() + PATH
