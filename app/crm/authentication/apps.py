from django.apps import AppConfig


class AuthenticationConfig(AppConfig):
    name = "crm.authentication"
    label = "authentication"
