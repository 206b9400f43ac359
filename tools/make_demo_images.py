# Copyright (c) mmmultissl contributors. All rights reserved.
"""Write generated images in VOC2007's layout, with COCO annotations too.

    python tools/make_demo_images.py work_dirs/quickstart/data
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import argparse
import sys
import time

from mmmultissl.datasets.demo_images import write_demo_images


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Write generated images in the layout of VOC2007.')
    parser.add_argument('out', help='the folder to write')
    parser.add_argument('--seed', type=int, default=0,
                        help='determines the images (default: 0)')
    parser.add_argument('--num-train', type=int, default=600,
                        help='images in trainval (default: 600)')
    parser.add_argument('--num-test', type=int, default=300,
                        help='images in test (default: 300)')
    parser.add_argument('--size', type=int, default=160,
                        help='width and height in pixels (default: 160)')
    return parser.parse_args()


def main() -> int:
    """Write the images; see the module's text.

    Returns:
        int: The exit status.
    """
    args = parse_args()
    start = time.monotonic()

    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            passed = time.monotonic() - start
            left = passed / done * (total - done)
            print(f'[{done}/{total}] images, {passed:.0f} s passed, about '
                  f'{left:.0f} s left', flush=True)

    try:
        written = write_demo_images(args.out, args.seed, args.num_train,
                                    args.num_test, args.size, show)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f'{args.num_train} + {args.num_test} images of {args.size} px are '
          f'in {args.out}' + ('' if written else ' already'))
    return 0


if __name__ == '__main__':
    sys.exit(main())
