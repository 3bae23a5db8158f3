"""What the checks look at: the files of the repository, by kind."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def files(*patterns):
    """Return the paths, relative to ROOT, that git knows or would add.

    A check that finds nothing to check has failed, so none ends the program.
    """
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others",
         "--exclude-standard", "--", *patterns],
        check=True, capture_output=True, text=True).stdout.split("\0")
    found = sorted({name for name in listed if name and (ROOT / name).is_file()})
    if not found:
        sys.exit(f"no file matches {' '.join(patterns)}")
    return [pathlib.PurePath(name) for name in found]


def read(path):
    """Return the text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def report(check, faults):
    """Print the faults and end the program, with 1 where there are any."""
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(f"{check}: {len(faults)} fault(s)")
    sys.exit(0)
