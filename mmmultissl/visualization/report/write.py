# Copyright (c) mmmultissl contributors. All rights reserved.
"""The whole report: sections in order, progress, one file."""
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

from mmengine.utils import mkdir_or_exist

from mmmultissl.engine.atomic_save import write_text_atomically
from mmmultissl.evaluation.svm.report import Progress, versions

from .correspondence import correspondence_section
from .curves import curves_section
from .detections import detections_section
from .embedding import embedding_section
from .encoders import load_encoder, shown_features
from .neighbours import neighbours_section
from .page import Section, page, paragraphs
from .pictures import Thumbnails
from .runs import Run
from .shown_images import read_shown_images
from .table import results_section


def image_sections(runs: Sequence[Run], data_root: str,
                   size: int) -> Tuple[List[Section], str]:
    """Compute all pictures on runs that learnt from images.

    Args:
        runs (Sequence[Run]): The runs; at least one was pretrained.
        data_root (str): Folder of one year of VOC, whose test images are
            shown.
        size (int): Sides of the images in pixels, for the features.

    Returns:
        tuple[list[Section], str]: The sections, and the style that shows
        their thumbnails.

    Raises:
        FileNotFoundError: If something that is to be shown is missing.
    """
    # A random backbone has the architecture of the others.
    config = next(run.pretraining.config for run in runs if run.pretraining)
    images = read_shown_images(data_root)
    done = Progress('report', len(runs) * len(images) * 2)
    thumbnails = Thumbnails()
    encoders, features = {}, {}
    for run in runs:
        own = run.pretraining.config if run.pretraining else config
        encoders[run.name] = load_encoder(run, own)
        features[run.name] = shown_features(encoders[run.name], own, data_root,
                                            size, done)
    sections = [results_section(runs), curves_section(runs)]
    for make in (lambda: embedding_section(features, images, thumbnails),
                 lambda: neighbours_section(features, images, thumbnails),
                 lambda: correspondence_section(encoders, config, images),
                 lambda: detections_section(runs)):
        sections.append(make())
        done(len(runs) * len(images) / 4)
    return sections, thumbnails.style()


def write_page(sections: List[Section],
               style: str,
               out: Path,
               title: str = 'What these runs learnt',
               note: Optional[str] = None) -> None:
    """Write the page.

    Args:
        sections (list[Section]): In their order.
        style (str): More CSS, such as the thumbnails.
        out (Path): The file to write.
        title (str): Heading of the page. Defaults to 'What these runs
            learnt'.
        note (str, optional): What the reader should know of the data, plain
            text. Defaults to None.
    """
    used = ', '.join(f'{name} {version}'
                     for name, version in versions().items())
    lead = paragraphs(*([note] if note else []))
    text = page(
        title, lead + f'<p class=soft>Made by mmmultissl from the runs\' own '
        f'files. {used}.</p>', sections, style)
    mkdir_or_exist(out.parent)
    write_text_atomically(text, out)
