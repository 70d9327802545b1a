"""The process behind `modelyard.gateway.chat_templates`; its tasks and answers are JSON objects."""

import json
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.sandbox
import msgspec

from modelyard.gateway.chat_templates import MAX_PROMPT_BYTES, Rendered, Task
from modelyard.gateway.side_loop import serve


def raise_exception(message: str) -> NoReturn:
    """What templates call to refuse a conversation."""
    raise jinja2.TemplateError(message)


def strftime_now(format: str) -> str:
    return datetime.now().strftime(format)  # noqa: DTZ005  # templates mean the local date, as in transformers


def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
    """As in transformers: Jinja's own would escape HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)


def environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """Jinja as `transformers` sets it up for chat templates, so that a template does the same here."""
    made = jinja2.sandbox.ImmutableSandboxedEnvironment(  # prompts are no HTML
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


def render(env: jinja2.Environment, task: Task) -> Rendered:
    try:
        prompt = env.from_string(task.template).render(**task.variables)
    except jinja2.TemplateError as error:
        return Rendered(error=f"cannot be applied: {error}")
    except MemoryError:
        return Rendered(error="needs more memory than a chat template may have")
    except Exception as error:  # a template is a program: it may raise anything
        return Rendered(error=f"cannot be applied: {type(error).__name__}: {error}")
    if len(prompt) > MAX_PROMPT_BYTES // 8:
        return Rendered(error="makes a prompt that is too long")
    return Rendered(prompt=prompt)


def main() -> None:
    env = environment()
    serve(lambda task: msgspec.json.encode(render(env, msgspec.json.decode(task, type=Task))))


if __name__ == "__main__":
    main()
