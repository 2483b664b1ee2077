"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const unpack = (columns) => {
    const names = Object.keys(columns);
    const at = (column, i) => (column.places ? column.names[column.places[i]] ?? null : column[i]);
    const length = names.length ? (columns[names[0]].places ?? columns[names[0]]).length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, at(columns[name], i)])));
  };
  const rows = Object.fromEntries(Object.entries(data.rows).map(([name, columns]) => [name, unpack(columns)]));

  // A chart reads the rows whose fields are those of its place; a name without such fields is read whole.
  function specFor(element) {
    const spec = structuredClone(data.specs[element.dataset.chart]);
    const wanted = Object.entries(JSON.parse(element.dataset.where || "{}"));
    const mine = (row) => wanted.every(([name, value]) => !(name in row) || row[name] === value);
    spec.datasets = Object.fromEntries(data.reads[element.dataset.chart].map((name) => [name, rows[name].filter(mine)]));
    return spec;
  }
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" }, mode: "vega-lite", logLevel: 1 };
  const draw = (element) => window.vegaEmbed(element, specFor(element), options);

  const all = [...document.querySelectorAll("[data-chart]")];
  const drawn = new Set();
  const once = (element) => {
    if (drawn.has(element) || !element.clientWidth) return Promise.resolve();
    drawn.add(element);
    return draw(element);
  };
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) once(entry.target);
  }, { rootMargin: "800px" });
  for (const element of all) watch.observe(element);
  window.addEventListener("beforeprint", () => { for (const element of all) once(element); });
  const first = all.filter((element) => element.getBoundingClientRect().top < innerHeight);
  Promise.all(first.map(once)).then(() => { document.documentElement.dataset.ready = "yes"; });

  // A cell of the map leads to its curve, also where that lies in a closed part.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const part = target && target.closest("details");
    if (part && !part.open) { part.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  open();

  const number = (text) => Number.parseFloat(text.replace("−", "-").replace(/,/g, "").replace(/^<\s*/, ""));
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("th").forEach((head, column) => {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
        for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
        const body = table.tBodies[0];
        const text = (row) => row.cells[column].textContent.trim();
        const sorted = [...body.rows].sort((a, b) => {
          const [x, y] = [number(text(a)), number(text(b))];
          return down * (Number.isNaN(x) || Number.isNaN(y) ? text(a).localeCompare(text(b)) : x - y);
        });
        body.append(...sorted);
      });
    });
  }
})();
