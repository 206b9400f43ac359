# Copyright (c) mmmultissl contributors. All rights reserved.
"""How the encoders of a comparison are judged."""
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmmultissl.engine.safe_load import load_safely
from mmmultissl.utils.setting_kinds import (dict_of, flag_of, number_of,
                                            optional, take_settings, text_of,
                                            texts_of)
from mmmultissl.visualization.report.runs import kind_of

# Kind -> the tool that evaluates a row's config and checkpoint.
_TOOLS = dict(voc07='voc07.py', binaural_svm='binaural_svm.py',
              pretext='test.py')
KINDS = (*_TOOLS, 'train', 'command')


@dataclass(frozen=True)
class Column:
    """A figure of an evaluation: one column of the tables.

    Args:
        name (str): Its heading.
        evaluation (str): Where it comes from.
        key (str): Its place in the evaluation's json: a key, or keys and
            numbers of list items with dots between.
        higher_is_better (bool): Which way is better. Defaults to True.
        scale (float): The figure is multiplied by it. Defaults to 1.
        gain (bool): Whether it counts in the mean relative gain.
            Defaults to True.
    """
    name: str
    evaluation: str
    key: str
    higher_is_better: bool = True
    scale: float = 1.
    gain: bool = True

    @property
    def sign(self) -> int:
        """int: 1 where more is better, -1 where less is."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True)
class Evaluation:
    """A way of judging an encoder.

    Args:
        name (str): Its name.
        kind (str): ``voc07``, ``binaural_svm`` and ``pretext`` call
            ``tools/voc07.py``, ``tools/binaural_svm.py`` and
            ``tools/test.py`` on the row's config and checkpoint, ``pretext``
            ``tools/test_stages.py`` where the row has stages; ``train``
            trains ``config`` on the checkpoint by ``tools/train.py``, and
            reads its last validation on the development lists or
            ``tools/test.py``'s figures on the test lists; ``command`` runs
            ``command``, which writes a json to ``{out}``. Defaults to
            ``train`` where there is a ``config``.
        columns (tuple[Column]): Its figures.
        config (str, optional): Of ``train``. Defaults to None.
        cfg_options (dict): Settings of ``config`` to override. Defaults to
            none.
        args (tuple[str]): More words for the command. Defaults to none.
        command (tuple[str]): Of ``command``, with ``{config}``,
            ``{checkpoint}``, ``{out}``, ``{seed}``. Defaults to none.
        dev (dict): ``cfg_options`` and ``args`` for the development lists
            alone. Defaults to none.
        test (dict): The same for the test lists. Defaults to none.
        only (str, optional): ``'test'`` for an evaluation that has no
            development lists and is left out on them, ``'dev'`` for the
            opposite. Defaults to None.
        embedding (bool): Whether ``voc07`` keeps its features of the first
            seed, which the report draws. Defaults to False.
        usual (float): Seconds that it takes, for the first guess at the time
            left. Defaults to 60.
    """
    name: str
    kind: str
    columns: Tuple[Column, ...]
    config: Optional[str] = None
    cfg_options: Dict[str, Any] = field(default_factory=dict)
    args: Tuple[str, ...] = ()
    command: Tuple[str, ...] = ()
    dev: Dict[str, Any] = field(default_factory=dict)
    test: Dict[str, Any] = field(default_factory=dict)
    only: Optional[str] = None
    embedding: bool = False
    usual: float = 60.

    def on(self, mode: str) -> 'Evaluation':
        """Take the settings of one kind of lists in.

        Args:
            mode (str): ``'dev'`` or ``'test'``.

        Returns:
            Evaluation: With all settings in ``cfg_options`` and ``args``.
        """
        return self.with_settings(self.dev if mode == 'dev' else self.test)

    def with_settings(self, settings: Dict[str, Any]) -> 'Evaluation':
        """Override settings.

        Args:
            settings (dict): ``config`` and ``command`` replace, the entries
                of ``cfg_options`` and ``args`` are added.

        Returns:
            Evaluation: A new one.
        """
        made = dict(self.__dict__)
        where = f'What is changed of the evaluation {self.name}'
        for key, value in take_settings(where, settings, _OTHER).items():
            if key == 'cfg_options':
                made[key] = {**made[key], **value}
            elif key == 'args':
                made[key] = (*made[key], *value)
            else:
                made[key] = value
        return Evaluation(**made)

    def tool(self) -> str:
        """Name the script in tools/ of a kind that has one.

        Returns:
            str: Such as ``'voc07.py'``.
        """
        return _TOOLS[self.kind]


def make_evaluations(listed: Dict[str, Optional[dict]]
                     ) -> Dict[str, Evaluation]:
    """Make the evaluations that a config lists.

    Args:
        listed (dict): Name -> arguments of :class:`Evaluation` with, in place
            of ``columns``, either ``metric``, ``higher_is_better``, ``scale``
            and ``gain`` of one figure, or ``metrics``, heading -> these with
            ``key`` for ``metric``. None leaves an inherited one out.

    Returns:
        dict[str, Evaluation]: Name to evaluation.

    Raises:
        ValueError: If an argument cannot be used.
    """
    made: Dict[str, Evaluation] = {}
    for name, settings in listed.items():
        if settings is None:
            continue
        where = f'The evaluation {name}'
        settings = take_settings(where, settings, _SETTINGS)
        kind = settings.pop('kind', 'train' if settings.get('config') else '')
        if kind not in KINDS:
            raise ValueError(f'{where} is of the kind {kind!r}, but it is one '
                             f'of {", ".join(KINDS)}.')
        if settings.get('only') not in (None, 'dev', 'test'):
            raise ValueError(f"{where} has only={settings['only']!r}: set it "
                             "to 'dev' or 'test', or leave it out.")
        columns = tuple(_columns(name, settings))
        needed = dict(train='config', command='command').get(kind)
        if needed and not settings.get(needed):
            raise ValueError(f'{where} of the kind {kind} needs a {needed}.')
        made[name] = Evaluation(
            name=name, kind=kind, columns=columns, **settings)
    headings = [c.name for e in made.values() for c in e.columns]
    twice = sorted({name for name in headings if headings.count(name) > 1})
    if twice:
        raise ValueError(f'Two columns are called {twice[0]}: rename one.')
    return made


def _columns(name: str, settings: dict) -> List[Column]:
    one = {
        key: settings.pop(key)
        for key in ('metric', 'higher_is_better', 'scale', 'gain')
        if key in settings
    }
    several = settings.pop('metrics', None)
    if several and set(one) - {'metric'}:
        raise ValueError(
            f'The evaluation {name} has {", ".join(sorted(one))} beside '
            'metrics: give them to each of metrics.')
    if bool(several) == ('metric' in one):
        raise ValueError(
            f'The evaluation {name} must say which figure counts: give '
            'metric, or metrics for several.')
    if not several:
        several = {name: dict(one, key=one.pop('metric'))}
    where = f'metrics of the evaluation {name}'
    columns = []
    for heading, column in several.items():
        if column is None:
            continue
        column = take_settings(f'{heading!r} of the {where}', column, _COLUMN)
        if 'key' not in column:
            raise ValueError(f'{heading!r} of the {where} has no key: name '
                             'its place in the json.')
        columns.append(Column(name=heading, evaluation=name, **column))
    return columns


_COLUMN = dict(
    key=text_of, higher_is_better=flag_of, scale=number_of, gain=flag_of)
_OTHER = dict(
    cfg_options=dict_of,
    args=texts_of,
    config=optional(text_of),
    command=texts_of)


def _other(where: str, value: Any) -> dict:
    return take_settings(where, value, _OTHER)


# What each setting of an evaluation is.
_SETTINGS = dict(
    _OTHER,
    kind=text_of,
    metric=text_of,
    higher_is_better=flag_of,
    scale=number_of,
    gain=flag_of,
    metrics=dict_of,
    dev=_other,
    test=_other,
    only=optional(text_of),
    embedding=flag_of,
    usual=number_of)


def look_up(content: Any, key: str, where: str) -> float:
    """Find a figure in a json.

    Args:
        content (Any): What the json holds.
        key (str): A key, or keys and numbers of list items with dots.
        where (str): The file, for errors.

    Returns:
        float: The figure.

    Raises:
        ValueError: If it is not there, or no number.
    """
    found = content
    if not (isinstance(content, dict) and key in content):
        for word in key.split('.'):
            try:
                found = found[int(word) if isinstance(found, list) else word]
            except (KeyError, IndexError, TypeError, ValueError):
                have = ', '.join(map(str, found)) if isinstance(
                    found, dict) else type(found).__name__
                raise ValueError(
                    f'{where} has no figure {key}: at "{word}" it holds '
                    f'{have[:300]}; correct the metric of the comparison.'
                ) from None
    else:
        found = content[key]
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise ValueError(f'{key} of {where} is no number but '
                         f'{str(found)[:60]!r}; correct the metric.')
    return float(found)


def last_validation(work_dir: Path) -> dict:
    """Read what a training run has found at its end.

    Args:
        work_dir (Path): Of the run.

    Returns:
        dict: The figures of its last validation.

    Raises:
        ValueError: If there is none, or it is not of the last checkpoint, as
            where the run was killed during the validation at its end.
    """
    # As they were written: loops that count iterations log all validations
    # as those of step 0.
    lines = [
        json.loads(line)
        for file in sorted(work_dir.glob('*/vis_data/scalars.json'))
        for line in file.read_text(encoding='utf-8').splitlines()
    ]
    kinds = [kind_of(line) for line in lines]
    if 'validation' not in kinds:
        raise ValueError(f'{work_dir} was trained but never judged: give its '
                         'config val_dataloader and val_evaluator, and keep '
                         'LocalVisBackend among visualizer.vis_backends.')
    place = len(kinds) - 1 - kinds[::-1].index('validation')
    step = lines[place]['step']
    last = Path((work_dir / 'last_checkpoint').read_text().strip())
    meta = load_safely(str(last))['meta']
    # Counted in epochs or in iterations, as the logger is told to.
    if 'train' in kinds[place:] or step not in (meta['epoch'], meta['iter']):
        raise ValueError(
            f'The last validation of {work_dir} (logged for step {step}) is '
            f'not that of {last.name}, trained to iteration {meta["iter"]}: '
            'let the config validate at its end (a run that was killed while '
            'it did is validated by tools/train.py --resume).')
    return lines[place]


def read_figures(path: Path, columns: Tuple[Column, ...]) -> Dict[str, float]:
    """Read what an evaluation has found.

    Args:
        path (Path): Its json, or the work dir of a training, of which the
            last validation counts.
        columns (tuple[Column]): What to read.

    Returns:
        dict[str, float]: Heading to figure, scaled.

    Raises:
        ValueError: If a figure is missing.
    """
    if path.is_dir():
        content = last_validation(path)
    else:
        content = json.loads(path.read_text(encoding='utf-8'))
    return {
        column.name: column.scale * look_up(content, column.key, str(path))
        for column in columns
    }
