"""Applying a chat template that a call brought along.

Such a template is a program of a stranger's (Jinja). It is rendered in Jinja's sandbox, in a process of its own
with little memory and time, so that neither an endless loop nor a huge string reaches the gateway. The
process is started at the first use, takes one template at a time, and is replaced when it hangs or dies.
"""

from typing import Any

import msgspec
from msgspec import Struct

from modelyard.errors import InvalidRequest
from modelyard.gateway.side_process import Died, SideProcess, TooLong

RENDER_SECONDS = 2.0
MAX_PROMPT_BYTES = 16 * 1024 * 1024


class Task(Struct):
    template: str
    variables: dict[str, Any]


class Rendered(Struct):
    prompt: str | None = None
    error: str | None = None


_encode = msgspec.json.Encoder().encode
_rendered = msgspec.json.Decoder(Rendered)


class TemplateProcess:
    def __init__(self) -> None:
        self._process = SideProcess("modelyard.gateway.template_process", RENDER_SECONDS, MAX_PROMPT_BYTES)

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        """The text that ``template`` makes of ``variables``; raises `InvalidRequest` where it cannot."""
        try:
            answer = await self._process.ask(_encode(Task(template, variables)))
        except TooLong as error:
            raise _refused(f"takes longer than {RENDER_SECONDS:g} s to apply") from error
        except Died as error:
            raise _refused("needs more memory than a chat template may have, or makes too long a prompt") from error
        rendered = _rendered.decode(answer)
        if rendered.prompt is None:
            raise _refused(rendered.error or "cannot be applied")
        return rendered.prompt

    async def aclose(self) -> None:
        await self._process.aclose()


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest.at("body", "chat_template", msg=why, type="chat_template", code="invalid_chat_template")
