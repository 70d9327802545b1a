"""Room on the disk, asked for before it is needed."""

import shutil
from pathlib import Path

from modelyard.errors import WeightsError
from modelyard.weights.progress import human


def ensure_room(directory: Path, needed: int, min_free: int) -> None:
    """Raise `WeightsError` with the figures unless ``needed`` more bytes fit on the disk of ``directory`` and
    leave ``min_free`` bytes free."""
    free = shutil.disk_usage(directory).free
    if needed + min_free > free:
        raise WeightsError(
            f"These weights need {human(needed)} on the disk of {directory}, where {human(free)} are free "
            f"and {human(min_free)} have to stay free.",
            code="disk_full",
            hint="Free some space, put the data elsewhere (MODELYARD_DATA_DIR), or lower "
            "MODELYARD_WEIGHTS__MIN_FREE_BYTES.",
        )
