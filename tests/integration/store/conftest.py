"""Real databases of both kinds, migrated once and copied for every test, and entities to put into them."""

import itertools
import shutil
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from modelyard.domain.accounts import Account, ApiKey, Identity, IdentityType, Membership, Role
from modelyard.domain.deployments import Deployment, Target, Worker
from modelyard.domain.models import Model
from modelyard.domain.templates import BundleConfig, EndpointProtocol, EndpointType, ModelType, Template
from modelyard.store import Store
from modelyard.testing.usage import make_usage
from postgres_server import beside

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = tuple(str(UUID(int=number)) for number in (0xA, 0xB, 0xC))


async def _filled(url):
    store = await Store.open(url)
    try:
        await store.migrate()
        async with store.begin() as tx:
            for account in ACCOUNTS:
                await tx.accounts.add_account(Account(account, f"account {account[-1]}", NOW))
    finally:
        await store.aclose()


@pytest.fixture(scope="session")
def filled_postgres(postgres, migrated_postgres):
    name = postgres.create(migrated_postgres)
    beside(_filled(postgres.url(name)))
    return name


@pytest.fixture(scope="session")
def filled_sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    beside(_filled(f"sqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request):
    return request.param


@pytest.fixture
def empty_url(kind, request, tmp_path):
    """A database without any tables."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'test.db'}"
        return
    with request.getfixturevalue("postgres").lent() as lent:
        yield lent


@pytest.fixture
def url(kind, request, tmp_path):
    """A migrated database with three accounts in it."""
    if kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("filled_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    with request.getfixturevalue("postgres").lent(request.getfixturevalue("filled_postgres")) as lent:
        yield lent


@pytest.fixture
async def store(url):
    store = await Store.open(url)
    yield store
    await store.aclose()


@pytest.fixture
async def other(url):
    """A second store on the same database, as another process has it."""
    store = await Store.open(url)
    yield store
    await store.aclose()


class Make:
    """Entities with all the boring fields filled in; their ids and names count up."""

    def __init__(self):
        self._numbers = itertools.count(1)

    def _common(self, more):
        number = next(self._numbers)
        return {
            "id": str(UUID(int=number)),
            "account_id": ACCOUNTS[0],
            "created_at": NOW + timedelta(seconds=number),
            "created_by_user_id": "somebody",
            "created_by_identity_type": IdentityType.USER,
            "name": f"name {number:05d}",
            **more,
        }

    def template(self, **more):
        defaults = {
            "endpoint_type": EndpointType.SYNC,
            "model_type": ModelType.EMBEDDING,
            "endpoint_protocol": EndpointProtocol.SGP,
            "bundle": BundleConfig("local", "image", "tag"),
        }
        return Template(**self._common({**defaults, **more}))

    def model(self, **more):
        return Model(**self._common({"model_type": ModelType.EMBEDDING, **more}))

    def deployment(self, model, **more):
        target = Target(min_workers=1, max_workers=2, per_worker=10, revision="first")
        return Deployment(**self._common({"model_id": model.id, "target": target, **more}))

    def worker(self, deployment, **more):
        number = next(self._numbers)
        defaults = {"id": f"worker-{number}", "revision": "first", "created_at": NOW + timedelta(seconds=number)}
        return Worker(deployment_id=deployment.id, **{**defaults, **more})

    def identity(self, **more):
        number = next(self._numbers)
        defaults = {"id": str(UUID(int=number)), "type": IdentityType.USER, "email": f"{number}@example.com"}
        return Identity(**{**defaults, "created_at": NOW + timedelta(seconds=number), **more})

    def membership(self, identity, account_id=ACCOUNTS[0], role=Role.EDITOR):
        account = Account(account_id, f"account {account_id[-1]}", NOW)
        return Membership(str(UUID(int=next(self._numbers))), account, identity.id, identity.type, role)

    def key(self, identity, **more):
        number = next(self._numbers)
        defaults = {"id": str(UUID(int=number)), "identity_id": identity.id, "name": "a key", "prefix": "my_1"}
        return ApiKey(
            **{**defaults, "digest": f"digest {number}", "created_at": NOW + timedelta(seconds=number), **more}
        )

    def usage(self, **more):
        number = next(self._numbers)
        return make_usage(**{"id": f"{number:032x}", "started_at": NOW, "account_id": ACCOUNTS[0], **more})

    async def deployed(self, store, count=1, **more):
        """Deployments that are in the store, of one model that is there too."""
        model = self.model()
        deployments = [self.deployment(model, **more) for _ in range(count)]
        async with store.begin() as tx:
            await tx.models.add(model)
            for deployment in deployments:
                await tx.deployments.add(deployment)
        return deployments


@pytest.fixture
def make():
    return Make()


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def accounts():
    return ACCOUNTS
