from config import item_apps


class AccountsConfig(item_apps.ItemsConfig):
    name = "accounts"
