# Copyright (c) mmmultissl contributors. All rights reserved.
"""The binaural sections in their order."""
from functools import partial
from typing import Callable, List

from mmmultissl.evaluation.svm.report import Progress

from ..page import Section
from .azimuth import azimuth_section
from .results import binaural_curves_section, binaural_results_section
from .retrieval import retrieval_section
from .runs import BinauralRuns, Predictor, some_run
from .s3r import s3r_section
from .semantic import semantic_section
from .spectrograms import listening_section

# Downstream task -> what shows it.
_SECTIONS = dict(
    azimuth=azimuth_section,
    retrieval=retrieval_section,
    s3r=s3r_section,
    semantic=semantic_section)


def binaural_sections(runs: BinauralRuns) -> List[Section]:
    """Make all sections that the runs have something for.

    Args:
        runs (BinauralRuns): The runs.

    Returns:
        list[Section]: The sections.
    """
    makers: List[Callable[[], Section]] = [
        lambda: binaural_results_section(runs),
        lambda: binaural_curves_section(runs)
    ]
    if runs.downstream:
        makers.append(lambda: listening_section(Predictor(some_run(runs))))
    makers += [
        partial(_SECTIONS[task], its) for task, its in runs.downstream.items()
    ]
    done = Progress('binaural report', len(makers))
    sections = []
    for make in makers:
        sections.append(make())
        done(1)
    return sections
