# Copyright (c) mmmultissl contributors. All rights reserved.
"""Published weights in, our backbones out: see ``docs/weights.md``."""
from .export import FORMATS, export_backbone
from .files import check_paths, read_weights, write_weights
from .layouts import LAYOUTS
from .networks import build_part
from .published import Imported, import_weights, in_words

__all__ = [
    'FORMATS', 'Imported', 'LAYOUTS', 'build_part', 'check_paths',
    'export_backbone', 'import_weights', 'in_words', 'read_weights',
    'write_weights'
]
