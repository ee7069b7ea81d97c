"use strict";
/* The grid: the pictures that fit the filters, in the chosen order. */
const grid = (() => {
  const { data, byId, create, scale, textOf, fileName, source, drawBoxes } = page;
  const { levelsOf, paint, lay } = heat;
  const pictures = data.pictures.filter((picture) => picture.maps);
  const failures = data.pictures.filter((picture) => picture.error);
  const empty = data.pictures.filter((picture) => picture.note);
  const BINS = 20;
  const CHIPS = 18;
  const THUMBNAIL_SIDE = 96;
  const FRAME_BUDGET = 8;
  // So many are there as soon as the page has loaded, for screenshots and printers, and stay.
  const EAGER = 100;
  // Where a number lies between the two ends of the histogram.
  const partOf = (p) => (p - scale.lowest) / (scale.highest - scale.lowest || 1);
  const filter = { query: "", classes: new Set(), outcome: "all", bin: null };

  /* The classes by which a picture is found: the most probable one, or those of its objects. */
  function classesOf(picture) {
    if (!scale.areObjects) return [picture.predictions[0]];
    const first = new Map();
    for (const one of picture.predictions) if (!first.has(one.index)) first.set(one.index, one);
    return [...first.values()];
  }

  function describe(picture) {
    if (!scale.areObjects) return picture.predictions[0].name;
    const named = classesOf(picture).map(({ name, index }) => {
      const count = picture.predictions.filter((one) => one.index === index).length;
      return count > 1 ? `${name} ×${count}` : name;
    });
    return named.join(", ");
  }

  // The cards. Beyond the first ones, what is far from the screen holds no pixels.

  const list = byId("grid");
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
    const described = describe(picture);
    item.querySelector(".class").textContent = described;
    item.querySelector(".part").textContent = textOf(top);
    // The map of a chosen class, or of a region, needn't be that of the first prediction.
    const of = map.target.name === top.name ? "" : ` · map of ${map.target.name}`;
    item.querySelector(".file").textContent = name + of;
    item.querySelector(".file").title = picture.path;
    if (picture.correct !== undefined) {
      const badge = item.querySelector(".badge");
      badge.hidden = false;
      badge.textContent = picture.correct ? "✓ right" : `✗ true class: ${picture.truth ?? "another"}`;
      badge.classList.toggle("wrong", !picture.correct);
    }
    const card = {
      number,
      picture,
      item,
      near: false,
      text: `${picture.path} ${described} ${top.wnid ?? ""} ${picture.truth ?? ""}`.toLowerCase(),
      bin: Math.min(BINS - 1, Math.floor(partOf(top.p) * BINS)),
    };
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
    drawBoxes(card.item.querySelector(".stage"), card.picture, map.target.object);
    const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(...map.size));
    const width = Math.max(1, Math.round(map.size[0] * scale));
    const height = Math.max(1, Math.round(map.size[1] * scale));
    card.levels ??= levelsOf(map, width, height);
    paint(canvas, card.levels, width, height);
  }

  function hide(card) {
    waiting.delete(card);
    if (!card.levels || card.number < EAGER) return;
    card.item.querySelector("img").removeAttribute("src");
    card.item.querySelector("canvas").width = 0;
    card.levels = undefined;
  }

  // What is shown, in which order.

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

  function fits(card) {
    const { picture } = card;
    return (
      filter.query.split(/\s+/).every((word) => card.text.includes(word)) &&
      (filter.classes.size === 0 ||
        classesOf(picture).some(({ index }) => filter.classes.has(index))) &&
      (filter.outcome === "all" || picture.correct === (filter.outcome === "right"))
    );
  }

  function update() {
    const fitting = order.filter(fits);
    shown = filter.bin === null ? fitting : fitting.filter((card) => card.bin === filter.bin);
    // Taking cards out is many times faster than hiding them where content-visibility is.
    list.replaceChildren(...shown.map((card) => card.item));
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

  // The histogram of confidences, or of the values of a regression's first output.

  function axisText(part) {
    if (!scale.areValues) return `${Math.round(100 * part)} %`;
    return Number((scale.lowest + part * (scale.highest - scale.lowest)).toPrecision(3)).toString();
  }

  if (scale.areValues) {
    document.querySelector(".histogram figcaption").textContent = `Values of ${scale.name}`;
    byId("histogram").setAttribute("aria-label", "Pictures by value");
    document.querySelectorAll(".axis span").forEach((mark, number) => {
      mark.textContent = axisText(number / 2);
    });
    // All pictures have the same outputs.
    document.querySelector(".classes").hidden = true;
    byId("sort").querySelector("[value=class]").remove();
    byId("sort").querySelector("[value=most]").textContent = "highest value first";
    byId("sort").querySelector("[value=least]").textContent = "lowest value first";
  }

  if (scale.areShares) {
    document.querySelector(".histogram figcaption").textContent = "Share of the largest class";
    byId("histogram").setAttribute("aria-label", "Pictures by share");
    byId("sort").querySelector("[value=most]").textContent = "largest share first";
    byId("sort").querySelector("[value=least]").textContent = "smallest share first";
  }

  if (scale.areObjects) {
    document.querySelector(".histogram figcaption").textContent = "Score of the best object";
    byId("histogram").setAttribute("aria-label", "Pictures by score");
    byId("sort").querySelector("[value=most]").textContent = "highest score first";
    byId("sort").querySelector("[value=least]").textContent = "lowest score first";
  }

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
      const [from, to] = [bin / BINS, (bin + 1) / BINS].map(axisText);
      const label = scale.areValues ? `${from} to ${to}` : `${from.slice(0, -2)} to ${to}`;
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
      for (const { index, name } of classesOf(picture)) {
        const entry = counts.get(index) ?? { name, count: 0 };
        entry.count += 1;
        counts.set(index, entry);
      }
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
  document.addEventListener("colormap", () => {
    for (const card of cards) if (card.near) showSoon(card);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select")) return;
    if (document.querySelector("dialog[open]")) return;
    byId("search").focus();
    event.preventDefault();
  });

  function listBelow(id, what, lines) {
    if (!lines.length) return;
    const section = byId(id);
    section.hidden = false;
    section.querySelector("summary").textContent =
      `${lines.length} ${lines.length === 1 ? "picture" : "pictures"} ${what}`;
    section.querySelector("ul").append(...lines.map((line) => create("li", line)));
  }
  listBelow("without", "without objects", empty.map(({ path, note }) => `${path}: ${note}`));
  listBelow("failures", "could not be explained", failures.map(({ error }) => error));
  drawOutcomes();
  drawChips(false);
  sort("file");
  for (const card of cards.slice(0, EAGER)) {
    card.item.querySelector("img").decoding = "sync";
    show(card);
  }
  for (const card of cards) observer.observe(card.item);

  return { list, cardOf, shown: () => shown };
})();
