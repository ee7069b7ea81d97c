"""Chooses the metrics that suit a network."""

from __future__ import annotations

from collections.abc import Sequence

from gradcam_cli.errors import UsageError
from gradcam_cli.evaluation.random_weights import changeable
from gradcam_cli.evaluation.table import ALL_METRICS, METRICS, usable_metrics
from gradcam_cli.models.classifier import Classifier
from gradcam_cli.networks.inputs import PICTURE_CHANNELS, name_channels

# For every metric that suits the network.
ALL = "all"


def choose_metrics(
    classifier: Classifier, wanted: Sequence[str], usual: Sequence[str]
) -> tuple[str, ...]:
    """Chooses the metrics that a user wants, in the order of the table.

    Args:
        classifier: The network.
        wanted: Names of metrics, or "all"; empty for the usual ones.
        usual: The metrics to measure by default, as far as they suit the network.

    Raises:
        UsageError: There is no such metric, it doesn't suit the network, or the network
            takes stacks or bands, segments pictures or detects objects.
    """
    classifier.check_single_pictures("measuring")
    if classifier.segments or classifier.detects:
        does = "segments pictures" if classifier.segments else "detects objects"
        raise UsageError(
            f"{classifier.name} {does}, but the metrics measure the score of a whole "
            f"picture; explain it with 'gradcam PATH --model {classifier.name}'"
        )
    if classifier.channels not in PICTURE_CHANNELS:
        raise UsageError(
            f"{classifier.name} takes {name_channels(classifier.channels)} in units of their own, "
            f"but the metrics change pixels from 0 to 255; explain it with 'gradcam PATH --model "
            f"{classifier.name}'"
        )
    can_change = changeable(classifier.network) is not None
    usable = usable_metrics(METRICS, classifier.labels.quantity, can_change)
    for name in wanted:
        if name in (*usable, ALL):
            continue
        if name not in METRICS:
            reason = "is not a metric"
        elif ALL_METRICS[name].needs_probabilities and name not in usable_metrics(
            [name], classifier.labels.quantity
        ):
            reason = (
                f"needs probabilities, but {classifier.name} returns values: task "
                f"{classifier.described_task}"
            )
        else:
            reason = "needs a .keras or .h5 model, whose weights can be changed"
        raise UsageError(f"--metric {name} {reason}; choose among {', '.join(usable)}")
    chosen = usable if ALL in wanted else wanted or usual
    return tuple(name for name in usable if name in chosen)
