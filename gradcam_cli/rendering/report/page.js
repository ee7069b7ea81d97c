"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const pictures = data.pictures.filter((picture) => !picture.error);
  const failures = data.pictures.filter((picture) => picture.error);
  const root = document.documentElement;
  const BINS = 20;
  const CHIPS = 18;
  const THUMBNAIL_SIDE = 96;
  const FRAME_BUDGET = 8;

  const view = { colormap: data.colormap, alpha: data.alpha };
  const filter = { query: "", classes: new Set(), outcome: "all", bin: null };

  const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;
  const fileName = (path) => path.split(/[\\/]/).pop();
  const folderOf = (path) => path.slice(0, path.length - fileName(path).length);
  const create = (tag, text = "", className = "") => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  // Heat: from the cells of a map to colours.

  const tables = Object.fromEntries(
    data.colormaps.map(([name, table]) => [name, bytesOf(table)]),
  );

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

  /* The levels (0 to 255) of a map at a size in pixels, as the command line draws them. */
  function levelsOf(map, width, height) {
    const numbers = new DataView(bytesOf(map.cells).buffer);
    const [above, below, before, behind] = map.margins;
    const columns = map.columns + before + behind;
    const rows = map.rows + above + below;
    const [left, top, right, bottom] = map.box;
    const horizontal = filterFor(columns, left, right, width);
    const vertical = filterFor(rows, top, bottom, height);
    const clamp = (value, limit) => Math.min(Math.max(value, 0), limit - 1);
    const wide = new Float32Array(rows * width);
    const cells = new Float32Array(columns);
    for (let row = 0; row < rows; row++) {
      const source = clamp(row - above, map.rows) * map.columns;
      for (let column = 0; column < columns; column++) {
        const cell = source + clamp(column - before, map.columns);
        cells[column] = numbers.getUint16(2 * cell, true) / 65535;
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
        levels[y * width + x] = Math.min(Math.max(line[x], 0), 1) * 255 + 0.5;
      }
    }
    return levels;
  }

  function paint(canvas, levels, width, height) {
    const table = tables[view.colormap];
    const image = new ImageData(width, height);
    const colors = new Uint32Array(256);
    for (let level = 0; level < 256; level++) {
      const [red, green, blue] = table.subarray(3 * level, 3 * level + 3);
      colors[level] = (255 << 24) | (blue << 16) | (green << 8) | red;
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

  const source = (picture) => picture.file ?? byId(`preview-${picture.preview}`).textContent;

  // The grid. What is far from the screen holds no pixels.

  const grid = byId("grid");
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const card = cardOf.get(entry.target);
        card.near = entry.isIntersecting;
        if (card.near) showSoon(card);
        else hide(card);
      }
    },
    { rootMargin: "600px" },
  );
  const cardOf = new Map();
  const cards = pictures.map((picture, number) => {
    const item = byId("card").content.firstElementChild.cloneNode(true);
    const [width, height] = picture.size;
    const shape = width / height;
    const ratio = Math.min(Math.max(shape, 0.72), 2.2);
    item.style.setProperty("--ratio", ratio.toFixed(4));
    item.style.setProperty("--shape", shape.toFixed(5));
    item.querySelector(".stage").classList.toggle("tall", shape < ratio);
    const top = picture.predictions[0];
    const map = picture.maps[0];
    const name = fileName(picture.path);
    item.querySelector("img").alt = `${name}, heat map of ${map.method} for ${map.target.name}`;
    item.querySelector(".class").textContent = top.name;
    item.querySelector(".part").textContent = percent(top.p);
    item.querySelector(".file").textContent = name;
    item.querySelector(".file").title = picture.path;
    if (picture.correct !== undefined) {
      const badge = item.querySelector(".badge");
      badge.hidden = false;
      badge.textContent = picture.correct ? "✓ right" : `✗ is ${picture.truth ?? "another"}`;
      badge.classList.toggle("wrong", !picture.correct);
    }
    const card = {
      number,
      picture,
      item,
      near: false,
      text: `${picture.path} ${top.name} ${top.wnid ?? ""} ${picture.truth ?? ""}`.toLowerCase(),
      bin: Math.min(BINS - 1, Math.floor(top.p * BINS)),
    };
    item.firstElementChild.addEventListener("click", () => open(card));
    cardOf.set(item, card);
    return card;
  });

  // A few cards a frame, so that typing and scrolling never wait for drawing.
  const waiting = new Set();
  let drawing = 0;
  function showSoon(card) {
    waiting.add(card);
    drawing ||= requestAnimationFrame(drawWaiting);
  }

  function drawWaiting() {
    const started = performance.now();
    for (const card of waiting) {
      waiting.delete(card);
      show(card);
      if (performance.now() - started > FRAME_BUDGET) break;
    }
    drawing = waiting.size ? requestAnimationFrame(drawWaiting) : 0;
  }

  function show(card) {
    const map = card.picture.maps[0];
    const image = card.item.querySelector("img");
    const canvas = card.item.querySelector("canvas");
    if (!image.hasAttribute("src")) image.src = source(card.picture);
    lay(canvas, map, card.picture.size);
    const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(...map.size));
    const width = Math.max(1, Math.round(map.size[0] * scale));
    const height = Math.max(1, Math.round(map.size[1] * scale));
    card.levels ??= levelsOf(map, width, height);
    paint(canvas, card.levels, width, height);
  }

  function hide(card) {
    waiting.delete(card);
    if (!card.levels) return;
    card.item.querySelector("img").removeAttribute("src");
    card.item.querySelector("canvas").width = 0;
    card.levels = undefined;
  }

  let shown = cards;
  let order = cards;
  const orders = {
    file: (a, b) => a.number - b.number,
    most: (a, b) => b.picture.predictions[0].p - a.picture.predictions[0].p || a.number - b.number,
    least: (a, b) => a.picture.predictions[0].p - b.picture.predictions[0].p || a.number - b.number,
    class: (a, b) =>
      a.picture.predictions[0].name.localeCompare(b.picture.predictions[0].name) ||
      orders.most(a, b),
  };

  function fits(card, withBin) {
    const { picture } = card;
    return (
      filter.query.split(/\s+/).every((word) => card.text.includes(word)) &&
      (filter.classes.size === 0 || filter.classes.has(picture.predictions[0].index)) &&
      (filter.outcome === "all" || picture.correct === (filter.outcome === "right")) &&
      (!withBin || filter.bin === null || card.bin === filter.bin)
    );
  }

  function update() {
    const fitting = order.filter((card) => fits(card, false));
    shown = filter.bin === null ? fitting : fitting.filter((card) => card.bin === filter.bin);
    // Taking cards out is many times faster than hiding them where content-visibility is.
    grid.replaceChildren(...shown.map((card) => card.item));
    const all = cards.length;
    const noun = all === 1 ? "picture" : "pictures";
    byId("count").textContent =
      shown.length === all
        ? `${all.toLocaleString("en")} ${noun}`
        : `${shown.length.toLocaleString("en")} of ${all.toLocaleString("en")} ${noun}`;
    const filtered =
      filter.query || filter.classes.size || filter.outcome !== "all" || filter.bin !== null;
    byId("clear").hidden = !filtered;
    byId("empty").hidden = shown.length > 0 || all === 0;
    drawHistogram(fitting);
  }

  let pending = 0;
  function updateSoon() {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(update);
  }

  function sort(name) {
    order = [...cards].sort(orders[name]);
    update();
  }

  // The histogram of confidences.

  const histogram = byId("histogram");
  const bins = Array.from({ length: BINS }, (_, bin) => {
    const button = create("button");
    button.type = "button";
    button.append(create("i", "", "wrong"), create("i", "", "right"), create("i"));
    button.addEventListener("click", () => {
      filter.bin = filter.bin === bin ? null : bin;
      update();
    });
    histogram.append(button);
    return button;
  });

  function drawHistogram(fitting) {
    const counts = bins.map(() => [0, 0, 0]);
    for (const card of fitting) {
      const { correct } = card.picture;
      counts[card.bin][correct === undefined ? 2 : correct ? 1 : 0] += 1;
    }
    const totals = counts.map((parts) => parts[0] + parts[1] + parts[2]);
    const highest = Math.max(1, ...totals);
    histogram.classList.toggle("filtered", filter.bin !== null);
    bins.forEach((button, bin) => {
      const label = `${(100 * bin) / BINS} to ${(100 * (bin + 1)) / BINS} %`;
      const wrong = counts[bin][0] ? `, ${counts[bin][0]} wrong` : "";
      const text = `${label}: ${totals[bin]} ${totals[bin] === 1 ? "picture" : "pictures"}${wrong}`;
      button.setAttribute("aria-label", text);
      button.title = text;
      button.setAttribute("aria-pressed", String(filter.bin === bin));
      button.disabled = totals[bin] === 0 && filter.bin !== bin;
      [...button.children].forEach((bar, part) => {
        bar.hidden = counts[bin][part] === 0;
        bar.style.height = `${(100 * counts[bin][part]) / highest}%`;
      });
    });
  }

  // Filters.

  function drawChips(all) {
    const counts = new Map();
    for (const { picture } of cards) {
      const top = picture.predictions[0];
      const entry = counts.get(top.index) ?? { name: top.name, count: 0 };
      entry.count += 1;
      counts.set(top.index, entry);
    }
    const entries = [...counts].sort(
      ([, a], [, b]) => b.count - a.count || a.name.localeCompare(b.name),
    );
    const chips = byId("chips");
    chips.replaceChildren();
    for (const [index, { name, count }] of all ? entries : entries.slice(0, CHIPS)) {
      const chip = create("button", name);
      chip.type = "button";
      chip.dataset.index = index;
      chip.append(create("small", String(count)));
      chip.setAttribute("aria-label", `${name}, ${count} ${count === 1 ? "picture" : "pictures"}`);
      chip.setAttribute("aria-pressed", String(filter.classes.has(index)));
      chip.addEventListener("click", () => {
        const on = !filter.classes.delete(index);
        if (on) filter.classes.add(index);
        chip.setAttribute("aria-pressed", String(on));
        update();
      });
      chips.append(chip);
    }
    if (!all && entries.length > CHIPS) {
      const more = create("button", `all ${entries.length} classes`, "link");
      more.type = "button";
      more.addEventListener("click", () => {
        drawChips(true);
        chips.children[CHIPS].focus();
      });
      chips.append(more);
    }
  }

  function drawOutcomes() {
    const group = byId("outcomes");
    group.hidden = !cards.some(({ picture }) => picture.correct !== undefined);
    for (const [outcome, label] of [["all", "All"], ["right", "Right"], ["wrong", "Wrong"]]) {
      const button = create("button", label);
      button.type = "button";
      button.dataset.outcome = outcome;
      button.addEventListener("click", () => {
        filter.outcome = outcome;
        press(group, button);
        update();
      });
      group.append(button);
    }
    press(group, group.firstElementChild);
  }

  function press(group, pressed) {
    for (const button of group.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button === pressed));
    }
  }

  byId("search").addEventListener("input", (event) => {
    filter.query = event.target.value.trim().toLowerCase();
    updateSoon();
  });
  byId("sort").addEventListener("change", (event) => sort(event.target.value));
  byId("clear").addEventListener("click", () => {
    Object.assign(filter, { query: "", outcome: "all", bin: null });
    filter.classes.clear();
    byId("search").value = "";
    press(byId("outcomes"), byId("outcomes").firstElementChild);
    for (const chip of byId("chips").children) chip.setAttribute("aria-pressed", "false");
    update();
    byId("search").focus();
  });

  // Display: colour map, blend, theme.

  for (const group of document.querySelectorAll("[data-colormaps]")) {
    for (const [name, table] of Object.entries(tables)) {
      const button = create("button");
      button.type = "button";
      button.dataset.colormap = name;
      button.title = name;
      const swatch = create("canvas");
      swatch.width = 64;
      swatch.height = 1;
      const image = new ImageData(64, 1);
      for (let x = 0; x < 64; x++) {
        image.data.set([...table.subarray(12 * x, 12 * x + 3), 255], 4 * x);
      }
      swatch.getContext("2d").putImageData(image, 0, 0);
      button.append(swatch, create("span", name, "name"));
      button.addEventListener("click", () => setColormap(name));
      group.append(button);
    }
  }

  function setColormap(name) {
    view.colormap = name;
    for (const button of document.querySelectorAll("[data-colormap]")) {
      button.setAttribute("aria-pressed", String(button.dataset.colormap === name));
    }
    for (const card of cards) if (card.near) showSoon(card);
    if (current) drawHeat();
  }

  function setAlpha(alpha) {
    view.alpha = alpha;
    root.style.setProperty("--alpha", alpha);
    for (const slider of document.querySelectorAll("[data-blend]")) {
      slider.value = Math.round(100 * alpha);
    }
    byId("blend-value").textContent = `${Math.round(100 * alpha)} %`;
    if (current) writeCommand();
  }
  for (const slider of document.querySelectorAll("[data-blend]")) {
    slider.addEventListener("input", () => setAlpha(slider.value / 100));
  }

  const themes = ["auto", "light", "dark"];
  const remembered = (() => {
    try {
      return localStorage.getItem("gradcam-theme");
    } catch {
      return null;
    }
  })();
  function setTheme(theme) {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    byId("theme-name").textContent = theme[0].toUpperCase() + theme.slice(1);
    byId("theme").dataset.now = theme;
    const spoken = theme === "auto" ? "automatic" : theme;
    byId("theme").setAttribute("aria-label", `Colours of the page: ${spoken}`);
  }
  byId("theme").addEventListener("click", () => {
    const theme = themes[(themes.indexOf(byId("theme").dataset.now) + 1) % themes.length];
    setTheme(theme);
    try {
      localStorage.setItem("gradcam-theme", theme);
    } catch {
      // Pages opened from a file may not be allowed to remember anything.
    }
  });

  // The large view.

  const viewer = byId("viewer");
  let current = null;
  let blended = data.alpha || 0.5;

  function open(card) {
    if (!viewer.open) viewer.showModal();
    const { picture } = card;
    // The method, and the class where the picture has it, stay chosen.
    const method = current?.map.method;
    const map = picture.maps.find((entry) => entry.method === method) ?? picture.maps[0];
    current = { card, map };
    const stage = byId("stage");
    stage.style.setProperty("--shape", picture.size[0] / picture.size[1]);
    byId("original").src = source(picture);
    byId("viewer-name").textContent = fileName(picture.path);
    byId("viewer-folder").textContent = folderOf(picture.path);
    const verdict = byId("verdict");
    verdict.hidden = picture.correct === undefined;
    verdict.className = picture.correct ? "right" : "wrong";
    verdict.textContent = picture.correct
      ? `✓ Right: ${picture.truth ?? picture.predictions[0].name}`
      : `✗ Wrong: the true class is ${picture.truth ?? "another"}`;
    const place = shown.indexOf(card);
    byId("viewer-place").textContent = `${place + 1} of ${shown.length}`;
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place >= shown.length - 1;
    choose(map);
  }

  function choose(map) {
    current.map = map;
    drawPredictions();
    drawMethods();
    const { picture } = current.card;
    byId("original").alt =
      `${fileName(picture.path)}, heat map of ${map.method} for ${map.target.name}`;
    lay(byId("heat"), map, picture.size);
    current.levels = levelsOf(map, ...map.size);
    drawHeat();
  }

  function drawHeat() {
    paint(byId("heat"), current.levels, ...current.map.size);
    writeCommand();
  }

  function mapsOfMethod() {
    return current.card.picture.maps.filter((entry) => entry.method === current.map.method);
  }

  function drawPredictions() {
    const { picture } = current.card;
    const list = byId("predictions");
    const focused = list.contains(document.activeElement);
    list.replaceChildren();
    const maps = mapsOfMethod();
    const known = new Set(picture.predictions.map((prediction) => prediction.index));
    const others = maps.map((map) => map.target).filter((target) => !known.has(target.index));
    for (const prediction of [...picture.predictions, ...others]) {
      const map = maps.find((entry) => entry.target.index === prediction.index);
      const row = create(map ? "button" : "div", "", "prediction");
      row.append(create("span", prediction.name), create("span", percent(prediction.p)));
      const meter = create("span", "", "meter");
      const bar = create("i");
      bar.style.width = `${100 * prediction.p}%`;
      meter.append(bar);
      row.append(meter);
      if (map) {
        row.type = "button";
        row.setAttribute("aria-pressed", String(map === current.map));
        row.addEventListener("click", () => choose(map));
        if (map.empty) row.append(create("em", "Nothing here speaks for this class."));
      }
      list.append(row);
    }
    if (focused) list.querySelector('[aria-pressed="true"]').focus();
  }

  function drawMethods() {
    const methods = [...new Set(current.card.picture.maps.map((map) => map.method))];
    byId("methods-section").hidden = methods.length < 2;
    const group = byId("methods");
    const focused = group.contains(document.activeElement);
    group.replaceChildren();
    for (const method of methods) {
      const button = create("button", method);
      button.type = "button";
      button.setAttribute("aria-pressed", String(method === current.map.method));
      button.addEventListener("click", () => {
        const { maps } = current.card.picture;
        const same = maps.filter((map) => map.method === method);
        const { index } = current.map.target;
        choose(same.find((map) => map.target.index === index) ?? same[0]);
      });
      group.append(button);
      if (focused && method === current.map.method) button.focus();
    }
  }

  function writeCommand() {
    const { card, map } = current;
    const parts = [
      "gradcam explain",
      card.picture.argument,
      ...data.arguments,
      ...map.arguments,
      `--class ${map.target.index}`,
      `--colormap ${view.colormap}`,
      `--alpha ${view.alpha}`,
    ];
    // Lines break between the parts, not at the hyphens inside of them.
    byId("command").replaceChildren(
      ...parts.flatMap((part, number) => [number ? " " : "", create("span", part)]),
    );
  }

  function step(by) {
    const card = shown[shown.indexOf(current.card) + by];
    if (card) open(card);
  }

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => {
    const { item } = current.card;
    current = null;
    byId("original").removeAttribute("src");
    item.scrollIntoView({ block: "nearest" });
    item.firstElementChild.focus();
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onSlider = event.target.matches("input[type=range]");
    if (event.key === "ArrowRight" && !onSlider) step(1);
    else if (event.key === "ArrowLeft" && !onSlider) step(-1);
    else if (event.key.toLowerCase() === "c") {
      const names = Object.keys(tables);
      setColormap(names[(names.indexOf(view.colormap) + 1) % names.length]);
    } else if (event.key.toLowerCase() === "o") {
      if (view.alpha > 0) blended = view.alpha;
      setAlpha(view.alpha > 0 ? 0 : blended);
    } else if (/^[1-9]$/.test(event.key)) {
      const map = mapsOfMethod()[event.key - 1];
      if (map) choose(map);
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || viewer.open || event.target.matches("input, select")) return;
    byId("search").focus();
    event.preventDefault();
  });

  byId("copy").addEventListener("click", async () => {
    const command = byId("command");
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // Without permission the text is at least selected, and most browsers still copy it.
      getSelection().selectAllChildren(command);
      document.execCommand("copy");
    }
    byId("copy").textContent = "Copied";
    setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
  });

  // Start.

  if (failures.length) {
    const section = byId("failures");
    section.hidden = false;
    section.querySelector("summary").textContent =
      `${failures.length} ${failures.length === 1 ? "picture" : "pictures"} could not be explained`;
    section.querySelector("ul").append(...failures.map(({ error }) => create("li", error)));
  }
  setTheme(themes.includes(remembered) ? remembered : "auto");
  setColormap(view.colormap);
  setAlpha(view.alpha);
  drawOutcomes();
  drawChips(false);
  sort("file");
  for (const card of cards) observer.observe(card.item);
})();
