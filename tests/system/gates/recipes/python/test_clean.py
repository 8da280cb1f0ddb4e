import extension


def test_copy():
    assert extension.copy("kept in place") == "kept in place"
