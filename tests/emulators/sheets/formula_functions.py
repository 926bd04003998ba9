"""All functions a formula may call: importing their modules registers them."""

from tests.emulators.sheets import (
    formula_blocks,
    formula_choice,
    formula_numbers,
    formula_texts,
)
from tests.emulators.sheets.formula_registry import FUNCTIONS, SPECIAL

__all__ = [
    "FUNCTIONS",
    "SPECIAL",
    "formula_blocks",
    "formula_choice",
    "formula_numbers",
    "formula_texts",
]
