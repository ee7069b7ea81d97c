"use strict";
/* What all parts of the page share: its data, how its elements are made, how names and numbers
   are written. And what concerns no part alone: the light or dark theme. */
const page = (() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)} %`;
  // The values of a regression come with their text; probabilities are written here.
  const textOf = ({ p, text }) => text ?? percent(p);
  const firsts = data.pictures.flatMap(({ predictions }) => predictions?.slice(0, 1) ?? []);
  const areValues = firsts.some(({ text }) => text !== undefined);
  const [lowest, highest] = areValues
    ? [Math.min, Math.max].map((most) => firsts.reduce((all, { p }) => most(all, p), firsts[0].p))
    : [0, 1];
  const areShares = firsts.some(({ share }) => share);
  const scale = { areValues, areShares, lowest, highest, name: firsts[0]?.name };
  const fileName = (path) => path.split(/[\\/]/).pop();
  const create = (tag, text = "", className = "") => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const source = (picture) => picture.file ?? byId(`preview-${picture.preview}`).textContent;

  const root = document.documentElement;
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
  setTheme(themes.includes(remembered) ? remembered : "auto");

  return { data, byId, create, scale, textOf, fileName, source };
})();
