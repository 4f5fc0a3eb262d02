"""Which of a user's endpoints are limited, and whose account a request is about."""

from typing import Any

from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import RefreshToken

from crm.api.limits import RateLimit, text_in
from crm.authentication.models import User

LONGEST_NAME = 150


class SignUpLimit(RateLimit):
    scope = "sign-up"


class SignInLimit(RateLimit):
    """Counts a name whether there is such a user or not, so that nobody learns it from the limit."""

    scope = "sign-in"

    def account(self, request: Request) -> str:
        return User.normalize_username(text_in(request, "username")[:LONGEST_NAME]).casefold()


class RefreshLimit(RateLimit):
    scope = "refresh"

    def account(self, request: Request) -> str:
        token: Any = text_in(request, "refresh")
        try:
            return str(RefreshToken(token).get("user_id", ""))
        except TokenError:
            return ""


class InvitationLimit(RateLimit):
    scope = "invitations"


class EmailProofLimit(RateLimit):
    scope = "email-proof"
