"""Django's view of our apps, which have no models of its own to load at start-up."""

from django.apps import AppConfig


class ItemsConfig(AppConfig):
    """An app whose `models` are items of the table, loaded by the routes that use them."""

    def import_models(self) -> None:
        self.models = {}


class AccountsConfig(ItemsConfig):
    name = "accounts"
    default = True  # the other class here is no app
