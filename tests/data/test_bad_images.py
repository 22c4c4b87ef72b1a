"""What is said of images that can't be used: each reason once, with its first names."""

from arl_tf.data import bad_images

LFS = "got a file of type Git LFS pointer."


def test_each_reason_is_told_once_with_the_first_names():
    names, reasons = tuple("abcdefghi"), (LFS,) * 7 + ("missing", "a damaged JPEG")
    assert bad_images.reasons_words(names, reasons) == (
        "1 missing (h), 8 unreadable (a, b, c, d, e, ...: got a file of type Git LFS pointer ('git"
        " lfs pull' fetches the files themselves); i: a damaged JPEG)"
    )


def test_missing_files_alone_have_no_reason():
    assert bad_images.reasons_words(("a", "b"), ("missing",) * 2) == "2 missing (a; b)"
