"""``adiuva doctor``: whether everything that the settings name is there and works, and what to do where it is not."""
