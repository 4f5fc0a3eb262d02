from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.validators import UniqueValidator
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer
from rest_framework_simplejwt.tokens import RefreshToken, Token

from crm.api.serializers import BodySerializer, ChangeSerializer
from crm.authentication.api.tokens import Authentication, refresh_token_for
from crm.authentication.models import Invitation, Team, User
from crm.metrics.business import SIGN_INS
from crm.notifications.addresses import validate_deliverable


class TeamSerializer(serializers.ModelSerializer[Team]):
    class Meta:
        model = Team
        fields = ("id", "name")


class UserSerializer(ChangeSerializer[User]):
    team = TeamSerializer(read_only=True)

    class Meta:
        model = User
        fields = (
            "id",
            "username",
            "email",
            "email_proven_at",
            "first_name",
            "last_name",
            "team",
            "date_joined",
        )
        read_only_fields = ("id", "username", "email", "email_proven_at", "date_joined")


class UsernameField(serializers.CharField):
    """A name in the form in which it is stored, and so that is what is checked."""

    def to_internal_value(self, data: Any) -> str:
        return User.normalize_username(super().to_internal_value(data))


class RegistrationSerializer(BodySerializer, serializers.ModelSerializer[User]):
    username = UsernameField(
        max_length=150,
        validators=[
            UnicodeUsernameValidator(),
            UniqueValidator(
                User.objects.all(), message="A user with that username already exists.", lookup="iexact"
            ),
        ],
    )
    password = serializers.CharField(write_only=True, max_length=128, trim_whitespace=False)
    invitation = serializers.CharField(write_only=True, required=False, default="", allow_blank=True)

    class Meta:
        model = User
        fields = ("username", "email", "password", "invitation")

    def validate_email(self, email: str) -> str:
        validate_deliverable(email)
        if User.objects.filter(email__iexact=email).exists():
            raise serializers.ValidationError(
                "A user with this e-mail address exists already.", code="unique"
            )
        return email

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        candidate = User(username=attrs["username"], email=attrs["email"])
        try:
            validate_password(attrs["password"], candidate)
        except DjangoValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return attrs


class InvitationSerializer(BodySerializer, serializers.ModelSerializer[Invitation]):
    class Meta:
        model = Invitation
        fields = ("id", "email", "by", "created_at")
        read_only_fields = ("by",)

    def validate_email(self, email: str) -> str:
        validate_deliverable(email)
        return email


class EmailProofSerializer(BodySerializer):
    proof = serializers.CharField(write_only=True, max_length=1000)


class GivenInvitationSerializer(InvitationSerializer):
    invitation = serializers.CharField(read_only=True)

    class Meta(InvitationSerializer.Meta):
        fields = (*InvitationSerializer.Meta.fields, "invitation")  # type: ignore[assignment]


class AccessSerializer(serializers.Serializer[None]):
    """What a refresh token is exchanged for."""

    access = serializers.CharField(read_only=True)


class TokensSerializer(AccessSerializer):
    """What a sign-in answers."""

    refresh = serializers.CharField(read_only=True)


class SignInSerializer(TokenObtainPairSerializer):
    @classmethod
    def get_token(cls, user: Any) -> Token:
        return refresh_token_for(user)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        attrs["username"] = User.normalize_username(attrs["username"])
        tokens = super().validate(attrs)
        transaction.on_commit(SIGN_INS.inc, robust=True)
        return tokens


class RefreshSerializer(TokenRefreshSerializer):
    """simplejwt's own lets the refresh of a deleted user end in a 500, and one after a change of the password pass."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        try:
            tokens = super().validate(attrs)
            Authentication().get_user(RefreshToken(attrs["refresh"]))
        except User.DoesNotExist as error:
            raise AuthenticationFailed(
                "The user of this token does not exist.", "no_active_account"
            ) from error
        return tokens
