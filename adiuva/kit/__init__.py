"""The author's kit: ``adiuva new`` writes a package, ``adiuva plugin check`` looks one over."""
