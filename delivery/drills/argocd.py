"""The real Argo CD command line, signed in as the administrator of the local cluster."""

from __future__ import annotations

import httpx

from delivery.drills import local
from delivery.drills.errors import NotReady


def sync(application: str) -> str:
    """`argocd app sync`; what it prints. Raises NotReady when it fails."""
    return local.output(
        ["argocd", "app", "sync", application, "--server", local.ARGOCD, "--plaintext", "--timeout", "120"],
        env={"ARGOCD_AUTH_TOKEN": _token()},
        seconds=150,
    )


def _token() -> str:
    credentials = {"username": "admin", "password": local.argocd_password()}
    try:
        answer = httpx.post(f"http://{local.ARGOCD}/api/v1/session", json=credentials, timeout=20)
    except httpx.HTTPError as error:
        raise NotReady(f"Argo CD does not answer at {local.ARGOCD}: {error!r}") from error
    if not answer.is_success:
        raise NotReady(f"Argo CD refuses the sign-in of admin: {answer.status_code} {answer.text[:200]}")
    return str(answer.json()["token"])
