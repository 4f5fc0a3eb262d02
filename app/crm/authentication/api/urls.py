from django.urls import path

from crm.authentication.api.views import (
    InvitationsView,
    InvitationView,
    MeView,
    RefreshView,
    RegisterView,
    SignInView,
)

urlpatterns = [
    path("auth/register/", RegisterView.as_view(), name="auth-register"),
    path("auth/token/", SignInView.as_view(), name="auth-token"),
    path("auth/token/refresh/", RefreshView.as_view(), name="auth-token-refresh"),
    path("auth/invitations/", InvitationsView.as_view(), name="auth-invitations"),
    path("auth/invitations/<int:pk>/", InvitationView.as_view(), name="auth-invitation"),
    path("users/me/", MeView.as_view(), name="users-me"),
]
