"""The page for those who run or try the server, at ``/``: plain modules and a style sheet, all in ``files/``."""
