"use strict";
// What every page does: unpack its library and rows, draw charts, sort tables, save charts, copy sentences.
const atlas = (() => {
  const root = document.documentElement;
  const unzip = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const unpack = (columns) => {
    const names = Object.keys(columns);
    const at = (column, i) => (column.places ? column.names[column.places[i]] ?? null : column[i]);
    const length = names.length ? (columns[names[0]].places ?? columns[names[0]]).length : 0;
    return Array.from({ length }, (_, i) => Object.fromEntries(names.map((name) => [name, at(columns[name], i)])));
  };
  const loaded = async () => {
    if (!("DecompressionStream" in window)) {
      for (const element of document.querySelectorAll("[data-chart]")) {
        element.textContent = "This browser cannot draw the charts; layeratlas figures DIR draws them as files.";
      }
      return null;
    }
    const [library, text] = await Promise.all([unzip("library"), unzip("data")]);
    const script = document.createElement("script");
    script.textContent = library;
    document.head.append(script);
    const data = JSON.parse(text);
    return { data, rows: Object.fromEntries(Object.entries(data.rows).map(([name, columns]) => [name, unpack(columns)])) };
  };
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" }, mode: "vega-lite", logLevel: 1 };
  const draw = (element, spec) => window.vegaEmbed(element, spec, options);

  // Draw what is near the window, the rest as it comes near, all of it for print; then say that the page is ready.
  function whenNear(elements, show) {
    const drawn = new Set();
    const once = (element) => {
      if (drawn.has(element) || !element.clientWidth) return Promise.resolve();
      drawn.add(element);
      return show(element);
    };
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) once(entry.target);
    }, { rootMargin: "600px" });
    for (const element of elements) watch.observe(element);
    window.addEventListener("beforeprint", () => {
      for (const part of document.querySelectorAll("main details")) part.open = true;
      for (const element of elements) once(element);
    });
    const first = elements.filter((element) => element.getBoundingClientRect().top < innerHeight);
    return Promise.all(first.map(once)).then(() => { root.dataset.ready = "yes"; });
  }

  // Open the part that the address names, which may lie in a closed one.
  function visit(name) {
    const target = name && document.getElementById(name);
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target.scrollIntoView();
  }

  const number = (text) => Number.parseFloat(text.replace("−", "-").replace(/,/g, "").replace(/^<\s*/, ""));
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
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
  return { loaded, draw, whenNear, visit };
})();
