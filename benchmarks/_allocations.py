"""What training allocates at most, operation by operation: exact, the same every time, blind to what malloc keeps."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Allocations(TorchDispatchMode):
    """The most bytes that lie at once in tensors made inside and in those that were `there` before."""

    def __init__(self, there: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._alive: dict[int, int] = {}
        for tensor in there:
            self._note(tensor.untyped_storage())

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._note(leaf.untyped_storage())
        self.peak = max(self.peak, sum(self._alive.values()))
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._alive:
            self._alive[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, storage._cdata)
