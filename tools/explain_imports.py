# Copyright (c) mmmultissl contributors. All rights reserved.
"""Importing this lets a program end in doctor's verdict if an import fails.

The tools import it before anything else, when they are run as programs.
"""
import os
import sys

from doctor import load_doctor

_usual = sys.excepthook


def explain(kind, error, trace) -> None:
    """Print an error that nobody caught.

    Args:
        kind (type): Class of the error.
        error (BaseException): The error.
        trace (traceback): Where it was raised.
    """
    if not issubclass(kind, ImportError):
        _usual(kind, error, trace)
        return
    if os.environ.get('LOCAL_RANK', '0') != '0':
        # Of several processes the first one explains.
        print(error, file=sys.stderr)
        return
    doctor = load_doctor()
    text = (str(error) if kind.__name__ == doctor.Verdict.__name__ else
            doctor.verdict(error))
    if text is None:
        print('tools/doctor.py finds nothing wrong with what is installed:',
              file=sys.stderr)
        _usual(kind, error, trace)
        return
    print(text, file=sys.stderr)


sys.excepthook = explain
