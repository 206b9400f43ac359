# Copyright (c) mmmultissl contributors. All rights reserved.
"""StrictRunner on a model of two layers."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from mmmultissl.engine.checkpoint import BrokenCheckpointError
from mmmultissl.engine.hooks.checkpoint_hook import SafeCheckpointHook
from mmmultissl.engine.runner import StrictRunner

from .small_run import SmallData, SmallModel, small_runner

ROOT = Path(__file__).parents[2]


def read(path):
    return torch.load(path, weights_only=True)


def files(folder):
    return sorted(path.name for path in Path(folder).glob('*')
                  if path.suffix == '.pth' or path.name == 'last_checkpoint')


# What is written


def test_checkpoint_holds_what_mmengine_stores_in_plain_types(tmp_path):
    runner = small_runner(tmp_path, randomness=dict(seed=3))
    runner.train()
    ours = read(tmp_path / 'iter_4.pth')
    hook = runner.hooks[[isinstance(h, CheckpointHook)
                         for h in runner.hooks].index(True)]
    Runner.save_checkpoint(
        runner, str(tmp_path), 'peer.pth', meta=dict(epoch=0, iter=4))
    peer = torch.load(tmp_path / 'peer.pth', weights_only=False)
    assert type(hook) is SafeCheckpointHook
    assert set(ours) == set(peer)
    assert set(ours['meta']) == set(peer['meta'])
    assert ours['meta']['iter'] == 4 and ours['meta']['seed'] == 3
    assert ours['meta']['dataset_meta'] == dict(classes=('cat', 'dog'))
    for key, value in peer['state_dict'].items():
        assert torch.equal(ours['state_dict'][key], value)
    assert ours['param_schedulers'] == peer['param_schedulers']
    for key, state in peer['optimizer']['state'].items():
        mine = ours['optimizer']['state'][key]['momentum_buffer']
        assert torch.equal(mine, state['momentum_buffer'])
    assert ours['optimizer']['param_groups'] == (
        peer['optimizer']['param_groups'])
    for name, buffer in peer['message_hub']['log_scalars'].items():
        mine = ours['message_hub']['log_scalars'][name]
        assert mine['log_history'].tolist() == buffer.data[0].tolist(), name
        assert mine['count_history'].tolist() == buffer.data[1].tolist()
    assert 'train/loss' in ours['message_hub']['log_scalars']


def test_positions_of_epochs_and_iterations(tmp_path):
    runner = small_runner(tmp_path)
    runner.train()
    for by_epoch, position in ((True, (1, 4)), (False, (0, 5))):
        runner.save_checkpoint(str(tmp_path), 'a.pth', by_epoch=by_epoch)
        meta = read(tmp_path / 'a.pth')['meta']
        assert (meta['epoch'], meta['iter']) == position
    runner.save_checkpoint(
        str(tmp_path), 'a.pth', save_optimizer=False,
        save_param_scheduler=False)
    assert set(read(tmp_path / 'a.pth')) == {
        'meta', 'state_dict', 'message_hub'
    }


def test_only_folders_of_the_file_system(tmp_path):
    runner = small_runner(tmp_path)
    with pytest.raises(ValueError, match='local or mounted folder'):
        runner.save_checkpoint('s3://bucket/run', 'a.pth')


def test_what_a_hook_adds_must_be_plain(tmp_path):

    class Adds(Hook):

        def before_save_checkpoint(self, runner, checkpoint):
            checkpoint['extra'] = object()

    with pytest.raises(TypeError, match='cannot store checkpoint.extra'):
        small_runner(tmp_path, custom_hooks=[Adds()]).train()
    assert files(tmp_path) == []


def test_old_checkpoints_go_only_when_the_new_one_is_complete(
        tmp_path, monkeypatch):
    seen = []
    real = torch.save

    def save(content, file):
        seen.append(files(tmp_path))
        real(content, file)

    monkeypatch.setattr(torch, 'save', save)
    hook = dict(max_keep_ckpts=1)
    small_runner(tmp_path, iters=6, checkpoint_hook=hook).train()
    assert seen == [[], ['iter_2.pth', 'last_checkpoint'],
                    ['iter_4.pth', 'last_checkpoint']]
    assert files(tmp_path) == ['iter_6.pth', 'last_checkpoint']
    assert (tmp_path / 'last_checkpoint').read_text() == str(
        tmp_path / 'iter_6.pth')


def test_a_failed_save_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    real, calls = torch.save, []

    def save(content, file):
        calls.append(1)
        if len(calls) == 2:
            raise OSError('No space left on device')
        real(content, file)

    monkeypatch.setattr(torch, 'save', save)
    with pytest.raises(OSError, match='make room on the disk'):
        small_runner(
            tmp_path, checkpoint_hook=dict(max_keep_ckpts=1)).train()
    assert files(tmp_path) == ['iter_2.pth', 'last_checkpoint']
    assert read(tmp_path / 'iter_2.pth')['meta']['iter'] == 2


def test_the_best_checkpoint_goes_last_as_well(tmp_path, monkeypatch):
    runner = small_runner(tmp_path, checkpoint_hook=dict(
        save_best='mAP', max_keep_ckpts=1))
    runner.train()
    hook = next(h for h in runner.hooks if isinstance(h, CheckpointHook))
    hook.after_val_epoch(runner, dict(mAP=0.1))
    assert 'best_mAP_iter_4.pth' in files(tmp_path)
    runner.train_loop._iter, seen, real = 5, [], torch.save

    def save(content, file):
        seen.append(files(tmp_path))
        real(content, file)

    monkeypatch.setattr(torch, 'save', save)
    hook.after_val_epoch(runner, dict(mAP=0.2))
    assert 'best_mAP_iter_4.pth' in seen[0]
    assert files(tmp_path) == [
        'best_mAP_iter_5.pth', 'iter_5.pth', 'last_checkpoint'
    ]
    # The same name again: the new file must not be taken for the old one.
    hook.after_val_epoch(runner, dict(mAP=0.3))
    assert 'best_mAP_iter_5.pth' in files(tmp_path)


# What is read


def test_resume_brings_everything_back(tmp_path):
    small_runner(tmp_path, iters=4).train()
    before = read(tmp_path / 'iter_4.pth')
    runner = small_runner(tmp_path, iters=4, resume=True)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(
        runner.param_schedulers)
    runner.load_or_resume()
    assert runner.iter == 4
    runner.save_checkpoint(
        str(tmp_path), 'again.pth', meta=dict(epoch=0, iter=4))
    after = read(tmp_path / 'again.pth')
    assert after['param_schedulers'] == before['param_schedulers']
    for part in ('state_dict', 'optimizer'):
        mine, theirs = after[part], before[part]
        if part == 'optimizer':
            assert mine['param_groups'] == theirs['param_groups']
            mine, theirs = mine['state'], theirs['state']
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    for name, value in before['message_hub']['log_scalars'].items():
        torch.testing.assert_close(
            after['message_hub']['log_scalars'][name], value)


def test_a_resumed_log_continues(tmp_path):
    small_runner(tmp_path, iters=4).train()
    first = read(tmp_path / 'iter_4.pth')['message_hub']['log_scalars']
    runner = small_runner(tmp_path, iters=6, resume=True)
    runner.train()
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 6
    assert losses[:4].tolist() == first['train/loss']['log_history'].tolist()


def test_resume_of_a_file_of_mmengine(tmp_path):
    runner = small_runner(tmp_path)
    runner.train()
    Runner.save_checkpoint(
        runner, str(tmp_path), 'peer.pth', meta=dict(epoch=0, iter=4))
    runner = small_runner(
        tmp_path, iters=5, load_from=str(tmp_path / 'peer.pth'), resume=True)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 5


def test_resume_without_a_checkpoint_starts(tmp_path):
    runner = small_runner(tmp_path, iters=2, resume=True)
    runner.train()
    assert runner.iter == 2


def test_resume_passes_over_a_damaged_checkpoint(tmp_path):
    small_runner(tmp_path).train()
    content = (tmp_path / 'iter_4.pth').read_bytes()
    (tmp_path / 'iter_4.pth').write_bytes(content[:-300])
    runner = small_runner(tmp_path, iters=5, resume=True)
    runner.train()
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 5
    (tmp_path / 'iter_2.pth').write_bytes(b'')
    for path in tmp_path.glob('iter_*.pth'):
        path.write_bytes(b'')
    with pytest.raises(BrokenCheckpointError, match='None of the 3'):
        small_runner(tmp_path, resume=True).train()


@pytest.mark.parametrize('resume', [True, False])
def test_another_shape_is_an_error_with_both_shapes(tmp_path, resume):
    small_runner(tmp_path).train()
    path = str(tmp_path / 'iter_4.pth')

    def other(**cfg):
        return small_runner(
            tmp_path / 'other', SmallModel(width=3), load_from=path,
            resume=resume, iters=6, cfg=cfg)

    with pytest.raises(RuntimeError) as error:
        other().train()
    told = str(error.value)
    assert path in told and 'does not fit SmallModel' in told
    assert 'backbone.conv.weight (file [2, 2], model [3, 2])' in told
    # In a resumed run the optimizer's state would not fit either.
    hint = 'load_from without resume' if resume else 'strict_load=False'
    assert hint in told.splitlines()[-1]
    if not resume:
        other(strict_load=False).train()


def test_missing_and_surplus_keys(tmp_path):
    small_runner(tmp_path).train()
    content = read(tmp_path / 'iter_4.pth')
    content['state_dict']['tasks.other.weight'] = torch.zeros(1)
    torch.save(content, tmp_path / 'more.pth')
    small_runner(
        tmp_path / 'a', load_from=str(tmp_path / 'more.pth')).train()
    with pytest.raises(RuntimeError, match='1 in the file only: tasks.other'):
        small_runner(
            tmp_path / 'b', load_from=str(tmp_path / 'more.pth'),
            resume=True).train()
    del content['state_dict']['head.bias']
    torch.save(content, tmp_path / 'less.pth')
    with pytest.raises(RuntimeError, match='1 not in the file: head.bias'):
        small_runner(
            tmp_path / 'a', load_from=str(tmp_path / 'less.pth')).train()


def test_a_file_without_weights(tmp_path):
    torch.save([1, 2], tmp_path / 'a.pth')
    with pytest.raises(RuntimeError, match='holds a list and no state_dict'):
        small_runner(
            tmp_path / 'run', load_from=str(tmp_path / 'a.pth')).train()


def test_resume_from_weights_alone(tmp_path):
    torch.save(SmallModel().state_dict(), tmp_path / 'a.pth')
    path = str(tmp_path / 'a.pth')
    small_runner(tmp_path / 'run', load_from=path).train()
    with pytest.raises(RuntimeError, match='no message_hub, meta, optimizer'):
        small_runner(tmp_path / 'run', load_from=path, resume=True).train()


# Pretrained


def pretrained(checkpoint, prefix='backbone.'):
    return SmallModel(
        init_cfg=dict(
            type='Pretrained', checkpoint=checkpoint, prefix=prefix))


def test_pretrained_fills_the_module(tmp_path):
    small_runner(tmp_path).train()
    path = tmp_path / 'iter_4.pth'
    for runner in (
            small_runner(tmp_path / 'a', pretrained(str(path))),
            small_runner(tmp_path / 'a', pretrained(None),
                         cfg=dict(checkpoint=str(path)))):
        runner._init_model_weights()
        weights = read(path)['state_dict']
        for key, value in runner.model.backbone.state_dict().items():
            assert torch.equal(value, weights[f'backbone.{key}']), key


def test_pretrained_must_be_named_and_complete(tmp_path):
    small_runner(tmp_path).train()
    path = str(tmp_path / 'iter_4.pth')
    with pytest.raises(ValueError, match='backbone is to start .* checkpoint'):
        small_runner(tmp_path / 'a', pretrained(None)).train()
    with pytest.raises(FileNotFoundError, match='no checkpoint file gone'):
        small_runner(tmp_path / 'a', pretrained('gone.pth')).train()
    with pytest.raises(RuntimeError, match="prefix='backbone.': set it"):
        small_runner(tmp_path / 'a', pretrained(path, 'encoder.')).train()
    content = read(path)
    content['state_dict']['backbone.conv.renamed'] = (
        content['state_dict'].pop('backbone.conv.weight'))
    torch.save(content, path)
    with pytest.raises(RuntimeError, match='1 not in the file: conv.weight'):
        small_runner(tmp_path / 'a', pretrained(path)).train()
    small_runner(
        tmp_path / 'a', pretrained(path), cfg=dict(strict_load=False)).train()


# Processes without a GPU


def launch(work_dir, *options, processes=2):
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node',
         str(processes), '--master_port', str(20000 + os.getpid() % 20000),
         '-m', 'tests.test_engine.small_run', str(work_dir),
         'launcher="pytorch"', *options],
        cwd=ROOT, capture_output=True, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES=''))
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.split() for line in done.stdout.splitlines()
            if line.startswith('rank ')]


@pytest.mark.slow
def test_two_processes_over_gloo(tmp_path):
    # The config asks for nccl and SyncBN, as inherited ones do.
    said = launch(tmp_path, 'sync_bn=True',
                  'env_cfg={"dist_cfg": {"backend": "nccl"}}')
    assert sorted(words[1] for words in said) == ['0', '1']
    assert {words[4] for words in said} == {'MMDistributedDataParallel'}
    assert len({words[5] for words in said}) == 1  # the same weights
    assert files(tmp_path) == ['iter_2.pth', 'iter_4.pth', 'last_checkpoint']
    # The wrapper leaves no trace, and two ranks resume from one file.
    assert 'head.weight' in read(tmp_path / 'iter_4.pth')['state_dict']
    said = launch(tmp_path, 'resume=True', 'iters=6')
    assert len({words[5] for words in said}) == 1
    assert 'iter_6.pth' in files(tmp_path)


def test_other_launchers_need_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr('mmmultissl.engine.runner.on_cpu', lambda: True)
    with pytest.raises(ValueError, match='started by torchrun'):
        small_runner(tmp_path, launcher='slurm')


def test_sync_bn_in_one_process(tmp_path):
    runner = small_runner(tmp_path, SmallModel(sync_bn=True), iters=2)
    runner.train()
    kinds = [type(module) for module in runner.model.modules()]
    assert nn.SyncBatchNorm not in kinds


# From configs


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmmultissl'])
def test_the_name_resolves_in_every_scope(tmp_path, scope):
    cfg = Config(
        dict(
            runner_type='mmmultissl.StrictRunner',
            default_scope=scope,
            model=dict(type='SmallStrictModel', width=3),
            work_dir=str(tmp_path),
            experiment_name=f'from_{scope}',
            log_level='ERROR'))
    assert type(RUNNERS.build(cfg)) is StrictRunner


# A run that was killed in its last validation


class Mean(BaseMetric):

    def process(self, data_batch, data_samples):
        self.results += [out.mean().item() for out in data_samples]

    def compute_metrics(self, results):
        return dict(mean=sum(results) / len(results))


class Killed(Hook):

    def before_val(self, runner):
        if runner.iter:
            raise KeyboardInterrupt


def with_validation(work_dir, **settings):
    runner = small_runner(
        work_dir,
        val_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=SmallData(),
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(),
        val_evaluator=Evaluator(Mean()),
        **settings)
    runner.model.val_step = lambda batch: runner.model(batch['x'], 'tensor')
    return runner


def test_a_finished_run_is_validated_once_more(tmp_path):
    scalars = 'vis_data/scalars.json'
    killed = with_validation(tmp_path, custom_hooks=[Killed()])
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    assert (tmp_path / 'iter_4.pth').exists()
    whole = with_validation(tmp_path / 'whole')
    whole.train()
    assert (Path(whole.log_dir) / scalars).read_text().count('"mean"') == 1
    resumed = with_validation(tmp_path, resume=True)
    resumed.train()
    assert (Path(resumed.log_dir) / scalars).read_text().count('"mean"') == 1


def test_a_resumed_run_is_validated_no_more_than_others(tmp_path):
    small_runner(tmp_path, iters=2).train()
    resumed = with_validation(tmp_path, resume=True)
    resumed.train()
    file = Path(resumed.log_dir) / 'vis_data/scalars.json'
    assert file.read_text().count('"mean"') == 1
