from adiuva.sdk.docstrings import parse_docstring


def test_the_text_ends_where_the_sections_begin() -> None:
    text, descriptions = parse_docstring(
        """List the beds.

        Newest first. Note: a colon is no section.

        Args:
            size (int): How large,
                in square metres.
            *names: Which: all of them.

            kind:
                Of what kind.

        Returns:
            size: not an argument.

        Raises:
            ToolError: never.
        """
    )
    assert text == "List the beds.\n\nNewest first. Note: a colon is no section."
    assert descriptions == {
        "size": "How large, in square metres.",
        "names": "Which: all of them.",
        "kind": "Of what kind.",
    }


def test_no_docstring_is_no_text() -> None:
    assert parse_docstring(None) == ("", {})
    assert parse_docstring("") == ("", {})


def test_prose_in_the_place_of_arguments_is_passed_over() -> None:
    assert parse_docstring("Do it.\n\nArgs:\n    whatever you like\n") == ("Do it.", {})
    assert parse_docstring("Do it.\n\nArgs:") == ("Do it.", {})
