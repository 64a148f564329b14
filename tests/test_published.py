"""CIFAR-10 as its authors publish it: archives and folders in both forms, and what is refused of them."""

import functools
import os
import pickle
import tarfile

import numpy as np
import published_cifar10 as tiny
import pytest

from jaxdl.checks import DataError
from jaxdl.data import published, unpickling

BATCHES = tiny.drawn()
FORMS = ("binary", "python")


@pytest.mark.parametrize("form", FORMS)
def test_archives_and_folders_hold_the_images_that_were_written(form, tmp_path):
    files = tiny.contents(BATCHES, form)
    archive = tiny.write_archive(tmp_path / "cifar-10.tar.gz", files)
    tiny.check_read(published.read(archive, tiny.published(files, archive)))
    folder = tiny.write_folder(tmp_path / "anything", files)
    assert published.find(folder) == folder
    tiny.check_read(published.read(folder, tiny.published(files)))


@pytest.mark.parametrize(
    "place",
    ["", "cifar-10-batches-py", "datasets/cifar-10-batches-py", "target/cifar-10-batches-bin"],
)
def test_folders_are_found_where_torchvision_and_keras_leave_them(place, tmp_path):
    form = "binary" if place.endswith("bin") else "python"
    files = tiny.contents(BATCHES, form)
    folder = tiny.write_folder(tmp_path / "data" / place, files)
    (tmp_path / "cifar-10-batches-py").mkdir()  # an empty one is none
    tiny.check_read(published.read(published.find(tmp_path / "data"), tiny.published(files)))
    assert published.find(tmp_path / "data") == folder
    assert published.find(tmp_path / "cifar-10-batches-py") is None


def test_an_archive_in_a_folder_is_found(tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    tiny.write_archive(archive, {})
    assert published.find(tmp_path) == archive


def test_pickles_of_python_3_and_numpy_2_are_read(tmp_path):
    files = {}
    for name, (data, labels) in BATCHES.items():
        batch = {b"data": np.asfortranarray(data), b"labels": labels.tolist(), b"filenames": [b"a"]}
        files[name] = pickle.dumps(batch, protocol=2)
    assert b"numpy._core.multiarray" in files["test_batch"]
    folder = tiny.write_folder(tmp_path / "folder", files)
    tiny.check_read(published.read(folder, tiny.published(files)))


@pytest.mark.parametrize("form", FORMS)
def test_the_official_checksums_refuse_another_archive(form, tmp_path):
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", tiny.contents(BATCHES, form))
    tiny.refused(
        DataError, "wrong checksum, md5 .* not c58f30108f.*", lambda: published.read(archive)
    )


def test_the_official_checksums_refuse_other_batches(tmp_path):
    folder = tiny.write_folder(tmp_path / "folder", tiny.contents(BATCHES, "python"))
    tiny.refused(
        DataError,
        "data_batch_1 of .* has the wrong checksum, md5 .* not c99cafc152244af753f735de768cd75f",
        lambda: published.read(folder),
    )


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_one_changed_byte_of_a_batch_is_seen(name, tmp_path):
    files = tiny.contents(BATCHES, "python")
    checksums = tiny.published(files)
    files[name] = files[name][:-50] + b"?" + files[name][-49:]
    folder = tiny.write_folder(tmp_path / "folder", files)
    tiny.refused(
        DataError, f"{name} of .* wrong checksum", lambda: published.read(folder, checksums)
    )


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_archive_is_seen(form, tmp_path):
    files = tiny.contents(BATCHES, form)
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", files)
    checksums = tiny.published(files, archive)
    archive.write_bytes(archive.read_bytes()[:60_000])
    tiny.refused(DataError, "wrong checksum.*cut short", lambda: published.read(archive, checksums))
    # without the checksum, too
    checksums = tiny.published(files, archive)
    tiny.refused(DataError, "no whole tar archive", lambda: published.read(archive, checksums))


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "cifar.tar.gz"
    path.write_bytes(b"<html>404</html>")
    checksums = tiny.published({}, path)
    tiny.refused(DataError, "no whole tar archive", lambda: published.read(path, checksums))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "must hold 10 images of 3072 bytes"),
        (lambda content: content[: -(1 + 3072)], "must hold 10 images of 3072 bytes"),
        (lambda content: b"\x0a" + content[1:], "must hold classes 0 to 9, got 10"),
        (lambda content: content[3073:] + content[-3073:], "of each class"),
    ],
)
def test_binary_batches_are_checked_by_what_is_known_of_them(change, message, tmp_path):
    files = tiny.contents(BATCHES, "binary")
    files["data_batch_2.bin"] = change(files["data_batch_2.bin"])
    folder = tiny.write_folder(tmp_path / "folder", files)
    tiny.refused(DataError, message, lambda: published.read(folder, tiny.published({})))


def test_an_archive_that_lacks_a_batch_is_refused(tmp_path):
    files = tiny.contents(BATCHES, "binary")
    del files["data_batch_4.bin"]
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", files)
    tiny.refused(
        DataError,
        "none called data_batch_4",
        lambda: published.read(archive, tiny.published(files, archive)),
    )


# ---- what must not be trusted


def link(kind, name="cifar-10-batches/readme.html", target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/outside"),
        tarfile.TarInfo("cifar-10-batches/../../outside"),
        link(tarfile.SYMTYPE),
        link(tarfile.LNKTYPE),
        link(tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member.name} {member.type}",
)
def test_an_archive_with_paths_out_of_its_folder_is_refused(member, tmp_path):
    files = tiny.contents(BATCHES, "binary")
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", files, extra=[member])
    before = sorted(tmp_path.rglob("*"))
    tiny.refused(
        DataError,
        "must hold files and folders below its own, got",
        lambda: published.read(archive, tiny.published(files, archive)),
    )
    assert sorted(tmp_path.rglob("*")) == before


class Call:
    """Calls a function where it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch OUTSIDE",)),
        (eval, ("open('OUTSIDE', 'w')",)),
        (open, ("OUTSIDE", "w")),
        (np.ndarray, ((2,),)),
        (np.load, ("OUTSIDE",)),
        (functools.partial, (print,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_pickle_that_calls_anything_is_refused(
    function, arguments, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    evil = {b"data": BATCHES["test_batch"][0], b"labels": [Call(function, *arguments)]}
    files = tiny.contents(BATCHES, "python") | {"data_batch_1": pickle.dumps(evil, protocol)}
    folder = tiny.write_folder(tmp_path / "folder", files)
    tiny.refused(
        DataError, "is no batch of CIFAR-10", lambda: published.read(folder, tiny.published(files))
    )
    assert not (tmp_path / "OUTSIDE").exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array([open], object),  # an array of anything
        np.zeros(2, "M8[s]"),
        np.dtype([("a", "u1")]),
        {1, 2},
        1j,
        range(3),
        np.float64(1.0),
    ],
    ids=str,
)
def test_an_unpickled_value_is_of_numbers_lists_and_dicts(value):
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        unpickling.loads(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"garbage", b"\x80\x02}.", b"\x80\x02]."])
def test_damaged_pickles_are_refused_by_one_kind_of_error(content, tmp_path):
    files = dict.fromkeys(published.BATCHES, content)
    folder = tiny.write_folder(tmp_path / "folder", files)
    tiny.refused(
        DataError, "no batch of CIFAR", lambda: published.read(folder, tiny.published(files))
    )
