"""The frame around POST /v4/chunks/rank, in which a model takes part or none."""

import msgspec
from starlette.types import Receive, Scope

from modelyard.domain.accounts import Caller, Right
from modelyard.domain.inference import RerankingRequest
from modelyard.domain.routes import Route
from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Verb
from modelyard.errors import Forbidden, InvalidRequest, NotFound
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.rouge import Task
from modelyard.gateway.service import Gateway
from modelyard.http.auth import key_from, selected_account
from modelyard.http.inference.bodies import check_bindings
from modelyard.http.inference.endpoint import Endpoint, call_headers, max_wait
from modelyard.http.inference.reading import decode, read_body
from modelyard.http.inference.response import Response, Watch
from modelyard.http.inference.sending import whole
from modelyard.http.toplevel.finding import account_of, check_type, find
from modelyard.http.toplevel.ranking import (
    AzureStrategy,
    CrossEncoder,
    ModelStrategy,
    RankBody,
    RougeStrategy,
    ranked,
)
from modelyard.settings import GatewaySettings

_encode = msgspec.json.Encoder().encode
_rank_body = msgspec.json.Decoder(RankBody)
_PARAMS = ("body", "rank_strategy", "params")


class RankEndpoint(Endpoint):
    def __init__(self, gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> None:
        super().__init__(gateway, verifier, settings)
        self._default = settings.ranking_model

    async def _serve(self, scope: Scope, receive: Receive, response: Response, watch: Watch) -> None:
        headers = call_headers(scope)
        caller = await self._verifier.verify(key_from(headers))
        selected = selected_account(headers, caller)
        with watch:
            body = decode(_rank_body, await read_body(scope, receive, self._limit))
            watch.body_is_here()
            account = account_of(caller, body.account_id, selected)
            match body.rank_strategy:
                case RougeStrategy() as strategy:
                    _require_call(caller, account)
                    await self._by_rouge(body, strategy, response)
                case AzureStrategy():
                    msg = "addresses that a caller brings along are not called; make a model of it, and rank by model"
                    raise InvalidRequest.at("body", "rank_strategy", "method", msg=msg, code="unsupported_strategy")
                case strategy:
                    route = await self._route(caller, account, strategy)
                    await self._by_model(caller, route, account, body, strategy, response, max_wait(headers))

    async def _by_rouge(self, body: RankBody, strategy: RougeStrategy, response: Response) -> None:
        texts = [chunk.text for chunk in body.relevant_chunks]
        task = Task(body.query, texts, strategy.params.metric, strategy.params.score)
        scores = await self._gateway.rouge(task) if texts else []
        await response.json(_encode(ranked(body.relevant_chunks, scores, body.top_k)))

    async def _by_model(
        self,
        caller: Caller,
        route: Route,
        account: str | None,
        body: RankBody,
        strategy: CrossEncoder | ModelStrategy,
        response: Response,
        patience: float | None,
    ) -> None:
        bindings = strategy.params.bindings if isinstance(strategy, ModelStrategy) else None
        if not body.relevant_chunks:
            await response.json(_encode(ranked((), (), None)))
            return
        with self._gateway.call(caller, route, Verb.RERANKING, response.request_id, selected=account) as call:
            check_bindings(route, bindings)
            call.max_wait = patience
            request = RerankingRequest(
                body.query, [chunk.text for chunk in body.relevant_chunks], model_request_parameters=bindings
            )
            scores = (await self._gateway.rerank(call, request)).chunk_scores
            await whole(call, response, _encode(ranked(body.relevant_chunks, scores, body.top_k)))

    async def _route(self, caller: Caller, account: str | None, strategy: CrossEncoder | ModelStrategy) -> Route:
        if isinstance(strategy, CrossEncoder):
            return await self._cross_encoder(caller, account, strategy)
        name = "model_deployment_id" if strategy.params.model_deployment_id is not None else "base_model_name"
        reference = getattr(strategy.params, name)
        route = await find(self._gateway, caller, reference, account, *_PARAMS, name)
        check_type(route, (ModelType.RERANKING,), *_PARAMS, name)
        return route

    async def _cross_encoder(self, caller: Caller, account: str | None, strategy: CrossEncoder) -> Route:
        named = strategy.params.cross_encoder_model
        loc = (*_PARAMS, "cross_encoder_model")
        try:
            route = await find(self._gateway, caller, named or self._default, account, *loc)
        except NotFound as error:
            if error.code != "model_not_found":
                raise
            raise NotFound(
                f"There is no model '{named or self._default}' to rank with.",
                code="model_not_found",
                hint="Make a model of that name from the template cross-encoder-reranker and deploy it, or leave "
                "cross_encoder_model out.",
            ) from error
        check_type(route, (ModelType.RERANKING,), *loc)
        return route


def _require_call(caller: Caller, account: str | None) -> None:
    """No model is called, but work is done: for those who may call something."""
    accounts = caller.roles if account is None else (account,)
    if not any(caller.can(Right.CALL, each) for each in accounts):
        raise Forbidden("Your role lets you see things, but not call them.", code="role_too_low")
