"use strict";
/* From the cells of a map to the pixels of a canvas. */
const heatCells = (() => {
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  // The level of zero in signed maps.
  const MIDDLE = 127;

  function cubic(x) {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
  }

  /* For every output pixel the first cell that it depends on, and the cells' weights:
     bicubic interpolation (a = -1/2), or averaging where the map is the finer one. */
  function filterFor(cells, start, end, length) {
    const scale = (end - start) / length;
    const stretch = Math.max(scale, 1);
    const taps = [];
    for (let pixel = 0; pixel < length; pixel++) {
      const centre = start + (pixel + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5));
      const last = Math.min(cells, Math.trunc(centre + 2 * stretch + 0.5));
      const weights = [];
      let sum = 0;
      for (let cell = first; cell < last; cell++) {
        const weight = cubic((cell - centre + 0.5) / stretch);
        weights.push(weight);
        sum += weight;
      }
      taps.push([first, weights.map((weight) => weight / sum)]);
    }
    return taps;
  }

  /* The values of a map's cells, in [0, 1], or in [-1, 1] if it is signed. */
  function valuesOf(map) {
    const numbers = new DataView(bytesOf(map.cells).buffer);
    return Float32Array.from({ length: map.rows * map.columns }, (_, cell) =>
      numbers.getInt16(2 * cell, true) / 32767);
  }

  /* The levels (0 to 255, or 0 to 254 with zero at 127 for a signed map) at a size in pixels, as
     the command line draws them. */
  function levelsOf(map, width, height, signed, values = valuesOf(map)) {
    const [above, below, before, behind] = map.margins;
    const columns = map.columns + before + behind;
    const rows = map.rows + above + below;
    const [left, top, right, bottom] = map.box;
    const horizontal = filterFor(columns, left, right, width);
    const vertical = filterFor(rows, top, bottom, height);
    const clamp = (value, limit) => Math.min(Math.max(value, 0), limit - 1);
    const wide = new Float32Array(rows * width);
    const cells = new Float32Array(columns);
    let [low, high] = [0, 0];
    for (let row = 0; row < rows; row++) {
      const source = clamp(row - above, map.rows) * map.columns;
      for (let column = 0; column < columns; column++) {
        cells[column] = values[source + clamp(column - before, map.columns)];
        if (cells[column] < 0) low = -1;
        if (cells[column] > 0) high = 1;
      }
      for (let x = 0; x < width; x++) {
        const [first, weights] = horizontal[x];
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) sum += cells[first + tap] * weights[tap];
        wide[row * width + x] = sum;
      }
    }
    const levels = new Uint8Array(width * height);
    const line = new Float32Array(width);
    for (let y = 0; y < height; y++) {
      const [first, weights] = vertical[y];
      line.fill(0);
      for (let tap = 0; tap < weights.length; tap++) {
        const offset = (first + tap) * width;
        const weight = weights[tap];
        for (let x = 0; x < width; x++) line[x] += wide[offset + x] * weight;
      }
      for (let x = 0; x < width; x++) {
        const value = Math.min(Math.max(line[x], low), high);
        levels[y * width + x] = signed ? value * MIDDLE + MIDDLE + 0.5 : value * 255 + 0.5;
      }
    }
    return levels;
  }

  /* Colours levels with a table of 256 colours. Below `hotFrom` times the strongest, a map is
     transparent. */
  function paint(canvas, levels, width, height, table, signed, hotFrom = null) {
    const strengthOf = (level) => (signed ? Math.abs(level - MIDDLE) : level);
    const image = new ImageData(width, height);
    const colors = new Uint32Array(256);
    let strongest = 0;
    if (hotFrom) {
      for (const level of levels) strongest = Math.max(strongest, strengthOf(level));
    }
    for (let level = 0; level < 256; level++) {
      const [red, green, blue] = table.subarray(3 * level, 3 * level + 3);
      const strength = strengthOf(level);
      // Weaker evidence of signed maps is more transparent.
      let opacity = signed ? Math.min(strength / MIDDLE, 1) : 1;
      if (hotFrom && (strength === 0 || strength < hotFrom * strongest)) opacity = 0;
      colors[level] = (Math.round(255 * opacity) << 24) | (blue << 16) | (green << 8) | red;
    }
    const pixels = new Uint32Array(image.data.buffer);
    for (let index = 0; index < pixels.length; index++) pixels[index] = colors[levels[index]];
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function lay(canvas, map, size) {
    canvas.style.left = `${(100 * map.position[0]) / size[0]}%`;
    canvas.style.top = `${(100 * map.position[1]) / size[1]}%`;
    canvas.style.width = `${(100 * map.size[0]) / size[0]}%`;
    canvas.style.height = `${(100 * map.size[1]) / size[1]}%`;
  }

  /* One row of the colours of a table, as a legend. The last of 256 is that before it or nearly. */
  function drawTable(canvas, table) {
    const image = new ImageData(2 * MIDDLE + 1, 1);
    for (let x = 0; x < image.width; x++) {
      image.data.set([...table.subarray(3 * x, 3 * x + 3), 255], 4 * x);
    }
    [canvas.width, canvas.height] = [image.width, 1];
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  return { bytesOf, valuesOf, levelsOf, paint, lay, drawTable };
})();
