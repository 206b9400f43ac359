# Copyright (c) mmmultissl contributors. All rights reserved.
"""What tells the files of one run from those of another."""
import hashlib
import json
from pathlib import Path
from typing import Any

# So many hexadecimal digits tell files apart that differ by accident.
_DIGITS = 16


def digest_of(path: Path) -> str:
    """Digest the content of a file, not its name or place.

    Args:
        path (Path): The file.

    Returns:
        str: The first 16 hexadecimal digits of its SHA-256.
    """
    # Here, because the engine's loops import mmmultissl.datasets.
    from mmmultissl.engine.backbone_weights import sha256_of
    return sha256_of(str(path))[:_DIGITS]


def digest_of_values(values: Any) -> str:
    """Digest what JSON can hold.

    Args:
        values (Any): Lists, strings, numbers.

    Returns:
        str: The first 16 hexadecimal digits of the SHA-256 of its JSON.
    """
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:_DIGITS]
