# Copyright (c) mmmultissl contributors. All rights reserved.
"""Incremental learning: one config, one process after the other."""
from .expand import (STAGE_KEYS, Stage, all_orders, expand_stages, pinned,
                     stage_order)
from .processes import StageProcesses, enter_group
from .record import Begun, Record
from .run import run_stages
from .start_from import require_file, start_from

__all__ = [
    'Begun', 'Record', 'STAGE_KEYS', 'Stage', 'StageProcesses', 'all_orders',
    'enter_group', 'expand_stages', 'pinned', 'require_file', 'run_stages',
    'stage_order', 'start_from'
]
