"""What importing the client takes."""

import subprocess
import sys


def test_numpy_is_imported_by_a_search_only() -> None:
    code = "import sys, adiuva.client; assert 'numpy' not in sys.modules, 'imported'"
    subprocess.run([sys.executable, "-c", code], check=True)
