# Copyright (c) mmmultissl contributors. All rights reserved.
"""All ways of combining tasks, compared at equal cost by one command.

``tools/compare.py`` is its command; ``docs/compare.md`` tells how.
"""
from .comparison import Comparison, read_comparison
from .plan import Job, Plan, Planner, Result
from .plan_hash import plan_hash
from .results import Summary, collect, summarise
from .statistics import difference_of, gains_of, spread_of
from .test_record import allow_test
from .voc_lists import write_dev_lists

__all__ = [
    'Comparison', 'Job', 'Plan', 'Planner', 'Result', 'Summary', 'allow_test',
    'collect', 'difference_of', 'gains_of', 'plan_hash', 'read_comparison',
    'spread_of', 'summarise', 'write_dev_lists'
]
