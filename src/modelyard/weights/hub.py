"""``hf:`` - the Hugging Face hub through huggingface_hub, into a hub cache of our own (resumable, shared by revisions).

Only safe files are ever asked for: a whole repository means its safetensors with the configuration and tokenizer
files beside them, never its pickles and never its Python code.
"""

import glob
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub as hub
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils.tqdm import disable_progress_bars

from modelyard.domain.weight_uris import HubPath
from modelyard.errors import WeightsError
from modelyard.settings import WeightsSettings
from modelyard.weights.disk import ensure_room
from modelyard.weights.hub_files import Selection, select
from modelyard.weights.progress import FetchPhase, Report

_SAMPLE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Fetched:
    """``path`` is the single file that was meant, or a directory. ``sha256`` is there where the hub tells it
    (it does for everything large)."""

    path: Path
    files: tuple[Path, ...]
    sha256: dict[Path, str]


@dataclass(frozen=True, slots=True)
class _Listing:
    commit: str
    sizes: dict[str, int]
    sha256: dict[str, str]


def fetch(source: HubPath, cache: Path, settings: WeightsSettings, report: Report) -> Fetched:
    """Bring what ``source`` names into the hub cache ``cache``; raises `WeightsError`."""
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    cache.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()
    report(FetchPhase.DOWNLOADING, 0, None)
    with _explained(source):
        listing = _list(hub.HfApi(endpoint=settings.hf_endpoint, token=token), source)
        selection = select(source, list(listing.sizes))
        with _measured(source.repo, cache, listing, selection, settings.min_free_bytes, report):
            snapshot = Path(
                hub.snapshot_download(
                    source.repo,
                    revision=listing.commit,
                    cache_dir=cache,
                    # Patterns it takes; names it gets.
                    allow_patterns=[glob.escape(name) for name in selection.files],
                    token=token,
                    endpoint=settings.hf_endpoint,
                    library_name="modelyard",
                )
            )
    return Fetched(
        snapshot / selection.path,
        tuple(snapshot / name for name in selection.files),
        {snapshot / name: listing.sha256[name] for name in selection.files if name in listing.sha256},
    )


def _list(api: hub.HfApi, source: HubPath) -> _Listing:
    info = api.model_info(source.repo, revision=source.revision, files_metadata=True)
    siblings = info.siblings or []
    if info.sha is None:
        raise WeightsError(f"The hub tells no commit of {source}.", code="weights_unreachable")
    return _Listing(
        info.sha,
        {each.rfilename: each.size or 0 for each in siblings},
        {each.rfilename: each.lfs.sha256 for each in siblings if each.lfs is not None},
    )


@contextmanager
def _measured(
    repo: str, cache: Path, listing: _Listing, selection: Selection, min_free: int, report: Report
) -> Iterator[None]:
    """Ask for room, then report how far the download is until the block ends.

    What arrives is measured on the disk (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
    the library's own progress bars count differently from version to version.
    """
    total = sum(listing.sizes[name] for name in selection.files)
    there = sum(
        listing.sizes[name]
        for name in selection.files
        if isinstance(hub.try_to_load_from_cache(repo, name, cache_dir=cache, revision=listing.commit), str)
    )
    ensure_room(cache, total - there, min_free)
    blobs = cache / f"models--{repo.replace('/', '--')}" / "blobs"
    before = _bytes_in(blobs, unfinished=False)
    done = threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            report(FetchPhase.DOWNLOADING, min(total, there + max(0, _bytes_in(blobs) - before)), total)

    report(FetchPhase.DOWNLOADING, there, total)
    sampler = threading.Thread(target=sample, name=f"hub-progress-{repo}", daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
    report(FetchPhase.DOWNLOADING, total, total)


def _bytes_in(blobs: Path, *, unfinished: bool = True) -> int:
    size = 0
    for blob in blobs.glob("*"):
        if unfinished or blob.suffix != ".incomplete":
            try:
                status = blob.stat()
            except FileNotFoundError:  # renamed while we looked
                continue
            size += min(status.st_size, status.st_blocks * 512)  # a file may be laid out before it is filled
    return size


@contextmanager
def _explained(source: HubPath) -> Iterator[None]:
    """The hub library's errors in a user's words."""
    try:
        yield
    except WeightsError:
        raise
    except hub_errors.GatedRepoError as error:
        raise WeightsError(
            f"{source.repo} is gated: its owners decide who may fetch it.",
            code="weights_unreachable",
            hint="Accept its terms on the hub and set MODELYARD_WEIGHTS__HF_TOKEN to a token of that user.",
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise WeightsError(
            f"The hub has no repository {source.repo} that this server may see.",
            code="weights_not_found",
            hint="Look at the name; for a private one set MODELYARD_WEIGHTS__HF_TOKEN.",
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise WeightsError(
            f"{source.repo} has no revision '{source.revision}'.",
            code="weights_not_found",
            hint="Name a branch, tag or commit.",
        ) from error
    except Exception as error:  # the errors of its HTTP library come through, and which one that is varies
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(
            f"{source} cannot be fetched from the hub: {first[0]}.",
            code="weights_unreachable",
            hint="Look at the network, or name a mirror in MODELYARD_WEIGHTS__HF_ENDPOINT; "
            "a download goes on where it stopped.",
        ) from error
