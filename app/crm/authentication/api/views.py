from typing import cast

from rest_framework import generics, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from crm.authentication import services
from crm.authentication.api.serializers import (
    RefreshSerializer,
    RegistrationSerializer,
    SignInSerializer,
    UserSerializer,
)
from crm.authentication.models import User


class RegisterView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def post(self, request: Request) -> Response:
        serializer = RegistrationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = services.register_user(**serializer.validated_data)
        return Response(UserSerializer(user).data, status=status.HTTP_201_CREATED)


class SignInView(TokenObtainPairView):
    serializer_class = SignInSerializer


class RefreshView(TokenRefreshView):
    serializer_class = RefreshSerializer


class InvitationView(APIView):
    def post(self, request: Request) -> Response:
        invitation = services.invite(by=cast("User", request.user))
        return Response({"invitation": invitation}, status=status.HTTP_201_CREATED)


class MeView(generics.RetrieveUpdateAPIView[User]):
    serializer_class = UserSerializer
    http_method_names = ("get", "patch", "head", "options")

    def get_object(self) -> User:
        return cast("User", self.request.user)
