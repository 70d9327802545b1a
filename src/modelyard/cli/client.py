"""How commands talk to a server: over HTTP, like everybody else."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import httpx
import typer

from modelyard.cli.settings import loaded
from modelyard.errors import ModelyardError
from modelyard.settings import Settings

KEY_VARIABLE = "MODELYARD_API_KEY"
URL_VARIABLE = "MODELYARD_URL"
_LIMIT = 1000

Url = Annotated[
    str | None,
    typer.Option(help="The server's address; otherwise the host and port that the settings say.", envvar=URL_VARIABLE),
]
DataDir = Annotated[Path | None, typer.Option(help="The server's data directory, where its key is kept.")]


class ServerError(ModelyardError):
    """What a server answered, or that none did."""

    code = "server_error"


class Server:
    """A server to ask, as a context. Errors are `ServerError`, in the server's own words."""

    def __init__(self, url: str | None, data_dir: Path | None) -> None:
        settings = loaded(data_dir=data_dir)
        self.url = (url or _url(settings)).rstrip("/")
        self._client = httpx.Client(
            base_url=self.url,
            headers={"x-api-key": _key(settings)},
            timeout=httpx.Timeout(60, connect=5),
            # A proxy has no business between a command and a server on the same machine.
            trust_env=httpx.URL(self.url).host not in ("127.0.0.1", "localhost", "::1"),
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: str | int) -> Any:
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, json=body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def items(self, path: str) -> Iterator[Any]:
        """Every item of a list, page by page."""
        page = 1
        while items := self.get(path, page=page, limit=_LIMIT)["items"]:
            yield from items
            if len(items) < _LIMIT:
                return
            page += 1

    def _call(self, method: str, path: str, **more: Any) -> Any:
        try:
            response = self._client.request(method, path, **more)
        except httpx.HTTPError as error:
            raise ServerError(
                f"No server answers at {self.url} ({error}).",
                hint=f"Start one with 'modelyard serve', or say where it is with --url or {URL_VARIABLE}.",
            ) from error
        if response.is_success:
            return response.json()
        raise ServerError(_words(response))


def _url(settings: Settings) -> str:
    # An address to listen on everywhere is none to call.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _key(settings: Settings) -> str:
    if key := os.environ.get(KEY_VARIABLE, "").strip():
        return key
    path = settings.data_dir / "admin.key"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ServerError(
            f"There is no API key: {KEY_VARIABLE} is not set, and {path} cannot be read.",
            hint=f"Set {KEY_VARIABLE}, or run this as the user who runs the server, with the same data directory.",
        ) from error


def _words(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return f"The server answered {response.status_code}."
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in detail)
    return str(detail)
