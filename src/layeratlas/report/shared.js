"use strict";
// What every page does: read its rows, draw charts, and sort a table by the heading that is clicked.
const atlas = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const unpack = (columns) => {
    const names = Object.keys(columns);
    const at = (column, i) => (column.places ? column.names[column.places[i]] ?? null : column[i]);
    const length = names.length ? (columns[names[0]].places ?? columns[names[0]]).length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, at(columns[name], i)])));
  };
  const rows = Object.fromEntries(Object.entries(data.rows).map(([name, columns]) => [name, unpack(columns)]));
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" }, mode: "vega-lite", logLevel: 1 };
  const draw = (element, spec) => window.vegaEmbed(element, spec, options);

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
          const order = Number.isNaN(x) || Number.isNaN(y) ? text(a).localeCompare(text(b)) : x - y;
          return down * order;
        });
        body.append(...sorted);
      });
    });
  }
  return { data, rows, draw };
})();
