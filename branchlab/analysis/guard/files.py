"""The files of the head, changed or not, by the words that they mention; each is parsed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from branchlab.analysis.features.changes import Elsewhere, FileChange
from branchlab.analysis.features.files import is_test
from branchlab.analysis.features.syntax import Module, parse_module
from branchlab.analysis.features.trees import FunctionNode


class HeadFiles:
    """Python files of the head tree; tests of the project are left out, for nothing is trained by them."""

    def __init__(self, changes: Sequence[FileChange], around: Elsewhere) -> None:
        self._changed = {
            one.head_path: one.head
            for one in changes
            if one.head is not None and one.head_path.endswith(".py")
        }
        self._around = around
        self._parsed: dict[str, Module | None] = {}

    def text(self, path: str) -> str:
        """Return the text of a file; the empty string where there is none."""
        if path in self._changed:
            return self._changed[path]
        return self._around.texts([path]).get(path, "")

    def mentioning(self, word: str) -> Mapping[str, Module]:
        """Return the files in which a whole word stands."""
        texts = {path: text for path, text in self._changed.items() if word in text}
        texts |= {
            path: text
            for path, text in self._around.mentioning([word]).items()
            if path not in self._changed
        }
        found = {path: self._module(path, text) for path, text in texts.items()}
        return {path: one for path, one in found.items() if one is not None and not is_test(path)}

    def module(self, path: str) -> Module | None:
        """Return one file; None where it is absent or cannot be read."""
        text = self.text(path)
        return self._module(path, text) if text else None

    def first_of(self, paths: Iterable[str]) -> str:
        """Return the first path that exists; the empty string where none does."""
        return next((path for path in paths if self.text(path)), "")

    def _module(self, path: str, text: str) -> Module | None:
        if path not in self._parsed:
            read = parse_module(path, text)
            self._parsed[path] = read if isinstance(read, Module) else None
        return self._parsed[path]


def function_of(module: Module | None, symbol: str) -> FunctionNode | None:
    """Return the definition of a function by its qualified name."""
    found = module.functions.get(symbol) if module is not None else None
    return None if found is None else found.node
