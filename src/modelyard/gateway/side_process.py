"""A process beside the gateway for work that must not hold it up: started at the first use, one task at a time,
replaced when it hangs or dies. Its memory is bounded by itself (`modelyard.gateway.side_loop`), its time from here."""

import asyncio
import os
import sys

START_SECONDS = 20.0


class TooLong(Exception):
    """The task took longer than it may."""


class Died(Exception):
    """The process ended over the task, which most likely wanted more memory than there is."""


class SideProcess:
    """Runs ``python -m module``. ``answer_bytes`` bounds what one read of its output may hold."""

    def __init__(self, module: str, seconds: float, answer_bytes: int) -> None:
        self._module = module
        self._seconds = seconds
        self._answer_bytes = answer_bytes
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def ask(self, task: bytes) -> bytes:
        """What the process makes of ``task``; raises `TooLong` or `Died`."""
        async with self._lock:
            try:
                process = await self._started()
                async with asyncio.timeout(self._seconds):
                    return await _exchange(process, task)
            except TimeoutError as error:
                await self._kill()
                raise TooLong from error
            except (asyncio.IncompleteReadError, OSError, ValueError) as error:
                await self._kill()
                raise Died from error
            except asyncio.CancelledError:
                # An answer nobody waited for must not be taken for the next one's.
                await asyncio.shield(self._kill())
                raise

    async def aclose(self) -> None:
        async with self._lock:
            await self._kill()

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=self._answer_bytes,
                # Threads of numeric libraries reserve memory by the gigabyte, and do nothing for small tasks.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
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
