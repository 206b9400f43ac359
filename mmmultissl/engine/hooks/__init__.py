# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.engine.hooks.checkpoint_hook import SafeCheckpointHook
from mmmultissl.engine.hooks.final_validation_hook import FinalValidationHook
from mmmultissl.engine.hooks.finite_loss_hook import FiniteLossHook
from mmmultissl.engine.hooks.monitor import MonitorHook
from mmmultissl.engine.hooks.resume_record_hook import ResumeRecordHook
from mmmultissl.engine.hooks.skipped_sample_hook import SkippedSampleHook
from mmmultissl.engine.hooks.voc07_hook import VOC07Hook

__all__ = [
    'FinalValidationHook', 'FiniteLossHook', 'MonitorHook', 'ResumeRecordHook',
    'SafeCheckpointHook', 'SkippedSampleHook', 'VOC07Hook'
]
