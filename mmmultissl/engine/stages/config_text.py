# Copyright (c) mmmultissl contributors. All rights reserved.
"""A config as the text of a file."""
import ast
from pprint import pformat

from mmengine.config import Config


def text_of(cfg: Config, about: str) -> str:
    """Write a config as the text of a file.

    mmengine's own ``dump`` sorts the keys, but the order of tasks is the
    order in which their weights are drawn.

    Args:
        cfg (Config): The config.
        about (str): Its first line, a comment.

    Returns:
        str: The text.

    Raises:
        ValueError: If it holds something that is no plain value.
    """
    lines = [f'# {about}']
    for key, value in cfg.to_dict().items():
        text = pformat(value, sort_dicts=False, width=79)
        try:
            ast.literal_eval(text)
        except ValueError:
            raise ValueError(
                f'The config has something in {key} that cannot be written '
                'into the config of a stage: use numbers, strings, lists and '
                'dicts, and name types by strings.') from None
        lines.append(f'{key} = {text}')
    return '\n'.join(lines) + '\n'
