import threading
import warnings

import pytest

from gradcam_cli.errors import GradcamWarning
from gradcam_cli.runtime.library_warnings import library_warnings_hidden


def tell():
    """Warns as code of this package does, and as a library does."""
    warnings.warn_explicit("ours", GradcamWarning, "reading.py", 1, "gradcam_cli.run.loading")
    warnings.warn_explicit("theirs", UserWarning, "Image.py", 1, "PIL.Image")


def test_ours_are_shown_whatever_other_threads_hide():
    begun, may_end = threading.Event(), threading.Event()

    def hide():
        with library_warnings_hidden():
            begun.set()
            assert may_end.wait(60)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        other = threading.Thread(target=hide)
        with library_warnings_hidden():
            other.start()
            assert begun.wait(60)
            tell()
        # The other thread began later and still hides.
        tell()
        may_end.set()
        other.join()
        assert [str(one.message) for one in told] == ["ours", "ours"]
        assert warnings.filters == before
        tell()
    assert [str(one.message) for one in told[2:]] == ["ours", "theirs"]


def test_what_the_caller_mutes_stays_muted():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        with library_warnings_hidden():
            tell()
    assert told == []
    with warnings.catch_warnings(), library_warnings_hidden():
        warnings.simplefilter("error", GradcamWarning)
        with pytest.raises(GradcamWarning):
            tell()
