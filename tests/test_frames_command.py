"""Videos, animations and pages explained by the real command, with a network that sees only red."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from click.testing import CliRunner
from moving_squares import NUMBER, place, place_of, save_squares, save_video
from PIL import Image
from red_squares import SIDE, red_model

from gradcam_cli import explain_frames, explain_image
from gradcam_cli.cli import main
from gradcam_cli.errors import FirstPictureWarning, ImageError
from gradcam_cli.pictures.stacks.opening import open_stack
from gradcam_cli.pictures.stacks.stack import FrameChoice

STRONG, WEAK, GREY = (220, 40, 40), (160, 70, 70), (120, 120, 120)
KINDS = (".mp4", ".gif", ".png", ".tif", ".webp")
# The numbers of frames, and how many bytes more the longer one may take; a frame takes 0.15 MB.
LENGTHS = 40, 500
MOST_GROWTH = 60e6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "red.keras"
    red_model().save(path)
    return "-m", path, "--preprocess", "none"


@pytest.fixture
def explain(model):
    """Runs the command in this process, and returns the outcome and the records."""

    def run(*args):
        done = CliRunner().invoke(main, [*map(str, args), *map(str, model), "--json"])
        records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return done, records

    return run


def picture(color, size=16, left=8):
    pixels = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    pixels[24 : 24 + size, left : left + size] = color
    return Image.fromarray(pixels)


def save_gif(path, pictures):
    # A corner of its own, because writers join equal frames.
    for number, one in enumerate(pictures):
        one.putpixel((SIDE - 1, SIDE - 1), (number, number, number))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return path


def frames_of(path):
    return [frame.image for frame in open_stack(path).frames(FrameChoice())]


def redness(image):
    """How much redder than blue the reddest pixel of a map in colours is."""
    pixels = np.asarray(image, np.int16)
    return (pixels[..., 0] - pixels[..., 2]).max()


def numbers(record):
    return [frame["frame"] for frame in record["frames"]]


def test_the_heat_follows_the_square_in_every_format(tmp_path, invoke, model):
    folder = tmp_path / "in"
    folder.mkdir()
    names = [f"a{place}{kind}" for place, kind in enumerate(KINDS)]
    for name in names:
        save_squares(folder / name)
    picture(STRONG).save(folder / "a2-still.jpg")
    options = ("--class", "1", "--alpha", "1", "--out", "out", "--json")
    done = invoke("in", *model, *options)
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    paths = [os.path.basename(record["image"]) for record in records]
    assert paths == sorted([*names, "a2-still.jpg"])
    for record in records:
        (target,) = record["targets"]
        output = tmp_path / target["output"]
        if output.name.startswith("a2-still"):
            assert "frames" not in record
            continue
        assert output.suffix == os.path.splitext(record["image"])[1]
        assert numbers(record) == list(range(NUMBER))
        for number, (frame, image) in enumerate(
            zip(record["frames"], frames_of(output), strict=True)
        ):
            # A cell has 4 pixels, and videos blur.
            assert np.allclose(place(image), place_of(number), atol=4)
            assert frame["heat"][0] > 0.8
            if output.suffix != ".tif":
                assert frame["seconds"] == pytest.approx(number / 10, abs=1e-3)
        assert record["unit"] == ("page" if output.suffix == ".tif" else "frame")


def test_frames_share_a_scale_unless_each_has_its_own(tmp_path, explain):
    clip = save_gif(tmp_path / "clip.gif", [picture(STRONG), picture(WEAK), picture(GREY)])
    found = {}
    for scale in ("common", "frame"):
        _, (record,) = explain(clip, "--class", "1", "--alpha", "1", "--scale", scale)
        assert record["scale"] == scale
        images = frames_of(record["targets"][0]["output"])
        found[scale] = (
            [redness(image) for image in images],
            [frame["heat"][0] for frame in record["frames"]],
        )
    for redness_of, heat in found.values():
        assert redness_of[0] > 100
        assert heat[0] == 1
        # Nothing red is there at all.
        assert redness_of[2] < 0
        assert heat[2] == 0
    assert found["common"][0][1] < 50
    assert found["frame"][0][1] > 100
    # The network's map is 0.8 on the strong red and 0.3 on the weak one.
    assert found["common"][1][1] == pytest.approx(0.3 / 0.8, abs=0.05)
    assert found["frame"][1][1] == 1


def test_the_region_begins_at_a_fraction_of_the_common_maximum(tmp_path, explain):
    clip = save_gif(tmp_path / "clip.gif", [picture(STRONG), picture(WEAK)])
    changed = {}
    for scale in ("common", "frame"):
        options = ("--class", "1", "--hot-only", "--threshold", "0.6", "--scale", scale)
        _, (record,) = explain(clip, *options)
        pairs = zip(frames_of(clip), frames_of(record["targets"][0]["output"]), strict=True)
        changed[scale] = [
            bool((np.abs(np.int16(before) - np.int16(after)).max(-1) > 40).any())
            for before, after in pairs
        ]
    assert changed == {"common": [True, False], "frame": [True, True]}


def test_all_frames_show_the_class_that_is_most_probable_on_average(tmp_path, explain):
    small = picture(STRONG, size=4, left=40)
    clip = save_gif(tmp_path / "clip.gif", [picture(STRONG), small, picture(STRONG, left=4)])
    _, (record,) = explain(clip, "--alpha", "1")
    own = [frame["predictions"][0]["index"] for frame in record["frames"]]
    assert own == [1, 0, 1]
    (target,) = record["targets"]
    assert target["index"] == record["predictions"][0]["index"] == 1
    mean = np.mean(
        [
            next(one["probability"] for one in frame["predictions"] if one["index"] == 1)
            for frame in record["frames"]
        ]
    )
    assert target["probability"] == pytest.approx(mean, abs=1e-4)
    # The map of class 0 would be blank.
    assert min(frame["heat"][0] for frame in record["frames"]) > 0.5
    assert place(frames_of(target["output"])[1])[0] == pytest.approx(42, abs=4)


def test_methods_that_run_often_choose_the_class_first(tmp_path, explain):
    small = picture(STRONG, size=4, left=40)
    clip = save_gif(tmp_path / "clip.gif", [picture(STRONG), small, picture(STRONG, left=4)])
    _, (record,) = explain(clip, "--method", "scorecam")
    assert record["targets"][0]["index"] == 1
    assert [frame["predictions"][0]["index"] for frame in record["frames"]] == [1, 0, 1]


def test_frames_are_chosen_and_named(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.mp4")
    _, (record,) = explain(clip, "--frames", "2:10", "--every", "5")
    assert numbers(record) == [2, 7]
    output = record["targets"][0]["output"]
    assert "frames2-10_every5" in output
    assert len(frames_of(output)) == 2
    _, (last,) = explain(clip, "--frames=-3:")
    assert numbers(last) == [9, 10, 11]
    _, (first,) = explain(clip, "--frames", ":3")
    assert numbers(first) == [0, 1, 2]
    assert len({one["targets"][0]["output"] for one in (record, last, first)}) == 3


@pytest.mark.parametrize(
    ("choice", "what"),
    [("7", "write A:B, such as 7:8 for one"), ("5:3", "is empty"), (":", "write A:B")],
)
def test_ranges_that_mean_nothing_are_refused(tmp_path, explain, choice, what):
    done, _ = explain(save_gif(tmp_path / "clip.gif", [picture(GREY)] * 2), "--frames", choice)
    assert done.exit_code == 2
    assert what in done.stderr


def test_slices_of_frames_are_refused(tmp_path, explain):
    done, (record,) = explain(save_squares(tmp_path / "clip.gif"), "--slice", "2:4")
    assert done.exit_code == 1
    assert "holds frames, not slices; choose them with --frames" in record["error"]
    assert [path.name for path in tmp_path.iterdir()] == ["clip.gif"]


def test_frames_that_arent_there_are_an_error(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.gif")
    done, (record,) = explain(clip, "--frames", "50:")
    assert done.exit_code == 1
    assert "12 frames" in record["error"]


def test_a_run_replaces_its_own_results_and_nothing_else(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.gif")
    mine = tmp_path / "clip_gradcam_red_none.gif"
    mine.write_bytes(clip.read_bytes())
    _, (record,) = explain(clip)
    output = tmp_path / "clip_gif_gradcam_red_none.gif"
    assert record["targets"][0]["output"] == str(output)
    assert mine.read_bytes() == clip.read_bytes()
    before = sorted(tmp_path.iterdir())
    _, (again,) = explain(clip)
    assert again["targets"][0]["output"] == str(output)
    assert sorted(tmp_path.iterdir()) == before
    # The results in the folder aren't explained in turn.
    mine.unlink()
    _, (only,) = explain(tmp_path)
    assert only["image"] == str(clip)


def test_results_that_exist_are_skipped(tmp_path, explain):
    folder = tmp_path / "in"
    folder.mkdir()
    for kind in (".mp4", ".png", ".gif"):
        save_squares(folder / f"clip{kind}")
    picture(STRONG).save(folder / "still.png")
    out = ("--out", tmp_path / "out")
    _, records = explain(folder, *out)
    assert len(records) == 4
    done, records = explain(folder, *out, "--skip-existing")
    assert (done.exit_code, records) == (0, [])
    assert "4 skipped" in done.stderr
    _, records = explain(folder, *out, "--skip-existing", "--every", "2")
    assert sorted(os.path.basename(record["image"]) for record in records) == [
        "clip.gif",
        "clip.mp4",
        "clip.png",
    ]


def test_the_result_of_a_first_frame_doesnt_count_as_that_of_all(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.png")
    _, (first,) = explain(clip, "--first-frame")
    assert "frames" not in first
    assert first["targets"][0]["output"] == str(tmp_path / "clip_gradcam_red_none.png")
    _, (whole,) = explain(clip, "--skip-existing")
    assert len(whole["frames"]) == NUMBER
    assert whole["targets"][0]["output"] != first["targets"][0]["output"]


def test_the_first_frame_of_a_video_is_explained_as_a_picture(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.mp4")
    _, (record,) = explain(clip, "--first-frame", "--class", "1", "--alpha", "1")
    with Image.open(record["targets"][0]["output"]) as overlay:
        assert np.allclose(place(overlay), place_of(0), atol=4)
    done, _ = explain(clip, "--first-frame", "--every", "2")
    assert done.exit_code == 2


def test_each_class_gets_its_own_file(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.gif")
    _, (record,) = explain(clip, "--class", "0", "--class", "1")
    outputs = {target["index"]: target["output"] for target in record["targets"]}
    assert "0-class-0" in outputs[0]
    assert "1-class-1" in outputs[1]
    assert all(len(frame["heat"]) == 2 for frame in record["frames"])


def test_a_damaged_file_is_an_error_and_the_others_go_on(tmp_path, explain):
    whole = save_squares(tmp_path / "whole.gif", noise=40)
    (tmp_path / "cut.gif").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    out = tmp_path / "out"
    done, records = explain(tmp_path, "--out", out)
    assert done.exit_code == 1
    cut, other = records
    assert "cut.gif" in cut["error"]
    assert "--frames 0:" in cut["error"]
    assert [os.path.basename(other["targets"][0]["output"])] == os.listdir(out)
    choice = cut["error"].rpartition(" ")[2]
    done, (part,) = explain(tmp_path / "cut.gif", "--out", out, "--frames", choice)
    assert done.exit_code == 0
    assert 0 < len(part["frames"]) < NUMBER


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--figure",), "--figure"),
        (("--each",), "--each"),
        (("--mask",), "--mask"),
        (("--heatmap",), "--heatmap"),
        (("--method", "gradcam,layercam"), "several methods"),
        (("--report", "report.html"), "--report"),
    ],
)
def test_options_for_single_pictures_are_refused(tmp_path, explain, options, named):
    clip = save_squares(tmp_path / "clip.gif")
    picture(STRONG).save(tmp_path / "still.jpg")
    options = [tmp_path / one if one.endswith(".html") else one for one in options]
    done, (refused, other) = explain(clip, tmp_path / "still.jpg", *options)
    assert done.exit_code == 1
    assert "clip.gif" in refused["error"]
    assert named in refused["error"]
    assert "error" not in other


def test_smoothed_maps_have_their_own_scale(tmp_path, explain, model):
    clip = save_gif(tmp_path / "clip.gif", [picture(STRONG), picture(WEAK)])
    _, (record,) = explain(clip, "--class", "1", "--smooth")
    assert record["scale"] == "frame"
    assert "no common scale" in record["note"]
    assert [frame["heat"] for frame in record["frames"]] == [[1], [1]]
    printed = CliRunner().invoke(main, [str(clip), "--smooth", *map(str, model)]).stdout
    assert "2 frames explained" in printed
    assert "%  → " in printed
    assert "no common scale" in printed


def test_a_file_can_be_named(tmp_path, explain):
    clip = save_squares(tmp_path / "clip.mp4")
    named = tmp_path / "named.mp4"
    _, (record,) = explain(clip, "-o", named)
    assert record["targets"][0]["output"] == str(named)
    done, _ = explain(clip, "-o", tmp_path / "named.gif")
    assert done.exit_code == 2
    assert "named.mp4" in done.stderr
    done, _ = explain(picture_file(tmp_path), "-o", tmp_path / "still.mp4")
    assert done.exit_code == 2


def picture_file(folder):
    path = folder / "still.jpg"
    picture(STRONG).save(path)
    return path


def test_analyses_take_the_first_picture_and_say_so_once(tmp_path, model):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.gif", "b.gif"):
        save_gif(folder / name, [picture(STRONG), picture(GREY)])
    for number in range(3):
        picture(STRONG, left=4 * number).save(folder / f"{number}.png")
    save_squares(folder / "clip.mp4")
    out = tmp_path / "audit"
    done = CliRunner().invoke(main, ["audit", str(folder), *map(str, model), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("only the first is used") == 1


def test_python_takes_all_or_warns(tmp_path, model):
    clip = save_squares(tmp_path / "clip.gif")
    _, path, _, preprocess = model
    options = {"model": str(path), "preprocess": preprocess}
    with pytest.warns(FirstPictureWarning, match="only the first"):
        explain_image(clip, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = list(explain_frames(clip, 1, frames=slice(2, 8), every=3, **options))
    assert [one.number for one in found] == [2, 5]
    assert found[1].seconds == pytest.approx(0.5)
    for one in found:
        assert one.source == clip
        row, column = np.unravel_index(one.heatmap.argmax(), one.heatmap.shape)
        assert np.allclose((column, row), place_of(one.number), atol=6)
    with pytest.raises(ImageError, match="a single picture"):
        next(explain_frames(picture_file(tmp_path)))


def noisy(number):
    """Pictures that change, so that nothing keeps a single one."""
    ground = np.random.default_rng(number).integers(90, 130, (24, 32, 3), np.uint8)
    ground[6:12, number % 26 : number % 26 + 6] = STRONG
    return Image.fromarray(ground).resize((256, 192))


def peak_of(command, folder, environment):
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, "-m", "gradcam_cli", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) * 1024


@pytest.fixture(scope="module")
def long_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    changing = [noisy(place) for place in range(50)]
    for number in LENGTHS:
        pictures = (changing * number)[:number]
        seconds = [place / 10 for place in range(number)]
        save_video(folder / f"{number}.mp4", pictures, seconds, encoder="mpeg4")
    return folder


def test_a_long_video_takes_no_more_memory(long_videos, tmp_path, model, command_environment):
    peaks = [
        peak_of(
            [str(long_videos / f"{number}.mp4"), *map(str, model), "-q", "--out", "out"],
            tmp_path,
            command_environment,
        )
        for number in LENGTHS
    ]
    # All frames and their overlays would take 140 MB.
    assert peaks[1] - peaks[0] < MOST_GROWTH


@pytest.mark.skipif(not hasattr(signal, "SIGINT"), reason="needs POSIX signals")
def test_an_interrupted_video_leaves_no_part(long_videos, tmp_path, model, command_environment):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "gradcam_cli",
        long_videos / f"{LENGTHS[1]}.mp4",
        *model,
        "--out",
        out,
    ]
    for _ in range(3):
        running = subprocess.Popen(
            [*map(str, command)],
            env=command_environment,
            stderr=subprocess.PIPE,
            text=True,
            # Tests that run in the background inherit that it is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        # The folder is made when the drawing begins.
        while not out.exists() and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=120)
        if running.returncode != 0:
            break
        # On a busy machine, the video may be complete before the signal comes.
        shutil.rmtree(out)
    assert running.returncode == 130, errors
    assert "Interrupted" in errors
    assert not list(out.iterdir())
