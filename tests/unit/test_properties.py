"""The same code gets the same random cases, whichever modules are loaded and whatever ran before."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRAW = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
if sys.argv[1:]:
    import module_with_constants

from hypothesis import given, settings, strategies as st
from tests.properties import load_profiles

load_profiles()
drawn = []

@settings(max_examples=200)
@given(st.lists(st.integers()), st.text())
def draw(numbers, text):
    drawn.append((numbers, text))

draw()
print(drawn)
"""


def test_the_modules_that_are_loaded_do_not_matter(tmp_path):
    (tmp_path / "module_with_constants.py").write_text(f"NUMBERS = {list(range(1000, 1200))}\nTEXT = 'a constant'\n")
    program = tmp_path / "draw.py"
    program.write_text(DRAW)

    def draw(*arguments):
        return subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, check=True).stdout

    alone = draw()
    assert alone.count("(") > 100
    assert draw("beside others") == alone
