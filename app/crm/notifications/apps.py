from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "crm.notifications"
