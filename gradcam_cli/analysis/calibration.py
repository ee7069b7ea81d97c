"""How far a network is as often right as it claims (Guo et al. 2017, arXiv 1706.04599)."""

from __future__ import annotations

import numpy as np

from gradcam_cli.analysis.audit_results import Calibration, CalibrationBin

# As in the paper.
_BINS = 15
_RESAMPLES = 1000
_ENDS = (2.5, 97.5)


def calibrate(confidences: np.ndarray, are_right: np.ndarray) -> Calibration:
    """Measures the expected calibration error, and bins the pictures for a reliability diagram.

    The bins divide the range of confidences equally; a bin contains its upper end. The error is
    the mean difference between confidence and accuracy in a bin, weighted by its pictures. The
    difference of a few pictures is never quite 0, so that the error of a sample is larger than
    that of the network, and the error of a resample larger still. The basic bootstrap (Davison
    and Hinkley 1997, doi 10.1017/CBO9780511802843, chapter 5) corrects its interval for that.
    The interval is widened to contain the error itself.

    Args:
        confidences: (pictures,) in [0, 1], the probability of each predicted class.
        are_right: (pictures,) bool, whether it is the true class. There is at least one picture.
    """
    number = len(confidences)
    bins = np.clip(np.ceil(confidences * _BINS).astype(np.intp) - 1, 0, _BINS - 1)
    # Of the sum of these over a bin, the error only needs the absolute value.
    gaps = are_right.astype(np.float64) - confidences
    error = _error(bins, gaps)
    generator = np.random.default_rng(0)
    resampled = np.empty(_RESAMPLES)
    for resample in range(_RESAMPLES):
        chosen = generator.integers(number, size=number)
        resampled[resample] = _error(bins[chosen], gaps[chosen])
    low, high = np.percentile(resampled, _ENDS)
    ends = max(0.0, min(error, 2 * error - high)), min(1.0, max(error, 2 * error - low))
    return Calibration(
        error,
        (float(ends[0]), float(ends[1])),
        [
            CalibrationBin(
                index / _BINS,
                (index + 1) / _BINS,
                int(inside.sum()),
                float(confidences[inside].mean()),
                float(are_right[inside].mean()),
            )
            for index in range(_BINS)
            if (inside := bins == index).any()
        ],
    )


def _error(bins: np.ndarray, gaps: np.ndarray) -> float:
    return float(np.abs(np.bincount(bins, gaps, _BINS)).sum() / len(gaps))
