"""Makes tiny CIFAR-10s for tests, byte for byte in the forms that the real one has."""

import hashlib
import io
import json
import struct
import tarfile

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from jaxdl.data.published import BATCHES, Published

ROWS = 10  # images of a batch


def drawn(rows=ROWS):
    """Name of a batch -> (rows, 3072) bytes and a class a row, each class as often as another."""
    rng = np.random.default_rng(0)
    batches = {}
    for name in BATCHES:
        data = rng.integers(0, 256, (rows, 3072), dtype=np.uint8)
        batches[name] = data, rng.permutation(np.arange(rows) % 10)
    return batches


def binary(data, labels):
    """A batch as in cifar-10-binary.tar.gz: a byte for the class, then those of the picture."""
    return b"".join(bytes([label]) + row.tobytes() for row, label in zip(data, labels, strict=True))


def short_text(text):
    """A string as Python 2's cPickle writes it."""
    return b"U" + bytes([len(text)]) + text


def pickled(data, labels):
    """A batch as in cifar-10-python.tar.gz: protocol 2, written by cPickle of Python 2.7."""
    pixels = data.tobytes()
    rows = struct.pack("<H", len(data))
    return b"".join(
        [
            b"\x80\x02}q\x01(",
            short_text(b"batch_label") + b"q\x02" + short_text(b"training batch 1 of 5") + b"q\x03",
            short_text(b"labels") + b"q\x04]q\x05(",
            *(b"K" + bytes([label]) for label in labels),
            b"e" + short_text(b"data") + b"q\x06",
            b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08",
            b"K\x00\x85" + short_text(b"b") + b"\x87Rq\x09(K\x01",
            b"M" + rows + b"M\x00\x0c\x86",
            b"cnumpy\ndtype\nq\x0a" + short_text(b"u1") + b"K\x00K\x01\x87Rq\x0b(K\x03",
            short_text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89",
            b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb",
            short_text(b"filenames") + b"q\x0c]q\x0d(" + short_text(b"a_s_000001.png") + b"e",
            b"u.",
        ]
    )


def contents(batches, form):
    """Name of a file -> its bytes."""
    if form == "binary":
        return {f"{name}.bin": binary(*batch) for name, batch in batches.items()}
    return {name: pickled(*batch) for name, batch in batches.items()}


def published(files, archive=None, rows=ROWS):
    """The checksums of what a test has written."""
    archives = {} if archive is None else {md5(archive.read_bytes()): archive.name}
    return Published(archives, {name: md5(content) for name, content in files.items()}, rows)


def md5(content):
    return hashlib.md5(content).hexdigest()


def write_folder(folder, files):
    """A folder as it is unpacked."""
    folder.mkdir(parents=True)
    for name, content in {**files, "readme.html": b"<html>"}.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path, files, folder="cifar-10-batches", extra=()):
    """An archive, the folder its first member."""
    with tarfile.open(path, "w:gz") as archive:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        archive.addfile(top)
        for member in extra:
            archive.addfile(member)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def images_of(batches, names):
    """What reading must give: (3, 32, 32, n) and classes, of batches in order."""
    data, labels = zip(*(batches[name] for name in names), strict=True)
    rows = np.concatenate(data)
    return np.moveaxis(rows.reshape(-1, 3, 32, 32), 0, -1), np.concatenate(labels)


def write_prepared(version, splits, encoding="png", shape=(32, 32, 3), file_format="array_record"):
    """A folder that TensorFlow Datasets might have prepared.

    Args:
      version: such as ``.../cifar10/3.0.2``.
      splits: name -> (images, (n, height, width, channels), classes (n,)).
      encoding: of the pictures.
    """
    version.mkdir(parents=True)
    for split, (x, targets) in splits.items():
        path = version / f"cifar10-{split}.{file_format}-00000-of-00001"
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for image, label in zip(x, targets, strict=True):
            writer.write(example(image, int(label), encoding))
        writer.close()
    features = {"image": image_feature(encoding, shape), "label": LABEL}
    dictionary = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    told = {"pythonClassName": dictionary, "featuresDict": {"features": features}}
    (version / "features.json").write_text(json.dumps(told))
    (version / "label.labels.txt").write_text("\n".join(map(str, range(10))))
    (version / "dataset_info.json").write_text(json.dumps(info(version, splits, file_format)))
    return version


def example(image, label, encoding):
    """A serialised tf.train.Example."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze()).save(buffer, encoding, quality=95)
    message = tf_example_pb2.Example()
    message.features.feature["image"].bytes_list.value.append(buffer.getvalue())
    message.features.feature["label"].int64_list.value.append(label)
    return message.SerializeToString()


LABEL = {
    "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
    "classLabel": {"numClasses": "10"},
}


def image_feature(encoding, shape):
    """The description of the pictures."""
    name = "tensorflow_datasets.core.features.image_feature.Image"
    dimensions = {"dimensions": list(map(str, shape))}
    image = {"dtype": "uint8", "encodingFormat": encoding, "shape": dimensions}
    return {"pythonClassName": name, "image": image}


def info(version, splits, file_format):
    """The description of a version."""
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    parts = [
        {"name": name, "filepathTemplate": template, "numBytes": "1", "shardLengths": [str(len(y))]}
        for name, (_, y) in splits.items()
    ]
    return {
        "name": "cifar10",
        "version": version.name,
        "moduleName": "__main__",
        "fileFormat": file_format,
        "splits": parts,
    }
