"""What is shipped: the same files by every route, and one name in anybody's site-packages."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from cowork import __version__
from tests.house.tree import RINGS, ROOT


def _build(source: Path, target: Path, *kinds: str) -> None:
    """Build with the installed backend itself: nothing is downloaded, and the checkout is only read."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    for kind in kinds:
        command += ["-t", kind]
    run = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def _files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _the_only(folder: Path, pattern: str) -> Path:
    found: Sequence[Path] = list(folder.glob(pattern))
    assert len(found) == 1, f"expected one {pattern}, found {found}"
    return found[0]


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """Write the archive's files; by hand, because the first releases of Python 3.11 have no extraction filters."""
    for member in archive:
        content = archive.extractfile(member)
        assert content is not None, f"{member.name} is not a file"
        path = target / member.name
        assert path.resolve().is_relative_to(target)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("built")
    _build(ROOT, target, "wheel", "sdist")
    return target


@pytest.fixture(scope="module")
def wheel(built: Path) -> dict[str, bytes]:
    return _files(_the_only(built, "*.whl"))


def test_only_cowork_goes_into_site_packages(wheel: dict[str, bytes]) -> None:
    assert {name.partition("/")[0] for name in wheel} == {"cowork", f"cowork-{__version__}.dist-info"}


def test_the_wheel_holds_every_file_of_the_library(wheel: dict[str, bytes]) -> None:
    files = [path for ring in RINGS for path in (ROOT / ring).rglob("*") if path.is_file()]
    expected = {f"cowork/{path.relative_to(ROOT)}" for path in files if "__pycache__" not in path.parts}
    expected |= {"cowork/__init__.py", "cowork/py.typed"}
    assert {name for name in wheel if name.startswith("cowork/")} == expected


def test_every_package_of_the_wheel_is_typed(wheel: dict[str, bytes]) -> None:
    assert {f"cowork/{ring}/py.typed" for ring in RINGS} | {"cowork/py.typed"} <= set(wheel)


def test_the_wheel_from_the_sdist_is_the_wheel_from_the_tree(
    built: Path, wheel: dict[str, bytes], tmp_path: Path
) -> None:
    with tarfile.open(_the_only(built, "*.tar.gz")) as archive:
        _extract(archive, tmp_path)
    _build(_the_only(tmp_path, "cowork-*"), tmp_path / "again", "wheel")
    assert _files(_the_only(tmp_path / "again", "*.whl")) == wheel


def test_the_version_is_written_the_same_in_both_places() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{__version__}"\n' in project
