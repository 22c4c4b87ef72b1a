"""Plain tables: aligned columns, sizes and durations for people."""

from arl_tf.utils import tables


def test_columns_are_aligned_and_the_last_is_not_padded():
    assert tables.table([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"


def test_a_row_of_fewer_cells_does_not_widen_a_column():
    rows = [("name", "a long cell at the end"), ("x", "y", "z")]
    assert tables.table(rows) == "name  a long cell at the end\nx     y  z"


def test_sections_without_rows_are_left_out():
    assert tables.sections([("A", [("x", "1")]), ("B", [])]) == "A\n  x  1"


def test_sizes_and_durations_have_units():
    assert [tables.bytes_words(n) for n in (512, 1536, 3 * 2**30)] == [
        "512 B",
        "1.5 KiB",
        "3.0 GiB",
    ]
    assert [tables.duration_words(s) for s in (7, 180, 9000)] == ["7 s", "3 min", "2.5 h"]
