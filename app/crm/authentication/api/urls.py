from django.urls import path

from crm.authentication.api.views import (
    EmailProofView,
    InvitationsView,
    InvitationView,
    MeView,
    MyEmailProofView,
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
    path("auth/email-proof/", EmailProofView.as_view(), name="auth-email-proof"),
    path("users/me/", MeView.as_view(), name="users-me"),
    path("users/me/email-proof/", MyEmailProofView.as_view(), name="users-me-email-proof"),
]
