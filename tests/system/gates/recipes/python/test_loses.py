import extension


def test_copy_of_the_wrong_word():
    for _ in range(3):
        assert extension.copy("lose") == "lose"
