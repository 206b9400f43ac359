# Copyright (c) mmmultissl contributors. All rights reserved.
import copy
from pathlib import Path
from typing import Optional, Union

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmmultissl.registry import RUNNERS

from .checkpoint import (check_pretrained, find_latest_complete,
                         install_safe_loading, load_and_compare,
                         load_checkpoint, require_fit, restore_histories,
                         save_checkpoint, state_dict_of)
from .collect import collect_checkpoint
from .cpu_ranks import cpu_wrapper_cfg, on_cpu, start_gloo
from .hooks import FinalValidationHook, FiniteLossHook
from .safe_load import MapLocation
from .stages.start_from import start_from

_RESUME_HINT = ('Use the config with which the run was started, or give the '
                'file as load_from without resume to start a new run from '
                'its weights.')
_STRICT_HINT = ('Use the config with which the checkpoint was trained, or set '
                'strict_load=False (--cfg-options strict_load=False) to load '
                'what fits and leave the rest as it is.')


@RUNNERS.register_module()
class StrictRunner(Runner):
    """mmengine's Runner that does not guess about checkpoints.

    - A file is read without executing what it holds, on every path.
    - A ``Pretrained`` module that its file does not fill, and a
      ``load_from`` or ``resume`` that does not fit, stop with the keys.
      ``strict_load = False`` in the config turns this into a log entry.
    - Checkpoints hold plain types and tensors and are written all or nothing.
    - Several processes without a GPU run over gloo.
    - A loss that is not a number stops the run, and is never saved.
    - A finished run that is resumed is validated once more.

    ``runner_type = 'mmmultissl.StrictRunner'`` selects it, in the tools of
    mmpretrain and mmdet too. Three keys of the config are its own:
    ``checkpoint``, the file for each ``Pretrained`` module that names none,
    ``strict_load``, and ``start_from``, the arguments of
    :func:`~mmmultissl.engine.stages.start_from`, by which a new run takes
    parts of another run's checkpoint. The arguments are those of
    :class:`mmengine.runner.Runner`.
    """

    def __init__(self, *args, **kwargs) -> None:
        install_safe_loading()
        super().__init__(*args, **kwargs)

    # Data

    @staticmethod
    def build_dataloader(dataloader: Union[DataLoader, dict],
                         *args,
                         **kwargs) -> DataLoader:
        """Build a data loader, also from configs of another package.

        Args:
            dataloader (DataLoader | dict): The loader or its config.
            *args: As in mmengine's Runner.
            **kwargs: As in mmengine's Runner.

        Returns:
            DataLoader: The loader.

        Raises:
            FileNotFoundError: If the data are not where the config says.
        """
        if isinstance(dataloader, dict):
            dataloader = copy.deepcopy(dataloader)
            # `_base_ = 'package::...'` writes the scope into every dict with
            # a type, and mmengine would hand it to the function.
            if isinstance(dataloader.get('collate_fn'), dict):
                dataloader['collate_fn'].pop('_scope_', None)
        try:
            return Runner.build_dataloader(dataloader, *args, **kwargs)
        except FileNotFoundError as error:
            if error.errno is None:
                raise  # one of ours, which says it all
            hint = ('' if 'semi_anns' not in str(error.filename) else
                    ' (tools/coco_subset.py writes it)')
            raise FileNotFoundError(
                f'There is no {error.filename}, which the data set needs'
                f'{hint}: '
                'set data_root of the dataset (--cfg-options '
                'train_dataloader.dataset.data_root=DIR, and the same for '
                'val and test; the detection configs read COCO_ROOT and '
                'VOC_ROOT).') from error

    # Training

    def train(self) -> nn.Module:
        """Train, and stop where a loss is no longer a number.

        Returns:
            nn.Module: The trained model.

        Raises:
            ValueError: If the config is one of several runs.
        """
        if self.cfg.get('stages'):
            raise ValueError(
                'The config has stages, which are runs of their own: start it '
                'by tools/train.py of mmmultissl.')
        if not any(isinstance(hook, FiniteLossHook) for hook in self.hooks):
            self.register_hook(FiniteLossHook())
        if self._resume:
            self.register_hook(FinalValidationHook())
        return super().train()

    # Processes and devices

    def setup_env(self, env_cfg: dict) -> None:
        """Start the process group, then what mmengine sets up.

        Args:
            env_cfg (dict): The config's ``env_cfg``.
        """
        if self.distributed and on_cpu():
            start_gloo(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: Optional[dict],
                   model: nn.Module) -> nn.Module:
        """Wrap the model for several processes, on the CPU as well.

        Args:
            model_wrapper_cfg (dict, optional): The config's.
            model (nn.Module): The model.

        Returns:
            nn.Module: The model, in a wrapper if there are several processes.
        """
        if self.distributed and on_cpu() and not is_model_wrapper(model):
            self.logger.info(
                'There is no GPU: the processes talk over gloo, and batch '
                'norm takes its statistics in each process, since SyncBN '
                'exists on GPUs only.')
            model = revert_sync_batchnorm(model)
            self.cfg.sync_bn = None
            model_wrapper_cfg = cpu_wrapper_cfg(
                model_wrapper_cfg, self.cfg.get('find_unused_parameters',
                                                False))
        return super().wrap_model(model_wrapper_cfg, model)

    # Reading

    @property
    def strict_load(self) -> bool:
        """bool: Whether a checkpoint that does not fit is an error."""
        return self.cfg.get('strict_load', True)

    def _init_model_weights(self) -> None:
        check_pretrained(self._bare_model(), self.cfg.get('checkpoint'),
                         self.strict_load)
        super()._init_model_weights()
        if not self._resume:
            self._start_from()

    def _start_from(self) -> None:
        """Take over what the config's ``start_from`` names."""
        wanted = self.cfg.get('start_from')
        if wanted:
            start_from(self._bare_model(), **wanted)
            self.logger.info(
                f'Started from {wanted["checkpoint"]}: '
                f'{" ".join(wanted.get("parts", ["backbone."]))}')

    def load_or_resume(self) -> None:
        """Load ``load_from``, or continue the run of ``work_dir``."""
        if self._has_loaded or not self._resume or self._load_from:
            super().load_or_resume()
            return
        latest = find_latest_complete(self.work_dir)
        if latest is None:
            self.logger.info(f'There is no checkpoint in {self.work_dir} to '
                             'resume from: the run starts from the beginning.')
            self._start_from()
        else:
            self.resume(latest)

    def load_checkpoint(self,
                        filename: str,
                        map_location: MapLocation = 'cpu',
                        strict: Optional[bool] = None) -> dict:
        """Read a checkpoint into the model.

        Args:
            filename (str): Path or address of the file.
            map_location (str | torch.device | callable | dict | None): As in
                ``torch.load``. Defaults to 'cpu'.
            strict (bool, optional): Whether a key that is missing or of
                another shape is an error, and in a resumed run one that only
                the file has. Defaults to the config's ``strict_load``, which
                defaults to True.

        Returns:
            dict: The checkpoint.

        Raises:
            RuntimeError: If the file is unsafe, broken or does not fit.
        """
        checkpoint = load_checkpoint(filename, map_location)
        if not isinstance(checkpoint, dict):
            raise RuntimeError(
                f'{filename} holds a {type(checkpoint).__name__} and no '
                'state_dict: give a checkpoint of a training run.')
        lacking = {'meta', 'message_hub', 'optimizer'} - set(checkpoint)
        if self._resume and lacking:
            raise RuntimeError(
                f'{filename} has no {", ".join(sorted(lacking))}, so a run '
                'cannot be resumed from it: give it as load_from without '
                'resume to start from its weights.')
        # mmengine's resume would execute this text of mmcv 1.x's files.
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = restore_histories(
                checkpoint['message_hub'])
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)

        model = self._bare_model()
        mismatch = load_and_compare(
            model, state_dict_of(checkpoint, source=filename))
        # To start from a larger model is fine; to continue another is not.
        strict = self.strict_load if strict is None else strict
        require_fit(mismatch,
                    type(model).__name__,
                    filename,
                    _RESUME_HINT if self._resume else _STRICT_HINT,
                    strict or self._resume,
                    surplus_matters=self._resume)
        if mismatch.surplus and not self._resume:
            tops = sorted({key.split('.')[0] for key in mismatch.surplus})
            self.logger.info(f'{len(mismatch.surplus)} keys of {filename} are '
                             f'not in the model ({", ".join(tops)}).')
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint

    def _bare_model(self) -> nn.Module:
        return self.model.module if is_model_wrapper(
            self.model) else self.model

    # Writing

    @master_only
    def save_checkpoint(self,
                        out_dir: str,
                        filename: str,
                        file_client_args: Optional[dict] = None,
                        save_optimizer: bool = True,
                        save_param_scheduler: bool = True,
                        meta: Optional[dict] = None,
                        by_epoch: bool = True,
                        backend_args: Optional[dict] = None) -> None:
        """Write what mmengine's Runner writes, in plain types, all or nothing.

        Args:
            out_dir (str): The folder, on a local or mounted file system.
            filename (str): The file's name in it.
            file_client_args (dict, optional): Not supported. Defaults to
                None.
            save_optimizer (bool): Whether to store the optimizer. Defaults
                to True.
            save_param_scheduler (bool): Whether to store the schedulers.
                Defaults to True.
            meta (dict, optional): More to store as ``meta``. Defaults to
                None.
            by_epoch (bool): Whether it is called at the end of an epoch
                rather than of an iteration. Defaults to True.
            backend_args (dict, optional): Not supported. Defaults to None.

        Raises:
            ValueError: If the folder is not of the file system.
            TypeError: If something to be stored has no plain form.
            OSError: If the disk does not take it.
        """
        if file_client_args or backend_args or '://' in str(out_dir):
            raise ValueError(
                f'Checkpoints cannot be written to {out_dir} with '
                'backend_args: they are renamed into place, which needs a '
                'local or mounted folder; give one as work_dir.')
        # The loop counts on only after the hooks, so that one is added here.
        position = dict(
            epoch=self.epoch + int(by_epoch), iter=self.iter + int(
                not by_epoch))
        checkpoint = collect_checkpoint(self, {**position, **(meta or {})},
                                        save_optimizer, save_param_scheduler)
        self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        save_checkpoint(checkpoint, Path(out_dir) / filename)

    def register_hook(self,
                      hook: Union[Hook, dict],
                      priority: Union[str, int, None] = None) -> None:
        """Register a hook, ours in the place of mmengine's CheckpointHook.

        Args:
            hook (Hook | dict): The hook.
            priority (str | int, optional): Its priority. Defaults to the
                hook's own.
        """
        if isinstance(hook, dict) and hook.get('type') in (
                'CheckpointHook', 'mmengine.CheckpointHook', CheckpointHook):
            hook = dict(hook, type='mmmultissl.SafeCheckpointHook')
        super().register_hook(hook, priority)
