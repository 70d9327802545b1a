"""Secrets of templates reach workers, and nobody else."""

import aiohttp

from modelyard.control.vault import Vault
from modelyard.domain.deployments import DeploymentStatus

SECRET = "correct-horse-${battery}-staple"


async def test_a_worker_gets_what_was_sealed(yard) -> None:
    sealed = Vault.open(yard.settings).seal(SECRET)
    async with yard.server() as reconciler:
        deployment = await yard.deploy(secret_env={"VERSION": sealed})
        await reconciler.wait_settled(deployment.id, 1, 30)
        [end] = yard.route(deployment).endpoints
        async with aiohttp.ClientSession() as session, session.get(f"{end.address}/readyz") as answer:
            assert (await answer.json())["version"] == SECRET
        for path in yard.settings.data_dir.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


async def test_what_a_worker_says_of_it_is_masked(yard) -> None:
    sealed = Vault.open(yard.settings).seal(SECRET)
    async with yard.server() as reconciler:
        deployment = await yard.deploy(secret_env={"FAIL": sealed})
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        status, detail = await yard.status(deployment)
        assert status is DeploymentStatus.UPDATE_FAILED
        assert "***" in detail.reason
        async with yard.store.read() as tx:
            told = [event.message for event in await tx.deployments.events(deployment.id)]
            told += [str(worker) for worker in settled.workers]
        assert SECRET not in "".join((detail.reason, settled.observed.reason, *told))


async def test_a_secret_that_no_key_opens_is_told(yard) -> None:
    sealed = Vault([bytes(32)]).seal(SECRET)
    async with yard.server() as reconciler:
        deployment = await yard.deploy(secret_env={"VERSION": sealed})
        await reconciler.wait_settled(deployment.id, 1, 30)
        _, detail = await yard.status(deployment)
    assert "secret_env cannot be read" in detail.reason
    assert "MODELYARD_SECURITY__SECRET_KEY" in detail.reason
