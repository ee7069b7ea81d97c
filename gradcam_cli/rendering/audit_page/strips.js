"use strict";
/* Strips: a picture beside its maps, "why predicted" and "why not true". */
const strips = (() => {
  const { data, create, textOf } = base;
  const { levelsOf, paint, lay, valuesOf, bytesOf } = heatCells;
  const THUMBNAIL_SIDE = 96;
  const signedColors = bytesOf(data.signedColors);

  // Canvases are drawn when they come near the screen, and again with other colours.

  const near = new Set();
  const heatOf = new WeakMap();
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) near.add(target);
        else near.delete(target);
        if (isIntersecting) draw(target);
      }
    },
    { rootMargin: "600px" },
  );

  function draw(canvas) {
    const heat = heatOf.get(canvas);
    if (heat.painted === look.chosen.colormap || (heat.painted && heat.signed)) return;
    const { map, signed, side } = heat;
    const scale = Math.min(1, side / Math.max(...map.size));
    const [width, height] = map.size.map((length) => Math.max(1, Math.round(length * scale)));
    heat.levels ??= levelsOf(map, width, height, signed, signed ? undefined : positive(map));
    paint(canvas, heat.levels, width, height, signed ? signedColors : look.table(), signed);
    heat.painted = look.chosen.colormap;
  }

  /* What speaks for the class in a map that may be signed, up to 1. */
  function positive(map) {
    const values = valuesOf(map);
    if (!data.ends) return values;
    const highest = values.reduce((most, value) => Math.max(most, value), 0) || 1;
    return values.map((value) => Math.max(value, 0) / highest);
  }

  document.addEventListener("colormap", () => near.forEach(draw));
  window.addEventListener("beforeprint", () => {
    for (const image of document.querySelectorAll("img[loading=lazy]")) image.loading = "eager";
    for (const canvas of document.querySelectorAll("canvas")) if (heatOf.has(canvas)) draw(canvas);
  });

  /* A picture with a map over it, if there is one.

     Give `signed` for a map whose negative values are shown too, and `side` for the most pixels
     that it is drawn with. */
  function frame(record, { map = null, alt = "", label = "", signed = false, side, lazy = true }) {
    const stage = create("span", "", "stage");
    stage.style.setProperty("--shape", (record.size[0] / record.size[1]).toFixed(5));
    const image = create("img");
    image.alt = alt;
    if (lazy) image.loading = "lazy";
    image.decoding = "async";
    image.draggable = false;
    image.src = record.file;
    stage.append(image);
    if (map) {
      const canvas = create("canvas");
      canvas.setAttribute("aria-hidden", "true");
      canvas.classList.toggle("signed", signed);
      lay(canvas, map, record.size);
      heatOf.set(canvas, { map, signed, side: side ?? THUMBNAIL_SIDE });
      observer.observe(canvas);
      stage.append(canvas);
    }
    const element = create("span", "", "framed");
    element.append(stage);
    if (label) {
      element.append(create("span", label, "label"));
      element.lastChild.title = label;
    }
    return element;
  }

  /* The frames of a picture: the original, why the predicted class, and why not the true one.
     Their labels say what they show. */
  function frames(record, options = {}) {
    const { map, truthMap, predictions, truth } = record;
    const all = [frame(record, { ...options, label: "original" })];
    if (map) all.push(frame(record, { ...options, map, label: `why ${predictions[0].name}` }));
    if (truthMap) {
      const label = `why not ${truth.name}`;
      all.push(frame(record, { ...options, map: truthMap, label, signed: Boolean(data.ends) }));
    }
    return all;
  }

  const isWrong = (record) => record.truth && record.truth.index !== record.predictions[0].index;

  // A percentage stays on one line.
  const said = (entry) => `${entry.name} ${textOf(entry).replace(" ", "\u00a0")}`;

  function verdictOf(record) {
    const [top] = record.predictions;
    if (!record.truth) return said(top);
    return isWrong(record) ? `✗ ${said(top)}, true: ${said(record.truth)}` : `✓ ${said(top)}`;
  }

  /* An item of a list: the frames, what was predicted, and the file. */
  function strip(record, open) {
    const item = create("li", "", "strip");
    if (!record) {
      item.append(create("p", "missing", "soft"));
      return item;
    }
    const button = create("button");
    button.type = "button";
    const parts = create("span", "", "frames");
    parts.append(...frames(record));
    const verdict = create("span", verdictOf(record), "said");
    if (record.truth) verdict.classList.add(isWrong(record) ? "wrong" : "right");
    const file = create("span", record.name, "file");
    file.title = `${record.folder}/${record.name}`;
    button.append(parts, verdict, file);
    button.addEventListener("click", open);
    item.append(button);
    return item;
  }

  // What the colours of signed maps mean.
  for (const scale of data.ends ? document.querySelectorAll("[data-scale]") : []) {
    scale.hidden = false;
    scale.querySelector(".low").textContent = data.ends[0];
    scale.querySelector(".high").textContent = data.ends[1];
    heatCells.drawTable(scale.querySelector("canvas"), signedColors);
  }

  return { frame, frames, strip, isWrong };
})();
