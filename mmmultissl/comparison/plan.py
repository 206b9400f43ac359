# Copyright (c) mmmultissl contributors. All rights reserved.
"""The jobs of a comparison: what runs, on what, after what."""
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from mmmultissl.engine.backbone_weights import COLUMNS, RANDOM
from mmmultissl.utils.command_line import check_variables, read_config

from .comparison import Comparison
from .configs import downstream_config, merge
from .evaluations import Column, Evaluation
from .placeholders import fill, keep, names_in, rows_in
from .pretext import columns_with_heads, task_of, trained_tasks
from .shared_stages import StageDigest, in_common, row_to_follow, stage_digests

# Seconds of a start and of an update, for the first guess at the time left.
_START, _UPDATE = 12., .25


@dataclass(frozen=True)
class Job:
    """One command.

    Args:
        name (str): Names its log and its marks.
        title (str): What is shown.
        command (tuple[str]): Words; one that ends in ``@FILE`` is completed
            by what that file holds when the job begins.
        needs (tuple[str]): Jobs that come before.
        output (Path): What it writes, a file or a folder.
        beside (tuple[Path]): Other files it must leave.
        seed (int | None): The seed that placeholders mean.
        configs (dict[str, dict]): File to the config that is written there
            when the job begins, ``{row:NAME}``, ``{sha256:NAME}`` and
            ``{lists:NAME}`` filled in then.
        lists (tuple[str]): Development lists that it reads.
        rows (tuple[str]): Rows whose checkpoints it reads.
        usual (float): Seconds that it usually takes, beside other jobs.
        judged (bool): Whether its last validation is a result.
        after (tuple[str]): Jobs whose first stages it takes over, where they
            are done before.
        spared (tuple[str]): Words that say so to its command.
        taken_updates (int): Updates of these stages.
    """
    name: str
    title: str
    command: Tuple[str, ...]
    needs: Tuple[str, ...]
    output: Path
    beside: Tuple[Path, ...] = ()
    seed: Optional[int] = None
    configs: Dict[str, dict] = field(default_factory=dict)
    lists: Tuple[str, ...] = ()
    rows: Tuple[str, ...] = ()
    usual: float = 60.
    judged: bool = False
    after: Tuple[str, ...] = ()
    spared: Tuple[str, ...] = ()
    taken_updates: int = 0


class Result(NamedTuple):
    """Where the figures of a row, seed and evaluation will stand.

    Attributes:
        row (str): The row.
        seed (int): The seed.
        evaluation (str): The evaluation.
        job (str): The job that writes them.
        path (Path): A json, or a work dir.
        columns (tuple[Column]): Those of the evaluation that the row can
            have.
        features (Path | None): What ``--save-features`` writes, if anything.
    """
    row: str
    seed: int
    evaluation: str
    job: str
    path: Path
    columns: Tuple[Column, ...]
    features: Optional[Path] = None


class Plan(NamedTuple):
    """All jobs and what comes of them.

    Attributes:
        jobs (list[Job]): Each after those it needs; one seed of all rows
            comes before the next seed.
        results (list[Result]): In the order of rows.
    """
    jobs: List[Job]
    results: List[Result]


def pretrain_job(row: str, seed: int) -> str:
    """Name the job of a pretraining.

    Args:
        row (str): The row.
        seed (int): The seed.

    Returns:
        str: Its name.
    """
    return f'{row}.seed{seed}.pretrain'


def lists_folder(comparison: Comparison, name: str) -> Path:
    """Name the folder of a list's images as the evaluation reads them.

    Args:
        comparison (Comparison): The comparison.
        name (str): Of its ``lists``.

    Returns:
        Path: The folder of one year: the original one for the test lists,
        one with development lists otherwise.
    """
    if comparison.mode == 'test':
        return Path(comparison.lists[name]['root'])
    return comparison.folder / 'lists' / name / 'VOC2007'


class Planner:
    """Makes the jobs of a comparison.

    Args:
        comparison (Comparison): The comparison.
        tools (Path): Folder of the scripts.
        python (str): The interpreter.
    """

    def __init__(self, comparison: Comparison, tools: Path,
                 python: str) -> None:
        self.comparison = comparison
        self.tools = tools
        self.python = python
        # Many rows are judged by one config.
        self.read = functools.lru_cache(maxsize=None)(read_config)
        self.first = tuple(f'prepare.{name}' for name in comparison.prepare)
        # Seed to row to what its stages depend on.
        self.stages: Dict[int, Dict[str, Tuple[StageDigest, ...]]] = {}

    def plan(self) -> Plan:
        """Make all jobs.

        Returns:
            Plan: The jobs in an order in which they can run.

        Raises:
            ValueError: If a row needs one that is not there, has not the
                seed, or needs itself.
        """
        jobs = [*self._preparations()]
        results = []
        seeds = dict.fromkeys(seed for row in self.comparison.rows
                              for seed in self.comparison.seeds_of(row))
        for seed in seeds:
            for name, row in self.comparison.rows.items():
                if seed not in self.comparison.seeds_of(name):
                    continue
                if row.train:
                    jobs.append(self._pretraining(name, seed))
                if row.part:
                    continue
                for key, evaluation in self.comparison.evaluations.items():
                    if key in row.evaluations:
                        if row.evaluations[key] is None:
                            continue
                        evaluation = evaluation.with_settings(
                            row.evaluations[key])
                    if evaluation.kind == 'pretext' and not self._heads(
                            name, seed, evaluation):
                        continue
                    made, result = self._evaluation(name, seed, evaluation)
                    jobs += [job for job in made if job is not None]
                    results.append(result)
        self._check_tasks(results)
        return Plan(_in_order(jobs), results)

    def _heads(self, name: str, seed: int,
               evaluation: Evaluation) -> Tuple[Column, ...]:
        """The figures of pretext tasks that a row has heads of."""
        row = self.comparison.rows[name]
        if not row.train and row.checkpoint in (RANDOM, COLUMNS):
            return ()
        _, content = self._row_config(name, seed)
        return columns_with_heads(evaluation.columns, trained_tasks(content))

    def _check_tasks(self, results: Sequence[Result]) -> None:
        found = {
            column
            for result in results for column in result.columns
        }
        for name, each in self.comparison.evaluations.items():
            for column in each.columns:
                if each.kind == 'pretext' and column not in found:
                    raise ValueError(
                        f'{column.name!r} of the evaluation {name} is a '
                        f'figure of the task {task_of(column)} '
                        f'({column.key}), which no row that it judges trains: '
                        'correct the key, or leave the figure out by None.')

    def _preparations(self) -> List[Job]:
        made = []
        for name, settings in self.comparison.prepare.items():
            made.append(
                Job(
                    f'prepare.{name}',
                    f'Preparing {name}',
                    self._words(settings['command'], {}),
                    (),
                    Path(settings['output']),
                    usual=settings.get('usual', 30.)))
        return made

    def _row_config(self, name: str, seed: int) -> Tuple[Path, dict]:
        """File and content of a row's config."""
        content = fill(self.comparison.configs[name].to_dict(),
                       dict(seed=seed, python=self.python), keep)
        return self.comparison.run_folder(name, seed) / 'config.py', content

    def _pretraining(self, name: str, seed: int) -> Job:
        row = self.comparison.rows[name]
        file, content = self._row_config(name, seed)
        lists = _lists(content)
        if lists:
            raise ValueError(
                f'The row {name} is trained on the lists {lists[0]}, but one '
                'training serves development and test lists: leave '
                f'{{lists:{lists[0]}}} to the evaluations.')
        work = self.comparison.work_dir(name, seed)
        # Rows that begin with the same stages train them once.
        digests = stage_digests(content, str(work))
        before = self.stages.setdefault(seed, {})
        follows = row_to_follow(digests, before)
        before[name] = digests
        taken = sum(stage.updates for stage in in_common(
            digests, before[follows] if follows else ()))
        left = self.comparison.budgets[name].own - taken
        return Job(
            pretrain_job(name, seed),
            f'{name}, seed {seed}: training',
            self._train_words(file, work, seed),
            (*self.first, *self._needs(name, seed, content)),
            work,
            beside=(work / 'last_checkpoint', ),
            seed=seed,
            configs={str(file): content},
            rows=rows_in(content),
            usual=row.usual or _START + _UPDATE * left,
            taken_updates=taken,
            after=(pretrain_job(follows, seed), ) if follows else (),
            spared=('--finished-stages',
                    str(self.comparison.work_dir(follows, seed)))
            if follows else ())

    def _evaluation(self, name: str, seed: int,
                    evaluation: Evaluation) -> Tuple[List[Job], Result]:
        mode = self.comparison.mode
        apart = bool(evaluation.dev or evaluation.test)
        evaluation = evaluation.on(mode)
        folder = self.comparison.run_folder(name, seed)
        out = folder / f'{evaluation.name}.{mode}.json'
        checkpoint, sources = self._checkpoint(name, seed)
        title = f'{name}, seed {seed}: {evaluation.name}'
        job = f'{name}.seed{seed}.{evaluation.name}'
        if evaluation.kind == 'train':
            return self._downstream(name, seed, evaluation, out, title, job,
                                    apart)
        file, content = self._row_config(name, seed)
        features = None
        words = self._words(
            evaluation.args,
            dict(config=str(file), checkpoint=checkpoint, out=str(out),
                 seed=seed), seed)
        if evaluation.kind == 'command':
            words = (*self._words(
                evaluation.command,
                dict(config=str(file), checkpoint=checkpoint, out=str(out),
                     seed=seed), seed), *words)
        else:
            staged = (evaluation.kind == 'pretext' and content.get('stages')
                      and self.comparison.rows[name].train)
            if checkpoint == RANDOM:
                words = (*words, '--seed', str(seed))
            if evaluation.kind == 'pretext' and not staged:
                words = ('--out-item', 'metrics', *words)
            if (evaluation.kind == 'voc07' and evaluation.embedding
                    and seed == self.comparison.seeds_of(name)[0]):
                features = folder / f'{evaluation.name}.{mode}.npy'
                words = (*words, '--save-features', str(features))
            # Every task of a staged row by its own heads.
            judged = (('test_stages.py', str(self.comparison.work_dir(
                name, seed)), '--last') if staged else
                      (evaluation.tool(), str(file), checkpoint))
            words = (self.python, str(self.tools / judged[0]), *judged[1:],
                     '--work-dir', str(folder / f'{evaluation.name}.{mode}'),
                     '--out', str(out), *words)
        rows = tuple(dict.fromkeys([*sources, *rows_in(content)]))
        made = Job(
            f'{job}.{mode}',
            title,
            words,
            (*self.first, *self._needs(name, seed, content, sources)),
            out,
            beside=(features, ) if features else (),
            seed=seed,
            configs={str(file): content},
            lists=_lists([content, [*evaluation.args], [*evaluation.command]]),
            rows=rows,
            usual=evaluation.usual)
        columns = (self._heads(name, seed, evaluation)
                   if evaluation.kind == 'pretext' else evaluation.columns)
        return [made], Result(name, seed, evaluation.name, made.name, out,
                              columns, features)

    def _downstream(self, name: str, seed: int, evaluation: Evaluation,
                    out: Path, title: str, job: str,
                    apart: bool) -> Tuple[List[Job], Result]:
        row = self.comparison.rows[name]
        options = {'randomness.seed': seed, **evaluation.cfg_options}
        cfg = self.read(evaluation.config)
        try:
            check_variables(cfg, evaluation.cfg_options)
        except ValueError as error:
            raise ValueError(f'The evaluation {evaluation.name} of the row '
                             f'{name}: {error}') from error
        cfg = downstream_config(cfg, row, self.comparison.configs[name])
        sources: Tuple[str, ...] = ()
        if row.checkpoint == RANDOM:
            options = {'model.backbone.init_cfg': None, **options}
        elif row.train or row.checkpoint != COLUMNS:
            source = f'{{row:{name}}}' if row.train else row.checkpoint
            options = {'checkpoint': source, **options}
            sources = rows_in(source)
        content = fill(
            merge(cfg, options).to_dict(), dict(seed=seed), keep)
        # What differs between the lists is trained for each of them.
        apart = apart or bool(_lists([content, [*evaluation.args]]))
        work = out.with_name(f'{evaluation.name}.{self.comparison.mode}'
                             if apart else evaluation.name)
        file = Path(f'{work}.py')
        config = {str(file): content}
        train = Job(
            f'{name}.seed{seed}.{work.name}',
            title,
            self._train_words(file, work, seed),
            (*self.first, *self._needs(name, seed, content, sources)),
            work,
            beside=(work / 'last_checkpoint', ),
            seed=seed,
            configs=config,
            lists=_lists(content),
            rows=rows_in(content),
            usual=evaluation.usual,
            judged=self.comparison.mode == 'dev')
        if self.comparison.mode == 'dev':
            return [train], Result(name, seed, evaluation.name, train.name,
                                   work, evaluation.columns)
        scored = work.with_name(f'{evaluation.name}.score')
        test = Job(
            f'{job}.score',
            f'{title} on the test list',
            (self.python, str(self.tools / 'test.py'), f'{scored}.py',
             f'@{work / "last_checkpoint"}', '--work-dir', str(scored),
             '--out', str(out), '--out-item', 'metrics',
             *self._words(evaluation.args, {}, seed)),
            (train.name, ),
            out,
            seed=seed,
            configs={f'{scored}.py': content},
            lists=_lists([content, [*evaluation.args]]),
            rows=rows_in(content),
            usual=evaluation.usual / 5)
        return [train, test], Result(name, seed, evaluation.name, test.name,
                                     out, evaluation.columns)

    def _train_words(self, file: Path, work: Path,
                     seed: int) -> Tuple[str, ...]:
        words = self.comparison.train_command or (
            '{python}', str(self.tools / 'train.py'), '{config}')
        return (*self._words(words, dict(config=str(file)), seed),
                '--work-dir', str(work), '--resume')

    def _checkpoint(self, name: str,
                    seed: int) -> Tuple[str, Tuple[str, ...]]:
        """The word of a row's checkpoint, and the rows that make it."""
        row = self.comparison.rows[name]
        source = f'{{row:{name}}}' if row.train else row.checkpoint
        return self._words([source], {}, seed)[0], rows_in(source)

    def _words(self, words, plain: dict,
               seed: Optional[int] = None) -> Tuple[str, ...]:

        def named(kind: str, name: str) -> str:
            if kind == 'lists':
                self._check_lists([name], 'A command')
                return str(lists_folder(self.comparison, name))
            if kind == 'row' and seed is not None:
                return f'@{self._pointer(name, seed)}'
            raise ValueError(
                f'A command cannot hold {{{kind}:{name}}}: set it in '
                'cfg_options.')

        return tuple(
            str(word) for word in fill([*words],
                                       dict(plain, python=self.python), named))

    def _pointer(self, name: str, seed: int) -> Path:
        return self.comparison.work_dir(name, seed) / 'last_checkpoint'

    def _needs(self, name: str, seed: int, content: dict,
               more: Tuple[str, ...] = ()) -> Tuple[str, ...]:
        """The pretrainings whose checkpoints a job reads."""
        needs = []
        for other in dict.fromkeys([*rows_in(content), *more]):
            row = self.comparison.rows.get(other)
            if row is None or not row.train:
                raise ValueError(
                    f'The row {name} needs the checkpoint of {other}, which '
                    'is no row that is trained: such rows are ' + ', '.join(
                        key for key, each in self.comparison.rows.items()
                        if each.train) + '.')
            if seed not in self.comparison.seeds_of(other):
                raise ValueError(
                    f'The row {name} needs {other} with seed {seed}, which '
                    f'it has not: its seeds are '
                    f'{", ".join(map(str, self.comparison.seeds_of(other)))}.')
            needs.append(pretrain_job(other, seed))
        self._check_lists(_lists(content), f'The row {name}')
        return tuple(needs)

    def _check_lists(self, names: Iterable[str], who: str) -> None:
        for name in names:
            if name not in self.comparison.lists:
                raise ValueError(
                    f'{who} reads the lists {name}, but lists of the '
                    'comparison has '
                    f'{", ".join(self.comparison.lists) or "none"}.')


def _lists(value) -> Tuple[str, ...]:
    return tuple(dict.fromkeys(names_in(value, 'lists')))


def _in_order(jobs: List[Job]) -> List[Job]:
    """Put each job after those it needs, and otherwise leave the order."""
    by_name = {job.name: job for job in jobs}
    placed: Dict[str, Job] = {}

    def place(job: Job, above: Tuple[str, ...]) -> None:
        if job.name in above:
            raise ValueError(
                f'{job.name} needs itself, by way of '
                f'{" and ".join(above[above.index(job.name) + 1:])}: correct '
                'the placeholders of the rows.')
        for need in job.needs:
            if need not in placed:
                place(by_name[need], (*above, job.name))
        placed.setdefault(job.name, job)

    for job in jobs:
        place(job, ())
    return [*placed.values()]
