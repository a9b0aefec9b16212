"""Files that are written: never half of one, with the permissions that were there, nothing left behind."""

import fcntl  # noqa: F401  so that a child with fewer rights need not import it
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile

import pytest

from conftest import draw
from logreg_accel import load
from logreg_accel.persistence.writing import check_writable, write_whole

X, Y, _, _ = draw(60, 3)


def in_child(work):
    """The exit code of a fork: 0 where work() returned, 42 for an OSError, minus the number of a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except OSError:
            code = 42
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_full_disk_leaves_what_was_there(saved, tmp_path):
    before = saved.read_bytes()
    for limit in (0, 1, 500, 1500, len(before) - 1):

        def work(limit=limit):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            load(saved).save(saved)

        assert in_child(work) == 42
        assert saved.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == ["model.npz"]


@pytest.mark.parametrize("name", ["fsync", "replace", "fchmod"])
def test_whatever_fails_what_was_there_stays(saved, tmp_path, monkeypatch, name):
    before = saved.read_bytes()
    model = load(saved)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(os, name, _no_more)
        model.save(saved)
    assert saved.read_bytes() == before and os.listdir(tmp_path) == ["model.npz"]


def _no_more(*_):
    raise OSError("no more")


def test_links_and_pipes_stay_what_they_are(saved, tmp_path):
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(saved)
    load(saved).set_params(C=3.0).save(link)
    assert link.is_symlink() and load(saved).C == 3.0
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    load(saved).save(pipe)
    (tmp_path / "piped").write_bytes(reader.communicate(timeout=30)[0])
    assert pipe.is_fifo() and (load(tmp_path / "piped").coef_ == load(saved).coef_).all()


def test_an_open_pipe_is_written_to_by_the_name_of_its_number():
    """/dev/stdout is such a name, and the name that it links to is not."""
    reading, writing = os.pipe()
    check_writable(f"/dev/fd/{writing}")
    write_whole(f"/dev/fd/{writing}", lambda file: file.write(b"text"))
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read() == b"text"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_of_a_new_file_are_the_usual_ones(saved, tmp_path, mask, monkeypatch):
    model, before = load(saved), os.umask(mask)
    try:
        monkeypatch.setattr(os, "umask", _no_more)  # another thread may create files meanwhile
        model.save(tmp_path / "new")
        monkeypatch.undo()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_permissions_of_a_file_that_is_replaced_stay(saved, mode):
    saved.chmod(mode)
    load(saved).save(saved)
    assert stat.S_IMODE(saved.stat().st_mode) == mode


def test_the_owner_of_a_file_that_is_replaced_stays(saved):
    if os.geteuid():
        pytest.skip("only root may give files away")
    os.chown(saved, 12345, 12346)
    load(saved).save(saved)
    assert (saved.stat().st_uid, saved.stat().st_gid) == (12345, 12346)


@pytest.mark.parametrize("length", [200, 240, 255])
def test_names_of_any_length(tmp_path, length):
    path = tmp_path / ("n" * length)
    check_writable(path)
    write_whole(path, lambda file: file.write(b"text"))
    assert path.read_bytes() == b"text" and os.listdir(tmp_path) == [path.name]
    for function in (check_writable, lambda path: write_whole(path, _no_more)):
        with pytest.raises(OSError, match="name too long"):
            function(tmp_path / ("n" * 256))


def test_the_next_save_removes_what_a_killed_one_left(saved, tmp_path):
    def killed(file):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    before = saved.read_bytes()
    other = tmp_path / "other"
    for path in (saved, other):
        assert in_child(lambda path=path: write_whole(path, killed)) == -signal.SIGKILL
    assert saved.read_bytes() == before and len(os.listdir(tmp_path)) == 3
    load(saved).save(saved)
    assert len(os.listdir(tmp_path)) == 2
    write_whole(other, lambda file: file.write(b"whole"))
    assert sorted(os.listdir(tmp_path)) == ["model.npz", "other"]


def test_two_saves_at_once_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"

    def outer(file):
        file.write(b"out")
        write_whole(path, lambda inner: inner.write(b"inner"))
        assert path.read_bytes() == b"inner"
        file.write(b"er")

    write_whole(path, outer)
    assert path.read_bytes() == b"outer" and os.listdir(tmp_path) == ["file"]


def test_what_cannot_be_written_is_found_early(tmp_path):
    (tmp_path / "away").symlink_to(tmp_path / "nowhere" / "model")
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    for path, words in (
        (tmp_path / "away", "nowhere is not a folder"),
        (tmp_path / "ring", "symbolic links"),
        (tmp_path / "none" / "model", "none is not a folder"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(OSError, match=words):
            check_writable(path)
        with pytest.raises(OSError):
            write_whole(path, lambda file: file.write(b"text"))
    check_writable(tmp_path / "model")
    assert sorted(os.listdir(tmp_path)) == ["away", "ring"]


@pytest.fixture
def anybodys():
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def test_what_may_not_be_written_is_found_early(anybodys):
    """The target is write-protected although a rename could replace it, or its folder is."""
    locked, link, free = (os.path.join(anybodys, name) for name in ("locked", "link", "free"))
    os.mkdir(locked)
    os.mkdir(free)
    os.symlink(os.path.join(locked, "model"), link)
    kept = os.path.join(free, "kept")
    with open(kept, "w") as file:
        file.write("kept")
    os.chmod(kept, 0o444)
    os.chmod(locked, 0o555)
    os.chmod(free, 0o777)

    def as_nobody(work):
        if not os.geteuid():
            os.setuid(65534)
        work()

    for path in (link, kept):
        assert in_child(lambda path=path: as_nobody(lambda: check_writable(path))) == 42
        assert in_child(lambda path=path: as_nobody(lambda: write_whole(path, _no_more))) == 42
    assert in_child(lambda: as_nobody(lambda: check_writable(os.path.join(free, "new")))) == 0
    with open(kept) as file:
        assert file.read() == "kept"
    assert os.listdir(free) == ["kept"]
