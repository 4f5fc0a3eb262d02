from typing import cast

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import generics, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from crm.authentication import services
from crm.authentication.api.limits import (
    EmailProofLimit,
    InvitationLimit,
    RefreshLimit,
    SignInLimit,
    SignUpLimit,
)
from crm.authentication.api.serializers import (
    AccessSerializer,
    EmailProofSerializer,
    GivenInvitationSerializer,
    InvitationSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    SignInSerializer,
    TokensSerializer,
    UserSerializer,
)
from crm.authentication.models import Invitation, User


class RegisterView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (SignUpLimit,)

    @extend_schema(request=RegistrationSerializer, responses={201: UserSerializer})
    def post(self, request: Request) -> Response:
        serializer = RegistrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.register_user(**serializer.validated_data)
        return Response(UserSerializer(user).data, status=status.HTTP_201_CREATED)


class EmailProofView(APIView):
    """Takes what stood in an e-mail to a user; whoever has read it need not be signed in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(request=EmailProofSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        serializer = EmailProofSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        services.prove_email(**serializer.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MyEmailProofView(APIView):
    throttle_classes = (EmailProofLimit,)

    @extend_schema(request=None, responses={202: None})
    def post(self, request: Request) -> Response:
        """Another e-mail, for whoever has lost the first one."""
        services.ask_for_email_proof(cast("User", request.user))
        return Response(status=status.HTTP_202_ACCEPTED)


@extend_schema_view(post=extend_schema(responses=TokensSerializer))
class SignInView(TokenObtainPairView):
    serializer_class = SignInSerializer
    throttle_classes = (SignInLimit,)


@extend_schema_view(post=extend_schema(responses=AccessSerializer))
class RefreshView(TokenRefreshView):
    serializer_class = RefreshSerializer
    throttle_classes = (RefreshLimit,)


class TeamsInvitations(generics.GenericAPIView[Invitation]):
    """Those that are open, of the user's team."""

    serializer_class = InvitationSerializer

    def get_queryset(self) -> QuerySet[Invitation]:
        user = cast("User", self.request.user)
        # Their keys and not a join: PostgreSQL knows how many each of them has sent, and would else read those of all
        # teams from the newest on until it has found some of this one's.
        team = list(User.objects.filter(team_id=user.team_id).values_list("pk", flat=True))
        return Invitation.objects.filter(by__in=team, ended_at=None)


class InvitationsView(generics.ListAPIView[Invitation], TeamsInvitations):
    throttle_classes = (InvitationLimit,)

    @extend_schema(responses={201: GivenInvitationSerializer})
    def post(self, request: Request) -> Response:
        """`invitation` is what the invited person needs; nobody is shown it again."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        invitation, given = services.invite(by=cast("User", request.user), **serializer.validated_data)
        body = self.get_serializer(invitation).data | {"invitation": given}
        return Response(body, status=status.HTTP_201_CREATED)


class InvitationView(generics.DestroyAPIView[Invitation], TeamsInvitations):
    def perform_destroy(self, instance: Invitation) -> None:
        user = cast("User", self.request.user)
        if not (instance.by_id == user.pk or user.is_staff):
            raise PermissionDenied("Only who invited may withdraw an invitation.")
        services.withdraw(instance)


class MeView(generics.RetrieveUpdateAPIView[User]):
    serializer_class = UserSerializer
    http_method_names = ("get", "patch", "head", "options")

    def get_object(self) -> User:
        return cast("User", self.request.user)
