"""A whole server in the test's own process, and what tests do with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from modelyard.http.parts import Parts

KEY = "my_test_administrator-key"


@dataclass
class House:
    url: str
    http: httpx.AsyncClient
    parts: Parts

    async def chat(self, name: str, prompt: str = "Hi", **more: Any) -> httpx.Response:
        return await self.http.post(f"/v4/models/{name}/chat-completions", json={"prompt": prompt, **more})

    async def model(self, name: str, vendor: str, model_type: str = "CHAT_COMPLETION", **parameters: Any) -> Any:
        """A model of a vendor and its deployment, both called ``name``; gives the deployment."""
        body = {"name": name, "model_vendor": vendor, "model_type": model_type, "model_creation_parameters": parameters}
        model = await self.http.post("/v4/models", json=body)
        assert model.status_code == 200, model.text
        deployment = await self.http.post(f"/v4/models/{model.json()['id']}/deployments", json={"name": name})
        assert deployment.status_code == 200, deployment.text
        return deployment.json()

    async def credential(self, vendor: str, **more: Any) -> Any:
        answer = await self.http.post("/v4/vendor-credentials", json={"vendor": vendor, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()


Start = Callable[..., Awaitable[House]]
"""Starts a whole server with these vendors' settings."""
