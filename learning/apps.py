from accounts import apps


class LearningConfig(apps.ItemsConfig):
    name = "learning"
