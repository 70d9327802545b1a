"""/v4/vendor-credentials"""

import json
from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.control.vendors.credentials import CredentialDraft
from modelyard.domain.vendors import VendorCredential
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer
from modelyard.http.api.wire.vendor_credentials import CredentialAnswer, CredentialCreate

router = APIRouter(prefix="/v4/vendor-credentials", tags=["Vendor credentials"])

_SECRETS = ("api_key", "access_key_id", "secret_access_key", "session_token", "bearer_token")
_PARAMETERS = ("project", "location", "region")
_SHOWN = ("id", "account_id", "created_at", "created_by_user_id", "created_by_identity_type", "name", "vendor")


@router.post("", responses=problems(404, 409))
async def create(
    parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: CredentialCreate
) -> CredentialAnswer:
    """An account's own access to a vendor, kept encrypted. Several of one vendor take turns."""
    return _answer(await parts.vendor_credentials.create(scope, body.account_id, _draft(body), attempt))


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[CredentialAnswer]:
    """Which there are in your accounts; their secrets are not shown."""
    page = await parts.vendor_credentials.page(page_query(scope, query))
    return page_answer(page, [_answer(each) for each in page.items])


@router.get("/{credential_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, credential_id: str) -> CredentialAnswer:
    return _answer(await parts.vendor_credentials.get(scope, credential_id))


@router.delete("/{credential_id}", responses=problems(404))
async def delete(parts: GivenParts, scope: GivenScope, credential_id: str) -> Deleted:
    """From now on no call is made with it."""
    await parts.vendor_credentials.delete(scope, credential_id)
    return Deleted(count=1, success=True)


def _draft(body: CredentialCreate) -> CredentialDraft:
    secrets = {name: value.get_secret_value() for name in _SECRETS if (value := getattr(body, name)) is not None}
    if body.service_account is not None:
        secrets["service_account"] = json.dumps(body.service_account)
    parameters = {name: value for name in _PARAMETERS if (value := getattr(body, name)) is not None}
    return CredentialDraft(body.vendor, secrets, body.name, body.base_url, parameters)


def _answer(credential: VendorCredential) -> CredentialAnswer:
    return CredentialAnswer(
        masked=credential.masked,
        base_url=credential.base_url,
        project=credential.parameters.get("project"),
        location=credential.parameters.get("location"),
        region=credential.parameters.get("region"),
        **{name: getattr(credential, name) for name in _SHOWN},
    )
