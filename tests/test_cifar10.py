"""CIFAR-10 from every place it may be in, and what is said where it is missing or damaged."""

import functools
import hashlib
import http.server
import os
import pickle
import re
import tarfile
import threading

import numpy as np
import published_cifar10 as tiny
import pytest

from jaxdl import cli, tasks
from jaxdl.checks import DataError, MissingData
from jaxdl.data import cifar10, download, prepared, published, stored, unpickling

BATCHES = tiny.drawn()
FORMS = ("binary", "python")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No test sees the data of this machine's user, nor those of another test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "usual"))
    for name in ("JAXDL_DATA_DIR", "JAXDL_CACHE"):
        monkeypatch.delenv(name, raising=False)


def check_read(data, batches=BATCHES):
    """What was read is what was drawn."""
    train_x, train_targets = tiny.images_of(batches, published.TRAIN)
    test_x, test_targets = tiny.images_of(batches, [published.TEST])
    expected = train_x, train_targets, test_x, test_targets
    for part, wanted, dtype in zip(data, expected, ["u1", "i4"] * 2, strict=True):
        np.testing.assert_array_equal(part, wanted)
        assert part.dtype == dtype


def refused(kind, pattern, attempt):
    """The attempt ends in one line of this kind."""
    with pytest.raises(kind, match=pattern) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    return caught.value


# ---- as its authors publish it


@pytest.mark.parametrize("form", FORMS)
def test_archives_and_folders_hold_the_images_that_were_written(form, tmp_path):
    files = tiny.contents(BATCHES, form)
    archive = tiny.write_archive(tmp_path / "cifar-10.tar.gz", files)
    check_read(published.read(archive, tiny.published(files, archive)))
    folder = tiny.write_folder(tmp_path / "anything", files)
    assert published.find(folder) == folder
    check_read(published.read(folder, tiny.published(files)))


@pytest.mark.parametrize(
    "place",
    ["", "cifar-10-batches-py", "datasets/cifar-10-batches-py", "target/cifar-10-batches-bin"],
)
def test_folders_are_found_where_torchvision_and_keras_leave_them(place, tmp_path):
    form = "binary" if place.endswith("bin") else "python"
    files = tiny.contents(BATCHES, form)
    folder = tiny.write_folder(tmp_path / "data" / place, files)
    (tmp_path / "cifar-10-batches-py").mkdir()  # an empty one is none
    check_read(published.read(published.find(tmp_path / "data"), tiny.published(files)))
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
    check_read(published.read(folder, tiny.published(files)))


@pytest.mark.parametrize("form", FORMS)
def test_the_official_checksums_refuse_another_archive(form, tmp_path):
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", tiny.contents(BATCHES, form))
    refused(DataError, "wrong checksum, md5 .* not c58f30108f.*", lambda: published.read(archive))


def test_the_official_checksums_refuse_other_batches(tmp_path):
    folder = tiny.write_folder(tmp_path / "folder", tiny.contents(BATCHES, "python"))
    refused(
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
    refused(DataError, f"{name} of .* wrong checksum", lambda: published.read(folder, checksums))


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_archive_is_seen(form, tmp_path):
    files = tiny.contents(BATCHES, form)
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", files)
    checksums = tiny.published(files, archive)
    archive.write_bytes(archive.read_bytes()[:60_000])
    refused(DataError, "wrong checksum.*cut short", lambda: published.read(archive, checksums))
    # without the checksum, too
    checksums = tiny.published(files, archive)
    refused(DataError, "no whole tar archive", lambda: published.read(archive, checksums))


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "cifar.tar.gz"
    path.write_bytes(b"<html>404</html>")
    checksums = tiny.published({}, path)
    refused(DataError, "no whole tar archive", lambda: published.read(path, checksums))


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
    refused(DataError, message, lambda: published.read(folder, tiny.published({})))


def test_an_archive_that_lacks_a_batch_is_refused(tmp_path):
    files = tiny.contents(BATCHES, "binary")
    del files["data_batch_4.bin"]
    archive = tiny.write_archive(tmp_path / "cifar.tar.gz", files)
    refused(
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
    refused(
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
        (np.ndarray, ((10**15,),)),
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
    refused(
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
    refused(DataError, "no batch of CIFAR", lambda: published.read(folder, tiny.published(files)))


# ---- as TensorFlow Datasets prepares it


def rows(seed, n):
    """Images and classes as users have them."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 10


SPLITS = {"train": rows(0, 12), "test": rows(1, 5)}


def check_prepared(dataset, splits=SPLITS):
    for split, (x, targets) in splits.items():
        read_x, read_targets = getattr(dataset, f"{split}_x"), getattr(dataset, f"{split}_targets")
        np.testing.assert_array_equal(read_x, x.transpose(3, 1, 2, 0))
        np.testing.assert_array_equal(read_targets, targets)
        assert (read_x.dtype, read_targets.dtype) == (np.uint8, np.int32)


def test_a_prepared_folder_is_read_and_converted_once(tmp_path, monkeypatch):
    version = tiny.write_prepared(tmp_path / "tfds" / "cifar10" / "3.0.2", SPLITS)
    for where in (tmp_path / "tfds", version.parent, version, str(version)):
        check_prepared(tasks.images("cifar10", data_dir=where).data)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1
    monkeypatch.setattr(prepared, "read", None)  # from here on nothing is decoded
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path / "tfds"))
    check_prepared(tasks.images("cifar10").data)


def test_another_source_is_converted_anew(tmp_path):
    for number, split in enumerate([SPLITS, {**SPLITS, "test": rows(2, 4)}]):
        version = tiny.write_prepared(tmp_path / str(number) / "cifar10" / "3.0.2", split)
        check_prepared(tasks.images("cifar10", data_dir=version).data, split)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 2


def test_the_newest_version_counts(tmp_path):
    newest = {**SPLITS, "train": rows(5, 3)}
    for number, splits in {"3.0.2": SPLITS, "3.0.10": newest, "2.9.9": SPLITS}.items():
        tiny.write_prepared(tmp_path / "cifar10" / number, splits)
    check_prepared(tasks.images("cifar10", data_dir=tmp_path).data, newest)


def test_jpegs_are_decoded_as_pillow_does(tmp_path):
    smooth = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (1, 32, 32, 3))
    splits = {"train": (smooth, [3]), "test": (smooth, [3])}
    version = tiny.write_prepared(tmp_path / "cifar10" / "1.0.0", splits, encoding="jpeg")
    x = tasks.images("cifar10", data_dir=version).data.train_x
    assert np.abs(x.astype(int) - smooth.transpose(3, 1, 2, 0)).max() < 8


def test_a_cache_that_is_damaged_or_off_costs_time_alone(tmp_path, monkeypatch):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)
    cifar10.load(version)
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1  # a pixel
    for damaged in (bytes(content), bytes(content[:5000]), b""):
        kept.write_bytes(damaged)
        refused(DataError, "is damaged", lambda: stored.read(kept))
        check_prepared(cifar10.load(version))
        check_prepared(stored.read(kept))  # it was written anew
    kept.unlink()
    monkeypatch.setenv("JAXDL_CACHE", "off")
    check_prepared(cifar10.load(version))
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    check_prepared(cifar10.load(version))


def test_nothing_is_half_written(tmp_path, monkeypatch):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    check_prepared(cifar10.load(version))
    with pytest.raises(OSError, match="No space"):
        cifar10.add(version)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_prepared_folder_that_is_damaged_is_refused(tmp_path):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)
    (records,) = version.glob("*-train.*")
    whole = records.read_bytes()
    for content in (whole[:20_000], b"x" * len(whole)):
        records.write_bytes(content)
        refused(DataError, "3.0.2 .*prepare it anew", lambda: cifar10.load(version))
    (version / "dataset_info.json").write_text("{")
    refused(DataError, "3.0.2 .*prepare it anew", lambda: cifar10.load(version))


@pytest.mark.parametrize(
    ("splits", "shape", "message"),
    [
        ({"train": SPLITS["train"]}, (32, 32, 3), "must have the splits train and test"),
        ({k: (x[:, :28], y) for k, (x, y) in SPLITS.items()}, (28, 32, 3), "image 0 is uint8"),
        ({k: (x, y + 1) for k, (x, y) in SPLITS.items()}, (32, 32, 3), "10 classes"),
    ],
)
def test_another_prepared_data_set_is_refused(splits, shape, message, tmp_path):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", splits, shape=shape)
    refused(DataError, message, lambda: cifar10.load(version))


def test_a_folder_that_needs_tensorflow_is_refused_where_named_and_passed_over_else(
    tmp_path, monkeypatch
):
    version = tiny.write_prepared(
        tmp_path / "usual" / "cifar10" / "3.0.2", SPLITS, file_format="tfrecord"
    )
    refused(DataError, "file_format='array_record'", lambda: cifar10.load(version))
    assert cifar10.usual_source() is None


# ---- where it is looked for


def test_places_are_looked_at_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "downloaded", lambda remote: remote.url)
    assert cifar10.load() == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    splits = [{**SPLITS, "train": rows(number, number)} for number in range(1, 5)]
    folders = [
        tiny.write_prepared(tmp_path / str(n) / "cifar10" / "3.0.2", each)
        for n, each in enumerate(splits)
    ]
    cifar10.add(folders[0])
    check_prepared(cifar10.load(), splits[0])
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "1"))
    check_prepared(cifar10.load(), splits[1])
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path / "2"))
    check_prepared(cifar10.load(), splits[2])
    check_prepared(cifar10.load(tmp_path / "3"), splits[3])


def test_a_named_folder_without_data_is_an_error_and_nothing_else_is_taken(tmp_path, monkeypatch):
    cifar10.add(tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS))
    (tmp_path / "empty").mkdir()
    for where in (tmp_path / "empty", tmp_path / "nowhere"):
        error = refused(
            MissingData,
            "data_dir must be or hold .*array_record.*",
            lambda where=where: cifar10.load(where),
        )
        assert isinstance(error, FileNotFoundError)
        assert isinstance(error, ValueError)
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path / "nowhere"))
    refused(MissingData, "JAXDL_DATA_DIR must be", cifar10.load)
    refused(ValueError, "data_dir must be a folder", lambda: cifar10.load(3))


# ---- downloads


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of this machine's with an archive of some megabytes, and what it is asked for."""
    folder = tmp_path_factory.mktemp("served")
    files = tiny.contents(tiny.drawn(200), "binary")
    archive = tiny.write_archive(folder / "cifar-10-binary.tar.gz", files)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, text, *arguments):
            asked.append(text % arguments)

    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    remote = download.Remote(
        f"http://127.0.0.1:{server.server_port}/{archive.name}",
        archive.stat().st_size,
        hashlib.sha256(archive.read_bytes()).hexdigest(),
    )
    yield remote, tiny.published(files, archive, rows=200), asked
    server.shutdown()
    server.server_close()


def test_a_download_is_shown_checked_and_kept(served, tmp_path, capfd):
    remote, checksums, asked = served
    check_read(cifar10.downloaded(remote, checksums), tiny.drawn(200))
    shown = capfd.readouterr()
    assert shown.out == ""
    # how much of how much, time so far, time left, rate
    assert re.search(r"\d/3 \[\d\d:\d\d<.*MiB/s\]", shown.err)
    asked.clear()
    check_read(cifar10.load(), tiny.drawn(200))  # now it is an added copy
    assert not asked
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["cifar10.npz"]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"sha256": "0" * 64}, DataError, "wrong checksum"),
        ({"size": 1}, DataError, "wrong checksum"),
        ({"url": "http://127.0.0.1:1/none.tar.gz"}, MissingData, "cannot be reached"),
    ],
)
def test_a_download_that_fails_leaves_nothing(change, kind, message, served, tmp_path):
    remote, checksums, _ = served
    refused(kind, message, lambda: cifar10.downloaded(remote._replace(**change), checksums))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_missing_file_on_the_server_is_said_to_be_missing(served):
    remote, checksums, _ = served
    elsewhere = remote._replace(url=remote.url.replace("cifar-10", "other"))
    error = refused(
        MissingData, "cannot be reached", lambda: cifar10.downloaded(elsewhere, checksums)
    )
    assert "jaxdl data add" in str(error)


# ---- the command line


def test_data_add_and_list(tmp_path, capsys, monkeypatch):
    assert cli.main(["data", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "digits     1438 training and 359 test images; comes with scikit-learn",
        "cifar10    not here: it would be downloaded; or `jaxdl data add PATH`",
    ]
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)
    assert cli.main(["data", "add", str(version)]) == 0
    (added,) = capsys.readouterr().out.splitlines()
    assert re.search("added: 12 training and 5 test images, sha256 .* from .*3.0.2", added)
    monkeypatch.setenv("JAXDL_DATA_DIR", str(tmp_path))
    tasks.images("cifar10")
    cli.main(["data", "list"])
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines == [
        f"cifar10    JAXDL_DATA_DIR, prepared: {version}",
        added,
        added.replace("added", "converted"),
    ]


def test_data_add_takes_an_archive_and_refuses_what_is_not_the_published_one(
    tmp_path, capsys, monkeypatch
):
    files = tiny.contents(BATCHES, "python")
    archive = tiny.write_archive(tmp_path / "cifar-10-python.tar.gz", files)
    escaping = tiny.write_archive(
        tmp_path / "escaping.tar.gz", files, extra=[tarfile.TarInfo("../outside")]
    )
    refused_ones = (archive, escaping, tmp_path / "nowhere", tmp_path / "cache")
    for path in refused_ones:
        assert cli.main(["data", "add", str(path)]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"error: .*\n", err)
    assert not (tmp_path / "cache").exists()
    official = tiny.published(files, archive)
    monkeypatch.setattr(published.read, "__defaults__", (official,))
    assert cli.main(["data", "add", str(archive)]) == 0
    check_read(cifar10.load())


def test_a_kept_copy_that_is_damaged_is_said_to_be(tmp_path, capsys):
    cifar10.add(tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS))
    cifar10.added().write_bytes(b"PK")
    refused(DataError, "cifar10.npz is damaged .*: delete it", cifar10.load)
    assert cli.main(["data", "list"]) == 0
    assert "is damaged" in capsys.readouterr().out


def test_data_cannot_be_kept_where_the_cache_is_off(tmp_path, capsys, monkeypatch):
    version = tiny.write_prepared(tmp_path / "cifar10" / "3.0.2", SPLITS)
    monkeypatch.setenv("JAXDL_CACHE", "off")
    assert cli.main(["data", "add", str(version)]) == 2
    assert "JAXDL_CACHE must not be 'off'" in capsys.readouterr().err


def test_an_experiment_without_its_data_ends_with_3(capsys, monkeypatch):
    from experiments import __main__ as experiments

    monkeypatch.setattr(experiments, "run", lambda options: cifar10.load("/nowhere"))
    assert experiments.main(["batch_size"]) == 3
    assert re.fullmatch(r"error: data_dir must be or hold .*\n", capsys.readouterr().err)
