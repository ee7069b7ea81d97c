"use strict";
/* The confusion matrix: the arrow keys move between its cells, of which Tab reaches one. */
(() => {
  const table = document.querySelector(".matrix table");
  if (!table) return;
  const rows = [...table.tBodies[0].rows].map((row) =>
    [...row.querySelectorAll("td")].map((cell) => cell.querySelector("a")));
  const links = rows.flat().filter(Boolean);
  for (const link of links.slice(1)) link.tabIndex = -1;
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  table.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || !links.includes(document.activeElement)) return;
    event.preventDefault();
    let row = rows.findIndex((cells) => cells.includes(document.activeElement));
    let column = rows[row].indexOf(document.activeElement);
    do {
      row += step[0];
      column += step[1];
    } while (rows[row]?.[column] === null);
    const link = rows[row]?.[column];
    if (!link) return;
    document.activeElement.tabIndex = -1;
    link.tabIndex = 0;
    link.focus();
  });
})();
