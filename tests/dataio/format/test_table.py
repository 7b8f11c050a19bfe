"""Columnar files: what is written is read back, and what is damaged is refused by name."""

import ast
import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from dataio.format import table

HEAD = {"format": "test", "version": 3, "who": "Zoë"}
COLUMNS = {"a": np.arange(7, dtype=np.int32), "b": np.array([b"one", b"three"], "S"), "c": np.linspace(0, 1, 5)}
ARRAYS = st.sampled_from(["i4", "i8", "u4", "f8", "S7"]).flatmap(
    lambda kind: some.arrays(kind, st.integers(0, 9), elements={"allow_nan": False} if kind == "f8" else None)
)


def _same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return list(left) == list(right) and all(left[k].dtype == right[k].dtype and np.array_equal(left[k], right[k]) for k in left)


@given(
    st.dictionaries(
        st.text("abcdefgh.", min_size=1, max_size=5).filter(lambda name: name not in ("file", "head")), ARRAYS, max_size=4
    ),
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.floats(0, 1))), max_size=3),
)
@settings(max_examples=40)
def test_what_is_written_is_read_back(columns: dict[str, np.ndarray], facts: dict[str, object]) -> None:
    head = facts | {"format": "test", "version": 1}
    got_head, got = table.load(table.dump(head, columns), "x.npz", "test", 1)
    assert got_head == head
    assert _same(got, columns)


def test_the_same_content_gives_the_same_bytes() -> None:
    again = dict(reversed(HEAD.items()))  # the order of a dict is no content
    assert table.dump(HEAD, COLUMNS) == table.dump(again, {k: v.copy() for k, v in COLUMNS.items()})


def test_numpy_opens_it_too() -> None:
    with np.load(io.BytesIO(table.dump(HEAD, COLUMNS)), allow_pickle=False) as file:
        assert np.array_equal(file["c"], COLUMNS["c"])


@pytest.mark.parametrize(
    "array",
    [np.arange(300_000), np.zeros((0, 3)), np.float32(3), np.ones((3, 4), bool), np.array(["", "ü"]), np.array([b"x", b"yy"])],
    ids=["long", "empty", "single", "bool", "text", "bytes"],
)
def test_an_array_is_what_numpy_reads(array: np.ndarray) -> None:
    data = table.dump(HEAD, {"x": array})
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        expected = file["x"]
    _, columns = table.load(data, "x.npz", "test", 3)
    got = columns["x"]
    assert got.dtype == expected.dtype and got.shape == expected.shape and np.array_equal(got, expected)
    assert got.flags.writeable and got.flags.owndata


def test_threads_may_load_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ast` must not be used: in CPython 3.11 it fails where several threads parse at once, which ended a run now and then."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch")

    data = table.dump(HEAD, COLUMNS)
    monkeypatch.setattr(ast, "parse", refuse)
    with pytest.raises((SystemError, ValueError)), np.load(io.BytesIO(data), allow_pickle=False) as file:
        file["a"]  # the trap works
    _, columns = table.load(data, "x.npz", "test", 3)
    assert _same(columns, COLUMNS)


def test_a_flipped_byte_is_found_wherever_it_matters() -> None:
    good = table.dump(HEAD, COLUMNS)
    refusals = []
    for at in range(len(good)):
        bad = good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :]
        try:
            head, columns = table.load(bad, "x.npz", "test", 3)
            for name, kind in {"a": "i", "b": "S", "c": "f"}.items():
                table.take(columns, "x.npz", {name: kind})
        except table.FormatError as error:
            refusals.append(str(error))
        else:  # a byte that says nothing, such as an archive's clock
            assert head == HEAD
            assert _same(columns, COLUMNS)
    assert len(refusals) > len(good) // 2
    assert all(refusal.startswith("x.npz ") for refusal in refusals)


def test_a_file_that_breaks_off_is_refused_wherever_it_does() -> None:
    good = table.dump(HEAD, COLUMNS)
    for length in range(0, len(good), 7):
        with pytest.raises(table.FormatError, match=r"^x\.npz is damaged or no test"):
            table.load(good[:length], "x.npz", "test", 3)


class _Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    buffer = io.BytesIO()
    np.savez(buffer, head=np.frombuffer(b'{"format":"test","version":3}', np.uint8), a=np.array([_Trap(touched)], object))
    pickle.loads(pickle.dumps(_Trap(touched)))
    assert touched.exists()  # the trap works
    touched.unlink()
    with pytest.raises(table.FormatError, match=r"x\.npz is damaged"):
        table.load(buffer.getvalue(), "x.npz", "test", 3)
    assert not touched.exists()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _claiming(shape: tuple[int, ...]) -> bytes:
    """An array file whose head promises far more than there is."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<i8", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a text, not a table",
        _npy(np.arange(3)),
        pickle.dumps({"head": 1}),
        _zip({}),
        _zip({"readme.txt": b"hello"}),
        _zip({"head": b"{}"}),
        _zip({"head.npy": _npy(np.frombuffer(b"[1, 2", np.uint8))}),
        _zip({"head.npy": _npy(np.frombuffer(b"[" * 100_000, np.uint8))}),
        _zip({"head.npy": _claiming((1 << 60,))}),
        _zip({"head.npy": _npy(np.frombuffer(b"[]", np.uint8))}),
    ],
    ids=["empty", "text", "npy", "pickle", "no member", "foreign zip", "no array", "no JSON", "deep JSON", "huge", "no object"],
)
def test_a_foreign_file_is_refused(data: bytes) -> None:
    with pytest.raises(table.FormatError, match=r"x\.npz"):
        table.load(data, "x.npz", "test", 3)


@pytest.mark.parametrize(("kind", "version", "sentence"), [("other", 3, "is no other"), ("test", 4, "reads version 4")])
def test_another_kind_or_version_is_refused(kind: str, version: int, sentence: str) -> None:
    with pytest.raises(table.FormatError, match=sentence):
        table.load(table.dump(HEAD, COLUMNS), "x.npz", kind, version)


def test_a_missing_file_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        table.load(tmp_path / "x.npz", "x.npz", "test", 3)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"a": np.arange(3)}, "lacks the column 'b'"),
        ({"a": np.arange(3.0), "b": np.arange(3)}, "'a' is float64, not of kind 'i'"),
        ({"a": np.arange(3), "b": np.arange(4)}, r"'b' has the shape \(4,\), others have \(3,\)"),
        ({"a": np.zeros((2, 2), int), "b": np.zeros((2, 2), int)}, "'a' has the shape"),
    ],
)
def test_columns_are_checked_by_name(columns: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(table.FormatError, match=f"x.npz.*{sentence}"):
        table.take(columns, "x.npz", {"a": "i", "b": "i"})
