from config import item_apps


class LearningConfig(item_apps.ItemsConfig):
    name = "learning"
