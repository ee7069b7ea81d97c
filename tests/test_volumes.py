import gzip
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from bright_volumes import (
    cells_from,
    dicom_slice,
    rotation,
    save_bright,
    save_bright_volumes,
    save_series,
    with_ball,
)
from click.testing import CliRunner
from PIL import Image

from gradcam_cli.cli import main
from gradcam_cli.errors import GradcamWarning, ImageError, MissingExtraError, UsageError
from gradcam_cli.files.finding import STACK_SUFFIXES, find_pictures
from gradcam_cli.pictures.medical.dicom import is_dicom
from gradcam_cli.pictures.medical.windows import parse_window
from gradcam_cli.pictures.reading import read_picture
from gradcam_cli.pictures.stacks.opening import open_stack
from gradcam_cli.pictures.stacks.series import group_series
from gradcam_cli.pictures.stacks.stack import FrameChoice
from gradcam_cli.pictures.stacks.volumes import VolumeOptions
from gradcam_cli.pictures.stacks.voxels import check_orientation

# In mm to the right, to the front and up.
PLACE = (14.0, 21.0, 9.0)
SHAPE = (30, 36, 14)
MIDDLE = np.array([-4.0, 6.0, 3.0])


def affine_of(columns):
    """Makes an affine whose middle voxel is at `MIDDLE`, of the steps along its axes in mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(columns)
    return affine


def centred(affine, shape):
    affine[:3, 3] = MIDDLE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


UPRIGHT = affine_of([[2.0, 0, 0], [0, 2.5, 0], [0, 0, 4.0]])
FLIPPED = affine_of([[-2.0, 0, 0], [0, -2.5, 0], [0, 0, -4.0]])
OBLIQUE = affine_of((rotation(20, 0) @ rotation(-15, 2) @ np.diag([2.0, 2.5, 4.0])).T)
# The axes of the file run to the left, down and to the back.
PERMUTED = affine_of([[-2.0, 0, 0], [0, 0, -3.0], [0, -2.5, 0]])
# Name, shape, affine, class of the file and the type of its values.
VOLUMES = {
    "upright.nii.gz": (SHAPE, UPRIGHT, nibabel.Nifti1Image, "<i2"),
    "flipped.nii": (SHAPE, FLIPPED, nibabel.Nifti1Image, "<f4"),
    "oblique.nii.gz": (SHAPE, OBLIQUE, nibabel.Nifti2Image, "<f8"),
    "permuted.nii.gz": ((30, 18, 36), PERMUTED, nibabel.Nifti1Image, ">i2"),
}


def save_nifti(path, values, affine, kind=nibabel.Nifti1Image, dtype="<i2"):
    header = kind.header_class(endianness=dtype[0])
    header.set_data_dtype(dtype)
    image = kind(values.astype(dtype), affine, header)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"SECRET name"
    nibabel.save(image, path)


def save_all(folder):
    """Writes volumes and pictures that can be read, and some that can't."""
    for name, (shape, affine, kind, dtype) in VOLUMES.items():
        values = with_ball(shape, centred(affine, shape), PLACE)
        save_nifti(folder / name, values, affine, kind, dtype)
    values = with_ball(SHAPE, UPRIGHT, PLACE)
    to_dicom = np.diag([1.0, -1.0, 1.0])
    # Columns to the left, rows to the back: as scanners write them.
    columns = (to_dicom @ np.diag([-2.0, 2.5, 4.0])).T
    scan = centred(affine_of(columns), SHAPE)
    order = np.random.default_rng(3).permutation(SHAPE[2])
    save_series(folder / "scan", with_ball(SHAPE, scan, PLACE), scan, order)
    save_nifti(folder / "film.nii.gz", np.stack([values] * 2, axis=-1), UPRIGHT)
    turned = UPRIGHT.copy()
    turned[0, 0] = np.nan
    image = nibabel.Nifti1Image(values, None)
    image.header["sform_code"] = 1
    image.header["srow_x"] = turned[0]
    nibabel.save(image, folder / "nowhere.nii")
    packed = gzip.decompress((folder / "upright.nii.gz").read_bytes())
    (folder / "cut.nii.gz").write_bytes(gzip.compress(packed[: len(packed) // 2]))
    (folder / "text.nii").write_text("no volume" * 100)
    huge = bytearray(packed[:352])
    huge[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    (folder / "huge.nii.gz").write_bytes(gzip.compress(bytes(huge) + bytes(10_000_000)))
    x_ray = dicom_slice(with_ball((40, 30, 1), np.eye(4), (10, 8, 0))[..., 0])
    x_ray.save_as(folder / "x-ray.dcm", enforce_file_format=True)
    envelope = bytes.fromhex("3080 06092a864886f70d010703 a080308002")
    (folder / "secret.dcm").write_bytes(envelope + bytes(1000))
    report = dicom_slice(np.zeros((2, 2), np.int16), Modality="SR")
    del report.PixelData
    report.save_as(folder / "report.dcm", enforce_file_format=True)
    cut = dicom_slice(np.zeros((32, 32), np.int16))
    cut.PixelData = cut.PixelData[:100]
    cut.save_as(folder / "cut.dcm", enforce_file_format=True)


@pytest.fixture(scope="module")
def explained(tmp_path_factory, command_environment):
    """The folder after a run over everything in "in", the records of the run and its messages."""
    folder = tmp_path_factory.mktemp("volumes")
    (folder / "in").mkdir()
    save_all(folder / "in")
    options = save_bright(folder)
    arguments = ["in", *options, "--class", "1", "--out", "out", "--json", "r.jsonl"]
    done = subprocess.run(
        [sys.executable, "-m", "gradcam_cli", *map(str, arguments)],
        cwd=folder,
        env=command_environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    text = (folder / "r.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return folder, {record["image"]: record for record in records}, done


@pytest.mark.parametrize("name", [*VOLUMES, "scan"])
def test_the_hottest_voxel_lies_where_the_ball_was_planted(explained, name):
    folder, records, done = explained
    target = records[f"in/{name}"]["targets"][0]
    assert (cells_from(folder / target["heatmap"], PLACE) <= 1.0).all(), done.stderr


@pytest.fixture(scope="module")
def explained_whole(explained):
    """The targets of a network that takes volumes whole, by file."""
    folder, _, _ = explained
    options = save_bright_volumes(folder)
    names = [f"in/{name}" for name in [*VOLUMES, "scan"]]
    turned = ["--orientation", "RAS", "--out", "whole", "--json", "whole.jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(main, [*map(str, [*names, *options, *turned])])
    assert done.exit_code == 0, done.stderr
    text = (folder / "whole.jsonl").read_text()
    return {record["image"]: record["targets"] for record in map(json.loads, text.splitlines())}


@pytest.mark.parametrize("name", [*VOLUMES, "scan"])
def test_a_network_for_volumes_finds_the_ball_too(explained, explained_whole, name):
    folder, _, _ = explained
    (target,) = explained_whole[f"in/{name}"]
    assert target["name"] == "bright"
    # Cells of this network have the same side on all axes.
    assert (cells_from(folder / target["heatmap"], PLACE, whole=True) <= 1.0).all()


@pytest.mark.parametrize("name", VOLUMES)
def test_heat_lies_in_the_same_space_as_the_volume(explained, name):
    folder, records, _ = explained
    volume = nibabel.load(folder / "in" / name)
    heat = nibabel.load(folder / records[f"in/{name}"]["targets"][0]["heatmap"])
    assert type(heat) is type(volume)
    assert heat.shape == volume.shape
    assert np.array_equal(heat.affine, volume.affine)
    for field in ("qform_code", "sform_code", "quatern_b", "qoffset_x", "pixdim", "xyzt_units"):
        assert np.array_equal(heat.header[field], volume.header[field]), field
    values = heat.get_fdata()
    assert values.min() == 0
    assert 0.8 < values.max() <= 1


def test_results_name_no_patient(explained):
    folder, records, done = explained
    written = [path for path in (folder / "out").rglob("*") if path.is_file()]
    contents = [path.read_bytes() for path in written]
    unpacked = [gzip.decompress(one) for one in contents if one.startswith(b"\x1f\x8b")]
    assert len(unpacked) == len(VOLUMES) + 1
    texts = (json.dumps(records) + done.stdout + done.stderr).encode()
    assert not any(
        b"SECRET" in one.upper()
        for one in [*contents, *unpacked, texts.replace(b"secret.dcm", b"")]
    )


def test_files_that_cannot_be_read_get_one_line_each_and_the_rest_goes_on(explained):
    _, records, done = explained
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    expected = {
        "in/cut.dcm": "pixels can't be decoded",
        "in/cut.nii.gz": "truncated",
        "in/film.nii.gz": "holds 2 volumes (30×36×14×2)",
        "in/huge.nii.gz": "refused, it declares 30000×30000×30000 voxels",
        "in/nowhere.nii": "sform doesn't say where",
        "in/report.dcm": "holds no picture",
        "in/secret.dcm": "encrypted",
        "in/text.nii": "not a NIfTI file",
    }
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == len(expected)
    for name, words in expected.items():
        assert words in records[name]["error"]
        assert sum(line.startswith(f"Error: {name}: ") for line in errors) == 1


def damaged(content, kind):
    """Damages a NIfTI file whose values begin at byte 352."""
    if kind == "packed":
        packed = bytearray(gzip.compress(content, 0))
        # Without compression, only the checksum tells that a value has changed.
        packed[len(packed) // 2] ^= 0x40
        return bytes(packed)
    if kind == "short":
        return content[:100]
    place, value = {"early": (108, np.float32(0)), "unknown": (70, np.int16(999))}[kind]
    return content[:place] + value.tobytes() + content[place + value.nbytes :]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("packed", "damaged or truncated"),
        ("short", "truncated, it ends within its header"),
        ("early", "its values begin at byte 0, within its header"),
        ("unknown", "neither real numbers nor colours .NIfTI datatype 999"),
    ],
)
def test_damage_that_would_give_wrong_values_is_noticed(tmp_path, kind, why):
    save_nifti(tmp_path / "good.nii", with_ball(SHAPE, UPRIGHT, PLACE), UPRIGHT)
    path = tmp_path / "bad.nii.gz"
    path.write_bytes(damaged((tmp_path / "good.nii").read_bytes(), kind))
    with pytest.raises(ImageError, match=rf"bad\.nii\.gz: .*{why}"):
        greys_of(path)


def test_a_dicom_picture_gets_an_overlay_like_any_picture(explained):
    folder, records, _ = explained
    target = records["in/x-ray.dcm"]["targets"][0]
    with Image.open(folder / target["output"]) as overlay:
        assert overlay.size == (30, 40)
    assert target.get("heatmap") is None


def test_slices_have_numbers_and_places(explained):
    _, records, _ = explained
    frames = records["in/upright.nii.gz"]["frames"]
    assert [frame["frame"] for frame in frames] == list(range(SHAPE[2]))
    lowest = MIDDLE[2] - 4.0 * (SHAPE[2] - 1) / 2
    assert frames[0]["position"] == f"I {-lowest:.1f} mm"
    assert frames[-1]["position"] == f"S {lowest + 52:.1f} mm"


def test_results_are_known_and_not_explained_again(explained):
    folder, _, _ = explained
    assert not list(find_pictures([folder / "out"], STACK_SUFFIXES))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    save_all(folder)
    return folder


def opened(files, name, **options):
    if name != "scan":
        return open_stack(files / name, None, VolumeOptions(**options))
    (series,) = group_series(find_pictures([files / "scan"], STACK_SUFFIXES))
    return open_stack(series.path, None, VolumeOptions(**options), series.files)


@pytest.mark.parametrize("name", [*VOLUMES, "scan"])
@pytest.mark.parametrize(
    ("plane", "sides"),
    # The ball is to the right, to the front of and above the middle.
    [("axial", ("left", "top")), ("coronal", ("left", "top")), ("sagittal", ("left", "top"))],
)
def test_slices_are_shown_as_radiologists_do(files, name, plane, sides):
    frames = list(opened(files, name, plane=plane).frames(FrameChoice()))
    pixels = np.stack([np.asarray(frame.image)[..., 0] for frame in frames])
    number, row, column = np.unravel_index(pixels.argmax(), pixels.shape)
    height, width = pixels.shape[1:]
    assert (column < width / 2, row < height / 2) == (sides[0] == "left", sides[1] == "top")
    letter, place, unit = frames[number].position.split()
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    assert unit == "mm"
    assert letter == "RAS"[axis]
    assert float(place) == pytest.approx(PLACE[axis], abs=6)


def test_pixels_of_slices_are_square(files):
    volume = opened(files, "upright.nii.gz", plane="coronal")
    (frame,) = volume.frames(FrameChoice(slice(3, 4)))
    assert frame.number == 3
    # 30 voxels of 2 mm, 14 of 4 mm.
    assert frame.image.size == (30, 28)


@pytest.mark.parametrize("name", [*VOLUMES, "scan"])
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SPR", "ail"])
def test_a_network_for_volumes_gets_the_axes_that_it_takes(files, name, orientation):
    values = opened(files, name, orientation=orientation.upper()).values()
    assert values.dtype == np.float32
    assert (values.min(), values.max()) == (0, 255)
    hottest = np.array(np.unravel_index(values.argmax(), values.shape))
    beyond = hottest > (np.array(values.shape) - 1) / 2
    # The ball is to the right, to the front and above.
    assert [bool(one) for one in beyond] == [one in "RAS" for one in orientation.upper()]


def test_a_folder_of_one_series_is_a_volume_in_python(files, tmp_path):
    assert open_stack(files / "scan").count == SHAPE[2]
    with pytest.raises(ImageError, match="0 series"):
        open_stack(tmp_path)


def test_maps_on_the_axes_of_a_network_become_slices(tmp_path):
    affine = affine_of([[-2.0, 0, 0], [0, 0, -2.0], [0, -2.0, 0]])
    values = with_ball((20, 18, 24), centred(affine, (20, 18, 24)), PLACE)
    save_nifti(tmp_path / "even.nii", values, affine)
    volume = open_stack(tmp_path / "even.nii", None, VolumeOptions(orientation="SPR"))
    slices = volume.as_slices(volume.values())
    shown = [np.asarray(frame.image)[..., 0] for frame in volume.frames(FrameChoice())]
    assert np.abs(slices - np.stack(shown)).max() <= 0.5


def greys_of(path, **options):
    volume = open_stack(path, None, VolumeOptions(**options))
    (frame,) = volume.frames(FrameChoice(slice(0, 1)))
    return np.asarray(frame.image)[..., 0], volume.title


@pytest.fixture
def steps(tmp_path):
    """A NIfTI file of one slice with the values -1000, 0, 40, 80 and 2000 along a row."""
    values = np.tile(np.array([-1000, 0, 40, 80, 2000]), (5, 1)).T[..., None]
    path = tmp_path / "steps.nii"
    # Columns run to the left, as they are shown.
    save_nifti(path, values, np.diag([-1.0, 1.0, 1.0, 1.0]))
    return path


@pytest.mark.parametrize(
    ("window", "greys"),
    [
        ("40,80", [0, 0, 128, 255, 255]),
        ("brain", [0, 0, 128, 255, 255]),
        ("-500, 1e3", [0, 255, 255, 255, 255]),
        (None, [0, 85, 88, 92, 255]),
    ],
)
def test_a_window_spreads_its_values_over_all_greys(steps, window, greys):
    found, title = greys_of(steps, window=window)
    assert found[0].tolist() == greys
    assert ("from minimum -1000 to maximum 2000" if window is None else "window") in title


def test_the_range_in_a_nifti_header_is_its_window(steps):
    image = nibabel.load(steps)
    image.header["cal_min"], image.header["cal_max"] = 0, 80
    nibabel.save(image, steps.with_name("range.nii"))
    found, title = greys_of(steps.with_name("range.nii"))
    assert found[0].tolist() == [0, 0, 128, 255, 255]
    assert "cal_min" in title


def test_scaled_values_and_those_that_are_no_numbers(tmp_path):
    image = nibabel.Nifti1Image(np.array([[[1]], [[2]], [[3]]], np.uint8), np.diag([-1, 1, 1, 1]))
    image.header.set_slope_inter(100, -100)
    nibabel.save(image, tmp_path / "scaled.nii")
    found, title = greys_of(tmp_path / "scaled.nii")
    assert found[0].tolist() == [0, 128, 255]
    assert "from minimum 0 to maximum 200" in title
    floats = np.array([[[np.nan]], [[np.inf]], [[0.5]], [[1.5]]], np.float32)
    nibabel.save(nibabel.Nifti1Image(floats, np.diag([-1, 1, 1, 1])), tmp_path / "nan.nii")
    found, title = greys_of(tmp_path / "nan.nii")
    assert found[0].tolist() == [0, 255, 0, 255]
    assert "from minimum 0.5 to maximum 1.5" in title


@pytest.mark.parametrize("window", ["liber", "40", "40,0", "40,-1", "40,nan", "1,2,3", ""])
def test_a_wrong_window_is_refused(window):
    with pytest.raises(UsageError, match="--window"):
        parse_window(window)


def test_a_window_outside_the_values_is_reported(steps):
    with pytest.warns(GradcamWarning, match="all values are outside"):
        greys_of(steps, window="5000,10")


def test_a_volume_without_differences_is_reported_or_refused(tmp_path):
    for name, value in (("flat", 7.0), ("nothing", np.nan)):
        save_nifti(tmp_path / f"{name}.nii", np.full(SHAPE, value), UPRIGHT, dtype="<f4")
    with pytest.warns(GradcamWarning, match="all values are 7; the pictures are empty"):
        greys_of(tmp_path / "flat.nii")
    with pytest.raises(ImageError, match="none of its values is a finite number"):
        greys_of(tmp_path / "nothing.nii")


def test_a_volume_without_orientation_is_reported_and_has_no_places(tmp_path):
    image = nibabel.Nifti1Image(with_ball(SHAPE, UPRIGHT, PLACE), None)
    image.header.set_zooms((2, 2, 4))
    nibabel.save(image, tmp_path / "lost.nii")
    volume = open_stack(tmp_path / "lost.nii")
    with pytest.warns(GradcamWarning, match="how the patient lies"):
        (frame,) = volume.frames(FrameChoice(slice(2, 3)))
    assert frame.position == ""
    assert volume.letters is None
    assert frame.image.size == SHAPE[:2]


def test_slices_that_were_taken_in_another_plane_are_reported(tmp_path):
    values = with_ball((8, 30, 30), np.diag([5.0, 1, 1, 1]), PLACE)
    save_nifti(tmp_path / "sagittal.nii", values, np.diag([5.0, 1, 1, 1]))
    with pytest.warns(GradcamWarning, match="--plane sagittal"):
        greys_of(tmp_path / "sagittal.nii")


def save_picture_file(path, values, **attributes):
    dicom_slice(np.array(values, np.int16), **attributes).save_as(path, enforce_file_format=True)
    return path


GREYS = [[-1000, 0, 40, 80, 2000]]


@pytest.mark.parametrize(
    ("attributes", "window", "greys"),
    [
        ({}, None, [0, 85, 88, 92, 255]),
        ({}, "40,80", [0, 0, 128, 255, 255]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "40,80", [255, 255, 128, 0, 0]),
        ({"WindowCenter": 40.5, "WindowWidth": 81}, None, [0, 0, 128, 255, 255]),
        ({"WindowCenter": [40.5, 9], "WindowWidth": [81, 9]}, None, [0, 0, 128, 255, 255]),
        ({"WindowCenter": 40.5, "WindowWidth": 81}, "540,1080", [0, 0, 9, 19, 255]),
        ({"RescaleSlope": 2, "RescaleIntercept": 10}, "50,80", [0, 0, 255, 255, 255]),
        (
            {"WindowCenter": 40, "WindowWidth": 80, "VOILUTFunction": "SIGMOID"},
            None,
            [0, 30, 128, 225, 255],
        ),
    ],
)
def test_the_greys_of_a_dicom_picture(tmp_path, attributes, window, greys):
    path = save_picture_file(tmp_path / "one.dcm", GREYS, **attributes)
    picture = read_picture(path, window=window)
    assert picture.mode == "RGB"
    assert np.asarray(picture)[0, :, 0].tolist() == greys


@pytest.mark.parametrize(
    ("attributes", "greys"),
    [
        ({"PixelPaddingValue": -2000}, [0, 0, 51, 255]),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1000}, [0, 0, 0, 255]),
        (
            {"PixelPaddingValue": -2000, "PhotometricInterpretation": "MONOCHROME1"},
            [0, 255, 204, 0],
        ),
        ({"PixelPaddingValue": 9}, [0, 102, 133, 255]),
    ],
)
def test_what_is_no_part_of_a_dicom_picture_is_black(tmp_path, attributes, greys):
    path = save_picture_file(tmp_path / "one.dcm", [[-2000, -1000, -700, 500]], **attributes)
    assert np.asarray(read_picture(path))[0, :, 0].tolist() == greys
    # The same number, written as if it had no sign.
    dataset = pydicom.dcmread(path)
    dataset.PixelPaddingValue = attributes["PixelPaddingValue"] % 2**16
    dataset["PixelPaddingValue"].VR = "US"
    dataset.save_as(path)
    assert np.asarray(read_picture(path))[0, :, 0].tolist() == greys


def test_the_table_of_greys_of_an_x_ray(tmp_path):
    table = pydicom.Dataset()
    table.LUTDescriptor = [4, 0, 8]
    table.LUTData = [0, 100, 200, 255]
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "US"
    path = save_picture_file(tmp_path / "x.dcm", [[-5, 0, 1, 2, 3, 99]], VOILUTSequence=[table])
    assert np.asarray(read_picture(path))[0, :, 0].tolist() == [0, 0, 100, 200, 255, 255]


def test_a_dicom_picture_without_an_extension_is_known_by_its_start(tmp_path):
    path = save_picture_file(tmp_path / "IM000001", GREYS)
    assert read_picture(path).size == (5, 1)


def test_a_package_that_is_missing_is_named(tmp_path, steps, monkeypatch):
    path = save_picture_file(tmp_path / "one.dcm", GREYS)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for read, name in (
        (lambda: read_picture(path), "pydicom"),
        (lambda: greys_of(steps), "nibabel"),
    ):
        with pytest.raises(
            MissingExtraError, match=rf"{name}.*pip install 'gradcam-cli\[medical\]'"
        ):
            read()


def grouped(folder):
    return list(group_series(find_pictures([folder], STACK_SUFFIXES)))


def save_scan(folder, values=None, **options):
    scan = affine_of([[-2.0, 0, 0], [0, -2.0, 0], [0, 0, 4.0]])
    values = with_ball((8, 8, 6), scan, PLACE) if values is None else values
    save_series(folder, values, scan, options.pop("order", range(values.shape[2])), **options)


def test_files_of_one_series_are_one_volume_and_others_stay_pictures(tmp_path):
    save_scan(tmp_path / "scan")
    (tmp_path / "x-rays").mkdir()
    for number in range(2):
        save_picture_file(tmp_path / "x-rays" / f"{number}.dcm", GREYS, SeriesInstanceUID="1.2")
    save_scan(tmp_path / "two")
    for path in sorted((tmp_path / "two").iterdir()):
        path.rename(path.with_name(f"a{path.name}"))
    save_scan(tmp_path / "other")
    for path in sorted((tmp_path / "other").iterdir()):
        path.rename(tmp_path / "two" / path.name)
    found = {str(one.path.relative_to(tmp_path)): len(one.files) for one in grouped(tmp_path)}
    assert found == {
        "scan": 6,
        "two/IM0000.dcm": 6,
        "two/aIM0000.dcm": 6,
        "x-rays/0.dcm": 0,
        "x-rays/1.dcm": 0,
    }


def test_a_series_that_lacks_a_slice_keeps_the_places_of_the_others(tmp_path):
    save_scan(tmp_path / "scan", order=[5, 0, 3, 1, 4])
    (series,) = grouped(tmp_path)
    with pytest.warns(GradcamWarning, match="lacks 1 of 6 slices \\(2\\)"):
        volume = open_stack(series.path, files=series.files)
    frames = list(volume.frames(FrameChoice()))
    assert [frame.number for frame in frames] == [0, 1, 3, 4, 5]
    assert [frame.position for frame in frames][2] == "S 12.0 mm"


def test_copies_of_a_slice_are_left_out(tmp_path):
    save_scan(tmp_path / "scan")
    save_scan(tmp_path / "whole", order=[2, 4, 0, 5, 3, 1])
    (tmp_path / "scan" / "A copy.dcm").write_bytes((tmp_path / "scan" / "IM0003.dcm").read_bytes())
    copied, whole = grouped(tmp_path)
    with pytest.warns(GradcamWarning, match="scan: 1 of its 7 files are copies of others"):
        volume = open_stack(copied.path, files=copied.files)
    assert np.array_equal(volume.values(), open_stack(whole.path, files=whole.files).values())


def test_a_missing_distance_between_pixels_is_reported(tmp_path):
    save_scan(tmp_path / "scan")
    for path in (tmp_path / "scan").iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.PixelSpacing
        dataset.save_as(path)
    (series,) = grouped(tmp_path)
    with pytest.warns(GradcamWarning, match="how far its pixels are apart"):
        open_stack(series.path, files=series.files)


def test_slices_that_are_no_volume_are_refused(tmp_path):
    save_scan(tmp_path / "twice", order=[0, 1, 2, 2])
    save_scan(tmp_path / "uneven")
    last = sorted((tmp_path / "uneven").iterdir())[-1]
    moved = pydicom.dcmread(last)
    moved.ImagePositionPatient[2] += 1.7
    moved.save_as(last)
    for series, words in zip(grouped(tmp_path), ["the same place", "unevenly"], strict=True):
        with pytest.raises(ImageError, match=words):
            open_stack(series.path, files=series.files)


def test_frames_of_one_file_are_a_volume_if_they_have_places(tmp_path):
    scan = affine_of([[-2.0, 0, 0], [0, -2.0, 0], [0, 0, 4.0]])
    values = with_ball((8, 8, 6), scan, PLACE)
    groups = []
    for number in [5, 4, 3, 2, 1, 0]:
        group, place, turn = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 4 * number]
        turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [turn]
        groups.append(group)
    frames = np.stack([values[..., number].T for number in [5, 4, 3, 2, 1, 0]])
    placed = dicom_slice(frames, NumberOfFrames=6, PerFrameFunctionalGroupsSequence=groups)
    placed.save_as(tmp_path / "placed.dcm", enforce_file_format=True)
    volume = open_stack(tmp_path / "placed.dcm")
    assert volume.position(5) == "S 20.0 mm"
    assert np.allclose(volume.values().argmax(), values.argmax())
    film = dicom_slice(frames, NumberOfFrames=6)
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    volume = open_stack(tmp_path / "film.dcm")
    assert (volume.noun, volume.count, volume.letters) == ("frame", 6, None)
    assert volume.position(5) == ""


@pytest.mark.parametrize("text", ["RA", "RAR", "XYZ", "RASL", ""])
def test_a_wrong_orientation_is_refused(text):
    with pytest.raises(UsageError, match="--orientation"):
        check_orientation(text)


def test_a_name_that_is_not_that_of_a_sheet_is_refused(invoke, tmp_path):
    save_nifti(tmp_path / "scan.nii", with_ball(SHAPE, UPRIGHT, PLACE), UPRIGHT)
    done = invoke("scan.nii", "--out", "heat.nii.gz")
    assert done.exit_code == 2
    assert "the slices of scan.nii are drawn" in done.stderr
    assert "choose heat.png or a folder" in done.stderr
    assert not (tmp_path / "heat.nii.gz").exists()


def test_wrong_options_are_refused_before_anything_is_read(invoke):
    for option, text in (("--window", "brian"), ("--orientation", "RAR"), ("--slice", "x")):
        done = invoke("a.nii", option, text)
        assert done.exit_code == 2
        assert option in done.stderr


def shipped_files():
    """The files for tests that come with nibabel and pydicom, which nobody made for gradcam."""
    folders = [
        Path(nibabel.__file__).parent / "tests" / "data",
        Path(nibabel.__file__).parent / "nicom" / "tests" / "data",
        Path(pydicom.__file__).parent / "data" / "test_files",
    ]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


@pytest.mark.filterwarnings("ignore::gradcam_cli.errors.GradcamWarning")
def test_files_of_others_are_read_or_refused_in_one_line():
    files = shipped_files()
    if not files:
        pytest.skip("these builds of nibabel and pydicom come without data")
    known = [path for path in files if path.name.endswith((".nii", ".nii.gz")) or is_dicom(path)]
    refused = []
    for path in known:
        try:
            stack = open_stack(path)
            if stack is None:
                pictures = [read_picture(path)]
            else:
                pictures = [frame.image for frame in stack.frames(FrameChoice())]
            assert all(picture.mode == "RGB" for picture in pictures), path
        except ImageError as error:
            refused.append((path, str(error)))
    assert len(known) - len(refused) > 20
    assert all(text.startswith(f"{path}: ") and "\n" not in text for path, text in refused)
