"""Create the development Secret of the CRM where it is missing; an existing one is never touched.

Runs in the cluster, from the CRM's own image, with Python's standard library alone. NAMESPACE and SECRET
say what to create. The account may create Secrets and nothing else, so "already exists" ends every later run.
"""

import http
import json
import os
import secrets
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount"))
PATIENCE = 60  # seconds for the API server to know the account's new Role


def values() -> dict[str, str]:
    return {
        "secret-key": secrets.token_urlsafe(48),
        "db-name": "crm",
        "db-user": "crm",
        "db-password": secrets.token_urlsafe(24),
        "redis-password": secrets.token_urlsafe(24),
        "email-user": "",
        "email-password": "",
    }


def create(url: str, name: str) -> int:
    """Return the status of the API server's answer: 201 created, 409 exists, all else is a refusal."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "crm"}},
        "stringData": values(),
    }
    request = urllib.request.Request(  # noqa: S310  (the address is the cluster's own)
        url,
        data=json.dumps(secret).encode(),
        method="POST",
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/json",
        },
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def main() -> int:
    api = os.environ.get("API", "https://kubernetes.default.svc")
    name = os.environ["SECRET"]
    url = f"{api}/api/v1/namespaces/{os.environ['NAMESPACE']}/secrets"
    last: object = "no answer"
    deadline = time.monotonic() + float(os.environ.get("PATIENCE", PATIENCE))
    while True:
        try:
            last = create(url, name)
        except OSError as unreachable:
            last = unreachable
        if last == http.HTTPStatus.CREATED:
            print(f"created Secret {name}")
            return 0
        if last == http.HTTPStatus.CONFLICT:
            print(f"Secret {name} exists; left as it is")
            return 0
        if time.monotonic() >= deadline:
            print(f"cannot create Secret {name} at {url}: {last}", file=sys.stderr)
            return 1
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
