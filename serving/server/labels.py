"""Labels of versions, such as `stable`, and which moves of them TF Serving refuses."""

from collections.abc import Callable, Mapping

from serving.server.errors import invalid
from serving.server.model_config import ModelSource


class Labels:
    """Label -> version, for each model. The caller sees to it that one thread at a time is here."""

    def __init__(self, *, for_unavailable: bool):
        """No labels yet.

        Args:
            for_unavailable: a label that is new, or stays where it is, may name a version that is
                not served yet.
        """
        self._for_unavailable = for_unavailable
        self._versions: dict[str, dict[str, int]] = {}

    def fault(
        self, sources: Mapping[str, ModelSource], is_served: Callable[[str, int], bool]
    ) -> str:
        """Why TF Serving would refuse these models' labels, in its words; "" where it would not.

        A label may only name a version that is served, and one that is in use moves to no other
        version before that, whatever the flag says (server_core.cc, UpdateModelVersionLabelMap).
        """
        for name, source in sources.items():
            before = self._versions.get(name, {})
            for label, version in source.labels.items():
                excused = self._for_unavailable and before.get(label) in (None, version)
                if not excused and not is_served(name, version):
                    return (
                        f"Request to assign label to version {version} of model {name}, which is"
                        " not currently available for inference"
                    )
        return ""

    def assign(self, sources: Mapping[str, ModelSource]) -> None:
        """Takes over these models' labels; all others are gone."""
        self._versions = {name: dict(source.labels) for name, source in sources.items()}

    def version(self, name: str, label: str) -> int:
        """The version of a model that has a label.

        Raises:
            ServingError: INVALID_ARGUMENT: no version has it.
        """
        versions = self._versions.get(name, {})
        if label not in versions:
            raise invalid(f"Unrecognized servable version label: {label}")
        return versions[label]
