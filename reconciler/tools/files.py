"""Reads and writes files in directories that the tool could write too, so nothing found there is trusted.

The tool may have left a link, a pipe or a file without end where a result is expected; the run's own process stands
outside the sandbox and must not follow any of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from reconciler.tools.base import NotUnderstood, StepFailed, ToolJob

Given = ParamSpec("Given")
Result = TypeVar("Result")

LIMIT = 512 * 1024 * 1024
"""Bytes of one result file that are read at most."""


def read_result(path: Path, limit: int = LIMIT, top: Path | None = None) -> bytes | None:
    """Return a file's content; None if there is none; StepFailed for anything but a regular file, or too large.

    Where the file lies below a directory that the tool could have replaced, `top` is the last one that it could not:
    no link on the way from there is followed.
    """
    try:
        with _parent_of(path, top) as parent:
            name = path if parent is None else path.name
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepFailed(f"{path.name} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StepFailed(f"{path.name} is not a regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise StepFailed(f"{path.name} is larger than {limit // 1024} KiB")
    return data


@contextlib.contextmanager
def _parent_of(path: Path, top: Path | None) -> Iterator[int | None]:
    if top is None:
        yield None
        return
    if not os.path.lexists(path.parent):
        raise FileNotFoundError(path.parent)
    descriptor = _open_below(top, path.parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_json(path: Path, limit: int = LIMIT, top: Path | None = None) -> Any:
    """Return the JSON value in a file; None where there is no file; else StepFailed, whose message has no content."""
    data = read_result(path, limit, top)
    return None if data is None else parse_json(data, path.name)


def parse_json(data: bytes, what: str) -> Any:
    """Return the value of some JSON; NotUnderstood names `what` and the place, never the content.

    What Python takes for JSON and others do not is refused: numbers that are infinite or none, and text that holds
    half of a surrogate pair, which nobody could write down again.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"))
        _check_text(value)
    except json.JSONDecodeError as error:
        why = f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
    except UnicodeDecodeError as error:
        why = f"{what} is not JSON: byte {error.start} is not UTF-8"
    except UnicodeEncodeError:
        why = f"{what} is not JSON that can be read: it holds half of a surrogate pair"
    except (ValueError, RecursionError):
        why = f"{what} is not JSON that can be read"
    else:
        return value
    raise NotUnderstood(why, data)


_DEEPEST = 100


def check_depth(value: Any, what: str) -> None:
    """Raise StepFailed, which names `what`, for JSON so deeply nested that not everybody after us could read it."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [item for each in level if isinstance(each, dict | list) for item in _items(each)]
        if not level:
            return
    raise StepFailed(f"{what} is nested more than {_DEEPEST} levels deep")


def _items(each: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return each.values() if isinstance(each, dict) else each


def strict_json(text: str) -> tuple[bool, Any]:
    """Return whether a text is JSON, in the strict sense of `parse_json`, and its value."""
    try:
        value = json.loads(text)
        _check_text(value)
    except (ValueError, RecursionError):
        return False, None
    return True, value


def _check_text(value: Any) -> None:
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def shape_of(what: str) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Make a reader of a tool's JSON raise NotUnderstood, which names `what`, for a shape that it was not written for.

    The JSON is the reader's first argument.
    """

    def wrap(read: Callable[Given, Result]) -> Callable[Given, Result]:
        @wraps(read)
        def reading(*args: Given.args, **kwargs: Given.kwargs) -> Result:
            try:
                return read(*args, **kwargs)
            except NotUnderstood as error:
                error.raw = error.raw or _written(args)
                raise
            except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
                raise NotUnderstood(f"{what} has a shape that is not known", _written(args)) from None

        return reading

    return wrap


def _written(args: Sequence[Any]) -> bytes:
    try:
        return json.dumps(args[0], ensure_ascii=False, indent=1, default=str).encode(errors="replace")
    except (IndexError, RecursionError, TypeError, ValueError):
        return b""


def write_scratch(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 into the run's scratch directory, in place of whatever has that name."""
    remove(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def fresh_directory(path: Path) -> Path:
    """Make an empty directory of mode 0700 in place of whatever has that name, and return it.

    Its parent has to be one that no command could have replaced by a link: the scratch directory, or a fresh one.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir(mode=0o700)
    return path


def remove(path: Path) -> None:
    """Remove a file or a link, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def write_beside_source(job: ToolJob, name: str, data: bytes) -> None:
    """Write a new file into the directory that the tool runs in, never through a link on the way from the run's root.

    A hook may have replaced any directory below the work directory with a link; what lies above both the work and
    the scratch directory is the service's own.
    """
    descriptor = _open_below(Path(os.path.commonpath([job.directory, job.scratch])), job.directory)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=descriptor)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=descriptor), "wb") as file:
            file.write(data)
    except OSError as error:
        raise StepFailed(f"{name} cannot be written: {error.strerror}") from None
    finally:
        os.close(descriptor)


def remove_beside_source(job: ToolJob, name: str) -> None:
    """Remove a file, a link or a whole directory of that name from the directory that the tool runs in."""
    descriptor = _open_below(Path(os.path.commonpath([job.directory, job.scratch])), job.directory)
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=descriptor)
        else:
            os.unlink(name, dir_fd=descriptor)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StepFailed(f"{name} cannot be removed: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _open_below(top: Path, directory: Path) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(top, flags)
    for part in directory.relative_to(top).parts:
        try:
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            raise StepFailed(f"{part} in the work directory cannot be entered: {error.strerror}") from None
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor
