"""Downloads a published archive through TensorFlow Datasets, which checks it and shows the rate and
the time left on stderr."""

import pathlib
from typing import NamedTuple

from jaxdl.checks import DataError, MissingData, first_line

SECONDS = 10  # to wait for an answer at all


class Remote(NamedTuple):
    """An archive on the web."""

    url: str
    size: int  # bytes
    sha256: str


def fetch(remote: Remote, folder: pathlib.Path) -> pathlib.Path:
    """Downloads an archive into a folder; one that is there already is not downloaded again.

    Raises:
      MissingData: no answer, or not the file.
      DataError: another file than was expected.
    """
    _check_there(remote.url)
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.utils import Size

    name = remote.url.rsplit("/", 1)[-1]
    expected = UrlInfo(size=Size(remote.size), checksum=remote.sha256, filename=name)
    try:
        manager = tfds.download.DownloadManager(
            download_dir=folder,
            url_infos={remote.url: expected},
            force_checksums_validation=True,
        )
        return pathlib.Path(manager.download(remote.url))
    except NonMatchingChecksumError:
        raise DataError(
            f"{remote.url} has the wrong checksum, not sha256 {remote.sha256} of {remote.size} "
            "bytes: the download was cut short or is another file"
        ) from None
    except Exception as error:  # of requests, urllib3 or the disk
        raise MissingData(f"{remote.url} cannot be downloaded: {first_line(error)}") from None


def _check_there(url: str):
    """Asks for the file's head: TensorFlow Datasets tries ten times, for minutes, where there is no
    network."""
    import requests

    try:
        requests.head(url, timeout=SECONDS, allow_redirects=True).raise_for_status()
    except (requests.RequestException, OSError) as error:
        raise MissingData(f"{url} cannot be reached ({type(error).__name__})") from None
