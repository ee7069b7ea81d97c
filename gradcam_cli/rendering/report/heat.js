"use strict";
/* Heat in the report: its maps all have a sign, or none has. */
const heat = (() => {
  const { data } = base;
  const { lay, drawTable } = heatCells;
  const { chosen, colormaps, table, setColormap, setAlpha } = look;
  const signed = Boolean(data.ends);
  const levelsOf = (map, width, height) => heatCells.levelsOf(map, width, height, signed);
  const paint = (canvas, levels, width, height) =>
    heatCells.paint(canvas, levels, width, height, table(), signed, data.hotFrom);

  const scales = signed ? document.querySelectorAll("[data-scale]") : [];
  for (const scale of scales) {
    scale.hidden = false;
    scale.querySelector(".low").textContent = data.ends[0];
    scale.querySelector(".high").textContent = data.ends[1];
  }
  function drawScales() {
    for (const scale of scales) drawTable(scale.querySelector("canvas"), table());
  }
  document.addEventListener("colormap", drawScales);
  drawScales();

  return { look: chosen, colormaps, levelsOf, paint, lay, setColormap, setAlpha };
})();
