# Copyright (c) mmmultissl contributors. All rights reserved.
"""Files that would leave a mark if they were unpickled unsafely."""
import pickle

import torch


class Trap:
    """Opens ``marker`` for writing when it is unpickled."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, 'w')


def _zip(content, path):
    torch.save(content, path)


def _old_format(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _pickle2(content, path):
    with open(path, 'wb') as file:
        pickle.dump(content['trap'], file, protocol=2)


def _pickle4(content, path):
    with open(path, 'wb') as file:
        pickle.dump(content['trap'], file, protocol=4)


WRITERS = dict(
    zip=_zip, old_format=_old_format, pickle2=_pickle2, pickle4=_pickle4)


def write_trap(path, marker, how='zip', **content):
    """Write a checkpoint that holds a trap beside what a run needs."""
    content = dict(
        dict(
            meta=dict(epoch=0, iter=1),
            state_dict={'net.weight': torch.zeros(1)},
            message_hub=dict(
                log_scalars={}, runtime_info={}, resumed_keys={})), **content)
    WRITERS[how](dict(content, trap=Trap(marker)), path)
    return str(path)
