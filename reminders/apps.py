from config import item_apps


class RemindersConfig(item_apps.ItemsConfig):
    name = "reminders"
