"""The files that names, patterns and folders stand for."""

import glob
import os


def find_files(patterns):
    """Return the files of paths, patterns such as "part-*.csv" and folders, in the order of their names.

    A file that patterns or folders find twice, because of links or because they overlap, is taken only once.
    Files that are named themselves are taken as often as they are named.

    Raises
    ------
    FileNotFoundError
        Nothing is there; the message says what was looked for.
    """
    found = []
    for pattern in map(os.fspath, patterns):
        if os.path.isdir(pattern):
            inside = sorted(name for name in os.listdir(pattern) if not name.startswith((".", "_")))
            paths = [path for name in inside if os.path.isfile(path := os.path.join(pattern, name))]
        elif os.path.exists(pattern):
            found.append(pattern)
            continue
        else:
            paths = sorted(glob.glob(pattern))
        if not paths:
            raise FileNotFoundError(2, _told(pattern), pattern)
        found += _once(paths, set(map(_file_of, found)))
    return found


def _told(pattern):
    """Why a pattern or a folder stands for no file."""
    if pattern == "-":
        return "no such file; a pipe is read only once: write its output to a file first"
    if not os.path.isdir(pattern):
        return "no such file" + ("; in a pattern, [[] stands for a bracket" if "[" in pattern else "")
    inside = sorted(os.listdir(pattern))
    folders = [name for name in inside if os.path.isdir(os.path.join(pattern, name))]
    if folders:
        within = os.path.join(pattern, "*", "*")
        return f"the folder has no files, only folders such as {folders[0]!r}; {within!r} takes their files"
    hidden = f", only {inside[0]!r}: names that begin with . or _ are left out" if inside else ""
    return (
        f"the folder has no files{hidden}; expected .parquet, .feather, .npy, .npz or svmlight files, or "
        "text (.csv, .tsv and similar, also compressed)"
    )


def _once(paths, known):
    """Return a path for each file that is not known, in their order, and not a link if there is another."""
    names = {}
    for path in sorted(paths, key=os.path.islink):
        names.setdefault(_file_of(path), path)
    return [path for path in paths if names[_file_of(path)] is path and _file_of(path) not in known]


def _file_of(path):
    """An identifier that all names of a file share; for a broken link, its path, which fails when opened."""
    try:
        status = os.stat(path)
    except OSError:
        return path
    return status.st_dev, status.st_ino
