"""An Audit Pack as a file: a ZIP of a BagIt bag (RFC 8493) whose manifest is signed.

audit-pack.evd_…/
  bagit.txt, bag-info.txt, manifest-sha256.txt, tagmanifest-sha256.txt
  audit-pack.evd_….dsse.json      the signed statement about manifest-sha256.txt
  data/…
"""

import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath

import bagit

SIGNED = ("manifest-sha256.txt", "bag-info.txt", "bagit.txt")
"""What the statement names: the manifest, and with it every file of the payload, and the tags."""


class BadPack(ValueError):
    """The file is no pack; the message says where."""


def bag(
    files: Iterable[tuple[str, bytes]], *, info: Mapping[str, str], at: datetime
) -> tuple[bytes, dict[str, bytes]]:
    """A bag of these files (path below `data/`, content) as a ZIP, not signed yet, and what is to be signed of it."""
    with tempfile.TemporaryDirectory(prefix="arm-pack-") as place:
        root = Path(place)
        for path, content in files:
            target = root / _checked(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        stated = {"Bagging-Date": f"{at:%Y-%m-%d}", "Bag-Software-Agent": "ARM", **info}
        bagit.make_bag(place, stated, checksums=["sha256"])
        return _zipped(root, "", at), {name: (root / name).read_bytes() for name in SIGNED}


def signed(unsigned: bytes, *, folder: str, name: str, envelope: bytes, at: datetime) -> bytes:
    """The bag with its signed statement beside the manifest, as a ZIP of one folder."""
    with tempfile.TemporaryDirectory(prefix="arm-pack-") as place:
        root = Path(place)
        with zipfile.ZipFile(BytesIO(unsigned)) as archive:
            archive.extractall(place)  # made by `bag`
        (root / name).write_bytes(envelope)
        bagit.Bag(place).save()
        return _zipped(root, f"{folder}/", at)


def _checked(path: str) -> str:
    if not is_path(path):
        raise BadPack(f"“{path[:80]}” is no path of a file in a pack.")
    return path


def is_path(path: str) -> bool:
    """Whether this is how a file in a pack is called: relative, in its plainest form, and of letters that are seen."""
    stated = PurePosixPath(path)
    plain = str(stated) == path and not stated.is_absolute() and ".." not in stated.parts and path != "."
    return (
        plain
        and path.isprintable()
        and "\\" not in path
        and all(len(part.encode()) < 256 for part in stated.parts)
    )


def _zipped(root: Path, prefix: str, at: datetime) -> bytes:
    """The same files and time give the same bytes."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(prefix + path.relative_to(root).as_posix(), at.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return made.getvalue()
