"""The cache of compiled code knows all of the code that it was made of."""

import inspect
from pathlib import Path

from numba.core.dispatcher import Dispatcher

from dataio.format import compiled
from dataio.format.tar import kernel


def test_a_digest_changes_with_every_file(tmp_path: Path) -> None:
    for name in ("__init__.py", "a.py", "alone.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "b.py").write_text("1")
    places = [tmp_path / "alone.py", tmp_path / "package" / "__init__.py"]
    before = compiled.sources(places)
    assert compiled.sources(places) == before
    (tmp_path / "a.py").write_text("not among them")
    assert compiled.sources(places) == before
    (tmp_path / "package" / "b.py").write_text("2")
    changed = compiled.sources(places)
    (tmp_path / "package" / "b.py").rename(tmp_path / "package" / "c.py")
    assert len({before, changed, compiled.sources(places)}) == 3


def functions(function, found: dict[str, Path]) -> dict[str, Path]:
    """All compiled functions that a function calls, and their files."""
    for value in inspect.getclosurevars(function).globals.values():
        called = getattr(value, "py_func", None) if isinstance(value, Dispatcher) else None
        if called and f"{called.__module__}.{called.__name__}" not in found:
            found[f"{called.__module__}.{called.__name__}"] = Path(inspect.getfile(called))
            functions(called, found)
    for name in function.__code__.co_names:  # those called through their module
        for module in inspect.getclosurevars(function).globals.values():
            value = getattr(module, name, None) if inspect.ismodule(module) else None
            if isinstance(value, Dispatcher) and f"{value.py_func.__module__}.{name}" not in found:
                found[f"{value.py_func.__module__}.{name}"] = Path(inspect.getfile(value.py_func))
                functions(value.py_func, found)
    return found


def test_the_walk_notices_a_change_of_any_file_that_it_is_made_of() -> None:
    found = functions(kernel._run.py_func, {})
    assert {"dataio.format.headers.read", "dataio.format.tar.spans.copy", "dataio.format.crc.polynomial.times"} <= set(found)
    folders = {Path(place).parent for place in kernel.SOURCES if place.endswith("__init__.py")}
    assert all(file.parent in folders or str(file) in kernel.SOURCES for file in found.values())
    assert compiled.sources(kernel.SOURCES) in [cell.cell_contents for cell in kernel._run.py_func.__closure__]


def test_a_module_that_compiled_code_caches_by_itself_calls_no_other_file() -> None:
    """Those have no digest."""
    from dataio.format import headers
    from dataio.format.crc import polynomial
    from dataio.format.tar import dali, walked, words

    for module in (polynomial, headers, dali, walked, words):
        for value in vars(module).values():
            if isinstance(value, Dispatcher) and value.py_func.__module__ == module.__name__:
                files = functions(value.py_func, {}).values()
                assert {str(file) for file in files} <= {module.__file__}, value
