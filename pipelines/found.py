"""What the names in a command stand for, found once: the task, models and vectors, passed on instead of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from augment.files.checks import check_masked_lm
from augment.files.find import MASKED_LM, ModelFiles, folder_fingerprint, locate_model
from glove import WordVectors, load_vectors
from pipelines.models.load import check_model, refuse_unfinished
from pipelines.tasks import BadRow, CustomOptions, OpenTask, open_task, stop_at_bad_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Found:
    """Opens, checks and hashes each thing once a command; what could not be found is looked for again when asked.

    A verb makes one where it starts. A model that one of its stages makes is asked for after that stage.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Any] = {}

    def _once(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """What was made for a key, by its kind and names."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def task(
        self,
        name: str,
        data: Path | None,
        custom: CustomOptions | None = None,
        revision: str | None = None,
        on_bad: Callable[[BadRow], None] = stop_at_bad_row,
    ) -> OpenTask:
        """The parts of a task, opened and hashed once for all readers; arguments as of `open_task`.

        Raises:
            UserError: an unknown task, or files, columns or labels that are not as expected.
        """
        asked = name, data, custom, revision
        opened: OpenTask = self._once(("task", *asked), lambda: open_task(*asked, on_bad))
        return opened.reporting(on_bad)

    def masked_lm(self, name: str, revision: str | None) -> ModelFiles:
        """The files of a masked LM that augments.

        Args:
            name: a folder, or a name on the hub.
            revision: on the hub.

        Raises:
            AugmentError: it cannot be had, or cannot augment.
        """
        return self._model(name, revision, MASKED_LM, check_masked_lm)

    def model(self, name: str, revision: str | None, what: str) -> ModelFiles:
        """The files of a teacher, an encoder, a student or a model to be judged.

        Args:
            name: a folder, or a name on the hub.
            revision: on the hub.
            what: the model's part in the job, for messages.

        Raises:
            AugmentError, UserError: it cannot be had, or nothing can be loaded from its folder.
        """
        return self._model(name, revision, what, check_model)

    def tokenizer(self, name: str, revision: str | None, what: str) -> ModelFiles:
        """The files of a model whose weights are of no use; arguments as of `model`.

        Raises:
            AugmentError, UserError: it cannot be had.
        """
        return self._model(name, revision, what, refuse_unfinished)

    def _model(self, name: str, revision: str | None, what: str, check: Callable[[Path, str], None]) -> ModelFiles:
        def make() -> ModelFiles:
            folder, commit = self._once(("place", name, revision), lambda: locate_model(name, revision, what))
            check(folder, f"{what} {name}")
            fingerprint = self._once(("fingerprint", folder.resolve()), lambda: folder_fingerprint(folder))
            return ModelFiles(what, name, folder, commit, fingerprint)

        found: ModelFiles = self._once(("model", name, revision, what), make)
        return found

    def measured(self, what: tuple[object, ...], measure: Callable[[], Any]) -> Any:
        """A measurement of this machine, made once a command: another one may come out otherwise.

        Args:
            what: it is of.
            measure: makes it.
        """
        return self._once(("measured", *what), measure)

    def vectors(self, name: str, progress: Callable[[str], None] | None = None) -> WordVectors:
        """Word vectors by file or name, converted to their memory-mapped form where they are not yet.

        Args:
            name: as `glove.load_vectors` takes it.
            progress: as `glove.load_vectors` takes it.

        Raises:
            VectorsError: they cannot be had.
        """
        vectors: WordVectors = self._once(("vectors", name), lambda: load_vectors(name, progress=progress))
        return vectors
