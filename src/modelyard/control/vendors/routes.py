"""Routes of deployments that a vendor answers for."""

from collections.abc import Mapping
from datetime import datetime

from modelyard.control.vendors.keys import groups
from modelyard.domain.deployments import Deployment
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.routes import Endpoint, Route
from modelyard.domain.snapshots import merged_parameters
from modelyard.domain.templates import EndpointProtocol
from modelyard.domain.vendor_models import target_of
from modelyard.domain.vendor_requests import request_schema_of
from modelyard.settings import VendorsSettings


def base_urls(settings: VendorsSettings) -> Mapping[ModelVendor, str]:
    """The vendors' addresses that this installation sets."""
    return {vendor: group.base_url for vendor, group in groups(settings) if group.base_url}


def vendor_route(deployment: Deployment, model: Model, addresses: Mapping[ModelVendor, str], now: datetime) -> Route:
    """A vendor is an endpoint that is always there."""
    assert model.model_vendor is not None
    values = merged_parameters(model, deployment.model_creation_parameters)
    target = target_of(model.model_vendor, values, addresses.get(model.model_vendor))
    window = values.get("context_window")
    status, detail = status_of(deployment, now)
    return Route(
        deployment_id=deployment.id,
        deployment_name=deployment.name,
        account_id=deployment.account_id,
        model_id=model.id,
        model_name=model.name,
        model_type=model.model_type,
        protocol=EndpointProtocol.VLLM,
        predict_route="",
        streaming_predict_route="",
        supports_streaming=True,
        per_worker=deployment.target.per_worker,
        max_workers=1,
        context_window=window if isinstance(window, int) else model.context_window,
        accepts_images=values.get("images") is True,
        request_schema=request_schema_of(model.model_vendor, model.model_type),
        chat_template=None,
        status=status,
        reason=detail.reason,
        endpoints=(Endpoint(f"vendor:{deployment.id}", target.base_url),),
        vendor=target,
        created_at=deployment.created_at,
    )
