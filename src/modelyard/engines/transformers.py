"""Chat and completion with any causal language model of the Hugging Face library (extra ``[torch]``).

For models that llama.cpp does not know. Weights are safetensors only, and no code of a repository is run. One
text at a time: where several are wanted at once, vLLM or llama.cpp serve better.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar

from modelyard.domain.inference import ChatRequest, Chunk, CompletionRequest, Part, TokenLogprob, TopLogprob
from modelyard.engines.base import Weights
from modelyard.engines.parameters import TransformersParameters
from modelyard.engines.refusals import refuse_tools
from modelyard.errors import EngineError, InvalidRequest


class Transformers:
    parameters_type: ClassVar = TransformersParameters
    concurrency: ClassVar = 1

    def __init__(self, parameters: TransformersParameters, weights: Weights) -> None:
        self._parameters = parameters
        self._weights = weights
        self._model: Any = None
        self._tokenizer: Any = None
        self._window = 0

    def load(self) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise EngineError(
                "The transformers engine needs torch and transformers.",
                hint="Install them with: pip install 'modelyard[torch]'.",
            ) from error
        path = _directory(self._weights.resolve(self._parameters.weights))
        device = self._parameters.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        options = {"trust_remote_code": False, "local_files_only": True}
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(path, **options)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                path, use_safetensors=True, dtype=self._parameters.dtype, **options
            )
            self._model.to(device)
        except Exception as error:  # the library raises whatever the model's own code raised
            raise EngineError(f"transformers could not load {path.name}: {error}") from error
        self._model.eval()
        if self._parameters.chat_template:
            self._tokenizer.chat_template = self._parameters.chat_template
        limit = getattr(self._model.config, "max_position_embeddings", None) or 2048
        self._window = min(limit, self._parameters.context_length or limit)

    def close(self) -> None:
        self._model = None

    def generate(self, request: ChatRequest | CompletionRequest) -> Iterator[Chunk]:
        refuse_tools(request, "transformers")
        ids = self._prompt(request)
        room = self._window - len(ids)
        if room < 1:
            where = "messages" if isinstance(request, ChatRequest) else "prompts"
            msg = f"{len(ids)} tokens do not fit into the model's window of {self._window}"
            raise InvalidRequest.at("body", where, msg=msg, code="context_overflow")
        wanted = min(room, request.max_tokens or room)
        pieces = _Generation(self._model, self._tokenizer, request, ids, wanted)
        yield from pieces.chunks()

    def _prompt(self, request: ChatRequest | CompletionRequest) -> list[int]:
        if isinstance(request, CompletionRequest):
            return list(self._tokenizer(request.prompts[0])["input_ids"])
        messages = [{"role": message.role, "content": _text(message.content)} for message in request.messages]
        template = request.chat_template or self._tokenizer.chat_template
        if template is None:
            raise InvalidRequest.at("body", "messages", msg="this model has no chat template; give one, or complete")
        try:
            text = self._tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
                **_template_variables(request),
            )
        except Exception as error:  # Jinja's errors, and those that templates raise on purpose
            raise InvalidRequest.at("body", "chat_template", msg=f"the chat template failed: {error}") from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


class _Generation:
    """One text being made: the library's ``generate`` runs on a thread of its own and hands out token by token."""

    def __init__(self, model: Any, tokenizer: Any, request: Any, ids: list[int], max_tokens: int) -> None:
        self._model, self._tokenizer, self._request = model, tokenizer, request
        self._prompt, self._max_tokens = ids, max_tokens
        self._made: list[int] = []

    def chunks(self) -> Iterator[Chunk]:
        stops: Sequence[str] = self._request.stop_sequences or ()
        held = max((len(stop) for stop in stops), default=1) - 1  # what may be the beginning of a stop sequence
        ends = _as_set(self._model.generation_config.eos_token_id)
        text, sent, reason, count = "", 0, "length", 0
        logprobs: list[TokenLogprob] = []
        for token, logprob in self._tokens():
            count += 1
            if token in ends:
                reason = "stop"
                break
            self._made.append(token)
            logprobs += [logprob] if logprob is not None else []
            text = self._tokenizer.decode(self._made, skip_special_tokens=True)
            cut = min((at for stop in stops if (at := text.find(stop)) >= 0), default=None)
            if cut is not None:
                text, reason = text[:cut], "stop"
                break
            if len(text) - held > sent and not text.endswith("\N{REPLACEMENT CHARACTER}"):
                yield Chunk(text[sent : len(text) - held], logprobs=logprobs or None)
                sent, logprobs = len(text) - held, []
        if text[sent:] or logprobs:
            yield Chunk(text[sent:], logprobs=logprobs or None)
        yield Chunk(finish_reason=reason, prompt_tokens=len(self._prompt), response_tokens=count)

    def _tokens(self) -> Iterator[tuple[int, TokenLogprob | None]]:
        """Tokens as they are made; closing the iterator stops the model after the one it works on."""
        watch = _Watch(self._tokenizer, self._request)
        thread = threading.Thread(target=self._run, args=(watch,), name="generate", daemon=True)
        thread.start()
        try:
            while (item := watch.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise EngineError(f"The model failed: {item}") from item
                yield item
        finally:
            watch.stopped = True
            thread.join()

    def _run(self, watch: "_Watch") -> None:
        import torch

        try:
            ids = torch.tensor([self._prompt], device=self._model.device)
            if isinstance(self._request, ChatRequest) and self._request.seed is not None:
                torch.manual_seed(self._request.seed)  # one text at a time: nobody else draws from it
            with torch.inference_mode():
                self._model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=self._max_tokens,
                    streamer=watch,
                    logits_processor=[watch.on_scores],
                    stopping_criteria=[watch.is_stopped],
                    pad_token_id=self._tokenizer.pad_token_id or 0,
                    **_sampling(self._request),
                )
        except Exception as error:  # handed to the thread that waits for tokens
            watch.queue.put(error)
        watch.queue.put(None)


class _Watch:
    """What ``generate`` calls back: with scores before each token, with each token, and to ask whether to stop."""

    def __init__(self, tokenizer: Any, request: Any) -> None:
        self.queue: SimpleQueue[tuple[int, TokenLogprob | None] | Exception | None] = SimpleQueue()
        self.stopped = False
        self._tokenizer, self._request = tokenizer, request
        self._logprobs: Any = None
        self._prompt_seen = False
        self._prompt_length = 0

    def on_scores(self, ids: Any, scores: Any) -> Any:
        """Keep log-probabilities, then take OpenAI's penalties off: each token's count so far times the
        frequency penalty, and the presence penalty once."""
        import torch

        if self._prompt_length == 0:
            self._prompt_length = ids.shape[1]
        if self._request.logprobs:
            self._logprobs = torch.log_softmax(scores[0].float(), dim=-1)
        frequency = self._request.frequency_penalty or 0
        presence = self._request.presence_penalty or 0
        if not frequency and not presence:
            return scores
        counts = torch.bincount(ids[0, self._prompt_length :], minlength=scores.shape[1])
        return scores - counts * frequency - (counts > 0) * presence

    def is_stopped(self, ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        return torch.full((ids.shape[0],), self.stopped, device=ids.device, dtype=torch.bool)

    def put(self, value: Any) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True  # the library streams the prompt first
            return
        token = int(value.reshape(-1)[-1])
        self.queue.put((token, self._logprob(token) if self._logprobs is not None else None))

    def end(self) -> None:
        pass

    def _logprob(self, token: int) -> TokenLogprob:
        best = self._logprobs.topk(self._request.top_logprobs) if self._request.top_logprobs else None
        others = zip(best.indices.tolist(), best.values.tolist(), strict=True) if best is not None else ()
        return TokenLogprob(
            self._tokenizer.decode([token]),
            float(self._logprobs[token]),
            [TopLogprob(self._tokenizer.decode([other]), value) for other, value in others],
        )


def _template_variables(request: ChatRequest) -> dict[str, Any]:
    effort = {"reasoning_effort": request.reasoning_effort} if request.reasoning_effort else {}
    reserved = ("messages", "tools", "chat_template", "add_generation_prompt", "tokenize")
    given = {name: value for name, value in (request.chat_template_kwargs or {}).items() if name not in reserved}
    return effort | given


def _sampling(request: Any) -> dict[str, Any]:
    """The request's sampling fields as ``generate`` calls them; what is not said stays the model's own default."""
    if request.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    given = {"temperature": request.temperature, "top_p": request.top_p}
    options = {name: value for name, value in given.items() if value is not None}
    if request.top_k is not None:
        options["top_k"] = int(request.top_k)
    return {"do_sample": True, **options}


def _as_set(value: int | list[int] | None) -> frozenset[int]:
    return frozenset([value] if isinstance(value, int) else value or ())


def _text(content: str | Sequence[Part]) -> str:
    if isinstance(content, str):
        return content
    if any(part.text is None for part in content):
        raise InvalidRequest.at("body", "messages", msg="this model reads text only, not images", code="no_images")
    return "\n".join(part.text or "" for part in content)


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise EngineError(
            f"{path.name} is one file; the transformers engine needs the whole directory.",
            hint="Name the repository, as in hf:org/repo.",
        )
    if not any(path.glob("*.safetensors")):
        raise EngineError(f"There are no safetensors in {path.name}; other formats may run code and are not read.")
    return path
