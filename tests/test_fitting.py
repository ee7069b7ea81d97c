import numpy as np
import pytest
from PIL import Image

from gradcam_cli.errors import UsageError
from gradcam_cli.pictures.fitting import FITS, choose_input_size, fit_picture, usual_stride

SIZES = [(640, 480), (480, 640), (224, 224), (1000, 300), (37, 301), (5, 4)]
EXTREME = [(4000, 10), (10, 4000), (4000, 1), (1, 4000), (3, 2), (2, 1), (1, 1)]


def planted(size, box):
    """A black picture with one white rectangle."""
    picture = Image.new("RGB", size)
    picture.paste((255, 255, 255), box)
    return picture


def cell_in_picture(fit, shape, pitch, row, column):
    """The middle of a cell in pixels of the picture, by the geometry alone."""
    place = []
    for axis, (cells, number) in enumerate(((shape[1], column), (shape[0], row))):
        at_input = fit.input_size[axis] / 2 + (number + 0.5 - cells / 2) * pitch[1 - axis]
        part = (at_input - fit.target[axis]) / (fit.target[axis + 2] - fit.target[axis])
        source = fit.source
        place.append(source[axis] + part * (source[axis + 2] - source[axis]))
    return place


def in_frame(fit, heat):
    """The map in the frame of the whole picture."""
    frame = np.zeros(fit.picture_size[::-1], np.float32)
    left, top, right, bottom = fit.seen
    frame[top:bottom, left:right] = np.asarray(heat)
    return frame


@pytest.mark.parametrize("size", [*SIZES, (9, 7), (2000, 30)])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("pitch", [32, 1], ids="pitch {}".format)
def test_maps_are_upsampled_as_pillow_does(fit, size, pitch):
    fitted = fit_picture(size, fit, (64, 96), 32)
    shape = [side // pitch for side in fitted.input_size[::-1]]
    heatmap = np.random.default_rng(1).random(shape, np.float32)
    placement = fitted.place(tuple(shape), (pitch, pitch))
    padded = Image.fromarray(np.pad(heatmap, placement.margins, mode="edge"))
    pillows = padded.resize(placement.size, Image.Resampling.BICUBIC, box=placement.box)
    heat = fitted.upsample(heatmap, (pitch, pitch))
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, np.clip(pillows, 0, 1), atol=2e-6)


@pytest.mark.parametrize("size", SIZES + EXTREME)
@pytest.mark.parametrize("fit", FITS)
def test_the_input_and_the_map_have_the_right_sizes(size, fit):
    fitted = fit_picture(size, fit, (224, 224), 32)
    inputs = fitted.apply(Image.new("RGB", size, (9, 200, 70)))
    assert inputs.dtype == np.uint8
    assert inputs.shape == (fitted.input_size[1], fitted.input_size[0], 3)
    left, top, right, bottom = fitted.seen
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    rows, columns = fitted.input_size[1] // 32, fitted.input_size[0] // 32
    heat = np.asarray(fitted.upsample(np.ones((rows, columns), np.float32), (32, 32)))
    assert heat.shape == (bottom - top, right - left)
    # A map that is the same everywhere stays so, to the very edges.
    np.testing.assert_allclose(heat, 1, atol=1e-5)
    if fit not in ("crop", "cover"):
        assert fitted.seen == (0, 0, *size)


@pytest.mark.parametrize("size", SIZES)
def test_what_each_fit_does_to_the_shape(size):
    keep = fit_picture(size, "keep", (256, 256), 32)
    width, height = keep.input_size
    assert width % 32 == 0
    assert height % 32 == 0
    assert 0.6 < width * height / 256**2 < 1.6
    if 1 / 4 < size[0] / size[1] < 4:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.15)

    squash = fit_picture(size, "squash", (224, 256))
    assert squash.input_size == (224, 256)
    assert squash.target == (0, 0, 224, 256)

    for fit, part in (("crop", 0.875), ("cover", 1)):
        left, top, right, bottom = fit_picture(size, fit, (224, 256)).source
        assert (right - left) / (bottom - top) == pytest.approx(224 / 256)
        assert max((right - left) / size[0], (bottom - top) / size[1]) == pytest.approx(part)
        assert left + right == pytest.approx(size[0])
        assert top + bottom == pytest.approx(size[1])

    pad = fit_picture(size, "pad", (224, 256))
    left, top, right, bottom = pad.target
    assert right - left == 224 or bottom - top == 256
    assert (right - left) / (bottom - top) == pytest.approx(size[0] / size[1], rel=0.03)
    assert abs(left - (224 - right)) <= 1
    assert abs(top - (256 - bottom)) <= 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300)])
def test_a_planted_square_arrives_where_the_fit_says(fit, size, centroid):
    fitted = fit_picture(size, fit, (224, 224), 32)
    middle = size[0] / 2 + size[0] / 50, size[1] / 2 - size[1] / 5
    box = (*(round(m - 15) for m in middle), *(round(m + 15) for m in middle))
    inputs = fitted.apply(planted(size, box))[..., 1].astype(float)
    inputs[inputs == 116] = 0  # The borders that "pad" adds.
    x, y = centroid(inputs)
    at = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    for axis, found in enumerate((x, y)):
        low, high = fitted.source[axis], fitted.source[axis + 2]
        part = (at[axis] - low) / (high - low)
        target = fitted.target
        expected = target[axis] + part * (target[axis + 2] - target[axis])
        assert found == pytest.approx(expected, abs=0.3)


def test_pad_fills_the_borders_with_a_neutral_grey():
    fitted = fit_picture((400, 100), "pad", (224, 224))
    inputs = fitted.apply(Image.new("RGB", (400, 100), (255, 0, 0)))
    assert fitted.target == (0, 84, 224, 140)
    assert (inputs[:84] == (124, 116, 104)).all()
    assert (inputs[140:] == (124, 116, 104)).all()
    assert (inputs[84:140] == (255, 0, 0)).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300)])
@pytest.mark.parametrize("pitch", [32, 26.5, 16], ids="pitch {}".format)
def test_a_hot_cell_lands_where_the_network_saw_it(fit, size, pitch, centroid):
    fitted = fit_picture(size, fit, (224, 224), 32)
    shape = [max(3, side // 32) for side in fitted.input_size[::-1]]
    for row in range(1, shape[0] - 1):
        for column in range(1, shape[1] - 1):
            heatmap = np.zeros(shape, np.float32)
            heatmap[row, column] = 1
            x, y = cell_in_picture(fitted, shape, (pitch, pitch), row, column)
            frame = in_frame(fitted, fitted.upsample(heatmap, (pitch, pitch)))
            cell = [
                pitch
                * (fitted.source[a + 2] - fitted.source[a])
                / (fitted.target[a + 2] - fitted.target[a])
                for a in (0, 1)
            ]
            left, top, right, bottom = fitted.seen
            if not (
                left + 2 * cell[0] <= x <= right - 2 * cell[0]
                and top + 2 * cell[1] <= y <= bottom - 2 * cell[1]
            ):
                continue  # Cut off by the edge of the picture, so its middle moves.
            found = centroid(frame)
            assert found[0] == pytest.approx(x, abs=1)
            assert found[1] == pytest.approx(y, abs=1)
            peak_y, peak_x = np.unravel_index(frame.argmax(), frame.shape)
            assert abs(peak_x + 0.5 - x) <= 1.5
            assert abs(peak_y + 0.5 - y) <= 1.5


def test_a_hot_corner_cell_reaches_the_corner():
    fitted = fit_picture((640, 640), "squash", (224, 224))
    heatmap = np.zeros((7, 7), np.float32)
    heatmap[0, -1] = 1
    heat = np.asarray(fitted.upsample(heatmap, (32, 32)))
    peak_y, peak_x = np.unravel_index(heat.argmax(), heat.shape)
    assert peak_y < 640 / 7
    assert peak_x > 640 * 6 / 7
    assert heat[0, -1] > 0.9
    assert heat[-1, 0] == 0


def test_cells_closer_together_are_drawn_closer_together(centroid):
    # Nine cells, 20 px apart, cover 180 of 224 px: the rest continues the outermost.
    fitted = fit_picture((224, 224), "squash", (224, 224))
    for column in (2, 4, 6):
        heatmap = np.zeros((9, 9), np.float32)
        heatmap[4, column] = 1
        x, y = centroid(fitted.upsample(heatmap, (20, 20)))
        assert x == pytest.approx(112 + (column - 4) * 20, abs=0.6)
        assert y == pytest.approx(112, abs=0.6)


def test_a_different_pitch_in_each_direction(centroid):
    fitted = fit_picture((300, 200), "squash", (224, 224))
    heatmap = np.zeros((7, 14), np.float32)
    heatmap[2, 9] = 1
    x, y = centroid(fitted.upsample(heatmap, (32, 16)))
    assert x == pytest.approx((9.5 * 16) * 300 / 224, abs=1)
    assert y == pytest.approx((2.5 * 32) * 200 / 224, abs=1)


@pytest.mark.parametrize("fit", FITS)
def test_stays_between_zero_and_one(fit):
    # Bicubic upsampling overshoots beside steps.
    fitted = fit_picture((333, 250), fit, (224, 224), 32)
    rows, columns = fitted.input_size[1] // 32, fitted.input_size[0] // 32
    heatmap = (np.indices((rows, columns)).sum(0) % 2).astype(np.float32)
    heat = np.asarray(fitted.upsample(heatmap, (32, 32)))
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() <= 1


@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("fit", FITS)
def test_extreme_pictures_can_be_explained(size, fit):
    fitted = fit_picture(size, fit, (224, 224), 32)
    rows, columns = fitted.input_size[1] // 32, fitted.input_size[0] // 32
    heatmap = np.zeros((rows, columns), np.float32)
    heatmap[-1, -1] = 1
    heat = np.asarray(fitted.upsample(heatmap, (32, 32)))
    assert np.isfinite(heat).all()
    left, top, right, bottom = fitted.seen
    assert heat.shape == (bottom - top, right - left)
    # Where cells are smaller than pixels, they are averaged.
    if fit in ("keep", "squash") and min(size) >= 10:
        assert heat[-1, -1] == heat.max() > 0.5


def test_input_sizes():
    assert choose_input_size((224, 224), True, "keep") == (256, 256)
    assert choose_input_size((224, 224), True, "squash") == (224, 224)
    assert choose_input_size((224, 224), True, "keep", (448, 448)) == (448, 448)
    assert choose_input_size((224, 224), True, "crop", (450, 300)) == (288, 448)
    assert choose_input_size((224, 224), True, "crop", (1, 1)) == (32, 32)
    assert choose_input_size((224, 224), False, "crop") == (224, 224)
    assert choose_input_size((224, 224), False, "crop", (224, 224)) == (224, 224)
    assert choose_input_size((120, 160), False, "pad") == (160, 120)


def test_small_networks_have_small_strides():
    assert usual_stride((224, 224)) == 32
    assert usual_stride((600, 600)) == 32
    assert usual_stride((32, 32)) == 4
    assert usual_stride((4, 4)) == 1


def test_networks_of_one_size_refuse_others():
    with pytest.raises(UsageError, match="--fit keep"):
        choose_input_size((224, 224), False, "keep")
    with pytest.raises(UsageError, match="only inputs of 224×224"):
        choose_input_size((224, 224), False, "squash", (256, 256))


@pytest.mark.parametrize("side", [256, 720])
def test_a_smaller_copy_is_seen_up_to_its_edge_and_no_further(side):
    for width in range(300, 2000):
        fit = fit_picture((width, 300), "squash", (224, 224)).scaled_to((side, 100))
        assert fit.seen == (0, 0, side, 100)
