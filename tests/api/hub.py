"""A small OpenID provider that behaves as the Hub does: it checks the client, the code, and PKCE's verifier."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import FastAPI, Form, Header, HTTPException, Request
from fastapi.responses import RedirectResponse

CLIENT_ID, CLIENT_SECRET = "the-studio", "password-of-the-application"


@dataclass
class Hub:
    """Who is signed in there, and everything secret that it gave away."""

    sub: str = "1234"
    username: str = "alice"
    organizations: tuple[str, ...] = ()
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery(request: Request) -> dict[str, str]:
            base = str(request.base_url).rstrip("/")
            paths = {"authorization": "oauth/authorize", "token": "oauth/token", "userinfo": "oauth/userinfo"}
            return {"issuer": base, **{f"{name}_endpoint": f"{base}/{path}" for name, path in paths.items()}}

        @app.get("/oauth/authorize")
        def authorize(request: Request) -> RedirectResponse:
            asked = dict(request.query_params)
            if asked["client_id"] != CLIENT_ID or asked["code_challenge_method"] != "S256":
                raise HTTPException(400)
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

        @app.post("/oauth/token")
        def token(
            authorization: Annotated[str, Header()],
            code: Annotated[str, Form()],
            redirect_uri: Annotated[str, Form()],
            code_verifier: Annotated[str, Form()],
        ) -> dict[str, Any]:
            expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            asked = self.codes.pop(code, None)
            digest = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
            is_right = asked and asked["code_challenge"] == digest and asked["redirect_uri"] == redirect_uri
            if authorization != f"Basic {expected}" or not is_right:
                raise HTTPException(400, "invalid_grant")
            made = f"hf_oauth_{secrets.token_urlsafe(24)}"
            self.tokens.add(made)
            return {"access_token": made, "token_type": "bearer", "id_token": f"id-{made}"}

        @app.get("/oauth/userinfo")
        def userinfo(authorization: Annotated[str, Header()]) -> dict[str, Any]:
            if authorization.removeprefix("Bearer ") not in self.tokens:
                raise HTTPException(401)
            orgs = [
                {"sub": f"org-{name}", "name": name.title(), "preferred_username": name, "isEnterprise": False}
                for name in self.organizations
            ]
            return {"sub": self.sub, "preferred_username": self.username, "name": self.username.title(), "orgs": orgs}

        return app
