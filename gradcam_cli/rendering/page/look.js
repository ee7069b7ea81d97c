"use strict";
/* What the reader chooses: the colour map, and how much of it shows.

   Tells the document of "colormap" and "alpha" when the reader changes them. */
const look = (() => {
  const { data, create } = base;
  const { bytesOf, drawTable } = heatCells;
  const chosen = { colormap: data.colormap, alpha: data.alpha };
  const tables = Object.fromEntries(
    data.colormaps.map(([name, table]) => [name, bytesOf(table)]),
  );

  for (const group of document.querySelectorAll("[data-colormaps]")) {
    for (const [name, table] of Object.entries(tables)) {
      const button = create("button");
      button.type = "button";
      button.dataset.colormap = name;
      button.title = name;
      const swatch = create("canvas");
      drawTable(swatch, table);
      button.append(swatch, create("span", name, "name"));
      button.addEventListener("click", () => setColormap(name));
      group.append(button);
    }
  }

  function setColormap(name) {
    chosen.colormap = name;
    for (const button of document.querySelectorAll("[data-colormap]")) {
      button.setAttribute("aria-pressed", String(button.dataset.colormap === name));
    }
    document.dispatchEvent(new Event("colormap"));
  }

  function setAlpha(alpha) {
    chosen.alpha = alpha;
    document.documentElement.style.setProperty("--alpha", alpha);
    for (const slider of document.querySelectorAll("[data-blend]")) {
      slider.value = Math.round(100 * alpha);
    }
    for (const output of document.querySelectorAll(".blend output")) {
      output.textContent = `${Math.round(100 * alpha)} %`;
    }
    document.dispatchEvent(new Event("alpha"));
  }
  for (const slider of document.querySelectorAll("[data-blend]")) {
    slider.addEventListener("input", () => setAlpha(slider.value / 100));
  }

  setColormap(chosen.colormap);
  setAlpha(chosen.alpha);

  return {
    chosen,
    colormaps: Object.keys(tables),
    table: () => tables[chosen.colormap],
    setColormap,
    setAlpha,
  };
})();
