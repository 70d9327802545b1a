"""What a worker's process is given: its command line and its environment.

The server's own environment is not handed on: it may hold secrets (the database URL, vendors' keys) that are
no worker's business. What is needed to find programs, certificates and proxies is; bundles that ship with
modelyard also get what fetching weights needs.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard.domain.deployments import WorkerSpec
from modelyard.domain.templates import BUILT_IN_REGISTRY, LOCAL_REGISTRY
from modelyard.errors import LaunchError
from modelyard.launchers import machine
from modelyard.launchers.local.home import Home
from modelyard.launchers.local.processes import MARK

_HANDED_ON = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HOME", "HF_HUB_OFFLINE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH"),
        *("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"),
    }
)
_HANDED_ON_PREFIXES = ("LC_", "NVIDIA_")
_FOR_WEIGHTS = ("HF_", "HUGGING_FACE_", "PIP_", "AWS_", "GOOGLE_", "AZURE_", "PYTHONPATH")
_GPUS = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


def environment(
    spec: WorkerSpec, home: Home, gpu_ids: Sequence[str] = (), server: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of one worker; ``spec`` is bound to its address, ``gpu_ids`` are its own GPUs."""
    built_in = spec.registry == BUILT_IN_REGISTRY
    base = {
        name: value
        for name, value in server.items()
        if name in _HANDED_ON or name.startswith(_HANDED_ON_PREFIXES) or (built_in and name.startswith(_FOR_WEIGHTS))
    }
    # As in an activated virtual environment: `python` is the one that runs the server.
    base["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), server.get("PATH", os.defpath)])
    base["PYTHONUNBUFFERED"] = "1"  # last words must reach the log
    if spec.resources.cpus:
        base |= machine.threads(spec.resources.cpus)
    if spec.resources.gpus is not None:  # 0 means none; where nothing is said, it sees what the server sees
        base |= dict.fromkeys(_GPUS, ",".join(gpu_ids))
    return {**base, **spec.env, MARK: spec.worker_id, "MODELYARD_WORKER_STATUS": str(home.status_file)}


def command(spec: WorkerSpec, env: Mapping[str, str]) -> list[str]:
    """The command line; no shell reads it. Raises `LaunchError` where there is nothing that could run."""
    if spec.registry == BUILT_IN_REGISTRY:
        return [sys.executable, "-m", "modelyard.worker"]
    if spec.registry != LOCAL_REGISTRY:
        raise LaunchError(
            f"The local launcher cannot run the image {spec.registry}/{spec.image}.",
            hint="Use a built-in template, or a command of your own with registry 'local'.",
        )
    if not spec.command:
        raise LaunchError("The template's bundle has no command to run.", hint="Set bundle_config.command.")
    name = spec.command[0]
    path = shutil.which(name, path=env["PATH"])
    if path is None:
        raise LaunchError(_why_not(name), hint="Install it on the server's machine, or give its absolute path.")
    return [os.path.abspath(path), *spec.command[1:]]


def _why_not(name: str) -> str:
    if os.sep not in name:
        return f"The command '{name}' was not found on the server's PATH."
    if Path(name).is_dir():
        return f"The command '{name}' is a directory."
    if Path(name).exists():
        return f"The command '{name}' is not executable."
    return f"The command '{name}' does not exist."
