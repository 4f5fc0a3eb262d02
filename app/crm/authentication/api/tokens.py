"""Tokens end with the password with which they were got."""

from typing import Any

from django.utils.crypto import constant_time_compare
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import RefreshToken, Token

from crm.authentication.models import User

PASSWORD = "password"  # noqa: S105  # a claim: Django's hash for sessions, which changes with the password


def refresh_token_for(user: User) -> RefreshToken:
    """Its access tokens have the claim as well."""
    token = RefreshToken.for_user(user)
    token[PASSWORD] = user.get_session_auth_hash()
    return token


class Authentication(JWTAuthentication):
    def get_raw_token(self, header: bytes) -> bytes | None:
        scheme, *rest = header.split(b" ", 1)  # "bearer" in any case, RFC 9110
        return super().get_raw_token(b" ".join((scheme.title(), *rest)))

    def get_user(self, validated_token: Token) -> Any:
        """Raises AuthenticationFailed if the user is gone or locked out, or the password was changed since."""
        user = super().get_user(validated_token)
        # Without the claim it is from the version before, and ends within the day.
        given = validated_token.get(PASSWORD)
        if given is not None and not constant_time_compare(given, user.get_session_auth_hash()):
            raise AuthenticationFailed("The password was changed; sign in again.", "password_changed")
        return user
