"""Applying a chat template that a call brought along.

Such a template is a program of a stranger's (Jinja). It is rendered in Jinja's sandbox, in a process of its own
with little memory and time, so that neither an endless loop nor a huge string reaches the gateway. The
process is started at the first use, takes one template at a time, and is replaced when it hangs or dies.
"""

import asyncio
import sys
from typing import Any

import msgspec
from msgspec import Struct

from modelyard.errors import InvalidRequest

RENDER_SECONDS = 2.0
START_SECONDS = 20.0
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
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def render(self, template: str, variables: dict[str, Any]) -> str:
        """The text that ``template`` makes of ``variables``; raises `InvalidRequest` where it cannot."""
        async with self._lock:
            try:
                process = await self._started()
                async with asyncio.timeout(RENDER_SECONDS):
                    answer = await _exchange(process, _encode(Task(template, variables)))
            except TimeoutError as error:
                await self._kill()
                raise _refused(f"takes longer than {RENDER_SECONDS:g} s to apply") from error
            except (asyncio.IncompleteReadError, OSError, ValueError) as error:
                await self._kill()
                raise _refused("needs more memory than a chat template may have, or makes too long a prompt") from error
            except asyncio.CancelledError:
                # An answer nobody waited for must not be taken for the next one's.
                await asyncio.shield(self._kill())
                raise
        rendered = _rendered.decode(answer)
        if rendered.prompt is None:
            raise _refused(rendered.error or "cannot be applied")
        return rendered.prompt

    async def aclose(self) -> None:
        async with self._lock:
            await self._kill()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "modelyard.gateway.template_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=MAX_PROMPT_BYTES,
            )
            self._process = process
            assert process.stdout is not None
            async with asyncio.timeout(START_SECONDS):
                await process.stdout.readexactly(1)
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _exchange(process: asyncio.subprocess.Process, task: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(len(task).to_bytes(4, "big") + task)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(4), "big")
    return await process.stdout.readexactly(size)


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest.at("body", "chat_template", msg=why, type="chat_template", code="invalid_chat_template")
