# Copyright (c) mmmultissl contributors. All rights reserved.
"""Incremental learning: one config, one process after the other."""
from .expand import STAGE_KEYS, Stage, expand_stages, pinned
from .group import enter_group
from .processes import StageProcesses
from .record import Begun, Record
from .run import run_stages
from .spec import all_orders, stage_order
from .start_from import require_file, start_from

__all__ = [
    'Begun', 'Record', 'STAGE_KEYS', 'Stage', 'StageProcesses', 'all_orders',
    'enter_group', 'expand_stages', 'pinned', 'require_file', 'run_stages',
    'stage_order', 'start_from'
]
