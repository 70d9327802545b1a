"""Model groups: models that belong together, such as all that were made from one base model."""

from dataclasses import dataclass
from datetime import datetime

from modelyard.domain.accounts import IdentityType


@dataclass(frozen=True, slots=True)
class ModelGroup:
    """A model names its group (`modelyard.domain.models.Model.model_group_id`), so it is in one at most."""

    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    description: str | None = None
